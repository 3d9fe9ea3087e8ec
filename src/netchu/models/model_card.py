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


_TYPES = {"network": str, "config": dict, "alphabet": str, "training": list, "provenance": dict}
"""Types of the values of a card."""


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a model folder, with the keys of today if an older version wrote it.

    Raises:
        NetchuError: there is no model in `folder`, or the card is damaged.
    """
    if not (folder / CARD).exists():
        raise NetchuError(f"{folder} holds no model; run 'dvc repro' to train it")
    path = folder / CARD
    card = read_json(path, "train the model again")
    if not isinstance(card, dict):
        raise NetchuError(f"{path} is not the card of a model; train the model again")
    card = _renamed(card, RENAMED_CARD_KEYS)
    for key, kind in _TYPES.items():
        if not isinstance(card.get(key, kind()), kind):
            raise NetchuError(
                f"{path} is damaged ({key} is no {kind.__name__}); train the model again"
            )
    return _upgraded(card)


def _upgraded(card: dict[str, Any]) -> dict[str, Any]:
    upgraded = dict(card)
    if "provenance" in card:
        upgraded["provenance"] = _renamed(card["provenance"], RENAMED_PROVENANCE_KEYS)
    if "training" in card:
        upgraded["training"] = [
            entry | {"phase": _renamed(entry["phase"], RENAMED_PHASE_KEYS)}
            if isinstance(entry, dict) and isinstance(entry.get("phase"), dict)
            else entry
            for entry in card["training"]
        ]
    return upgraded


def _renamed(mapping: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in mapping.items()}
