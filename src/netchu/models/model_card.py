"""Reading the card `model.json` of a model folder. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.files import read_json
from netchu.core.paths import CARD

RENAMED_CARD_KEYS = {"system": "network"}
RENAMED_PROVENANCE_KEYS = {"parcel": "bundle"}
RENAMED_PHASE_KEYS = {
    "difficulty": "augmentation_strength",
    "joined": "concat_prob",
    "average": "ema_decay",
}
"""Keys that older versions wrote -> keys of today: of a card, of its provenance and of the
parameters of its training phases."""


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a model folder, with the keys of today if an older version wrote it.

    Raises:
        NetchuError: there is no model in `folder`, or the card is damaged.
    """
    if not (folder / CARD).exists():
        raise NetchuError(f"{folder} holds no model; run 'dvc repro' to train it")
    card: dict[str, Any] = read_json(folder / CARD, "train the model again")
    return _upgraded(card)


def _upgraded(card: dict[str, Any]) -> dict[str, Any]:
    upgraded = _renamed(card, RENAMED_CARD_KEYS)
    if "provenance" in card:
        upgraded["provenance"] = _renamed(card["provenance"], RENAMED_PROVENANCE_KEYS)
    if "training" in card:
        upgraded["training"] = [
            entry | {"phase": _renamed(entry["phase"], RENAMED_PHASE_KEYS)}
            if "phase" in entry
            else entry
            for entry in card["training"]
        ]
    return upgraded


def _renamed(mapping: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in mapping.items()}
