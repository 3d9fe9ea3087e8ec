"""The model directory: weights, and a card `model.json` that says what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from netchu.core.errors import NetchuError
from netchu.core.files import write_json
from netchu.core.params import parse_config
from netchu.core.paths import CARD
from netchu.core.text import ALPHABET
from netchu.models import network_class
from netchu.models.base import Recogniser


def save_model(recogniser: Recogniser, folder: Path, card: dict[str, Any]) -> None:
    """Write weights and card into `folder`, which must exist.

    `card` adds provenance and training to what the recogniser knows of itself.
    """
    recogniser.save(folder)
    own = {
        "system": recogniser.network,
        "config": recogniser.config_dict(),
        "alphabet": recogniser.alphabet,
        "weights": weights_hash(folder),
    }
    write_json(own | card, folder / CARD)


def weight_files(folder: Path) -> list[Path]:
    """The files of a model directory that hold weights."""
    return sorted(folder.rglob("*.safetensors"))


def weights_hash(folder: Path) -> str:
    """SHA-256 over the weight files: the name under which training and evaluation meet."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model directory.

    Raises:
        NetchuError: there is no model in `folder`.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetchuError(f"{folder} holds no model; run 'dvc repro' to train it") from None
    except ValueError as error:
        raise NetchuError(f"{folder / CARD} is damaged ({error}); train the model again") from None
    return card


def load_model(folder: Path, alphabet: str = ALPHABET) -> Recogniser:
    """The recogniser in `folder`, in evaluation mode.

    Raises:
        NetchuError: no model there, weights of another shape, or another alphabet than `alphabet`.
    """
    card = read_card(folder)
    if card["alphabet"] != alphabet:
        odd = "".join(sorted(set(card["alphabet"]) ^ set(alphabet)))
        difference = f"they differ in {odd!r}" if odd else "the order differs"
        raise NetchuError(
            f"{folder} writes another alphabet ({len(card['alphabet'])} characters, not "
            f"{len(alphabet)}; {difference}); train it again with the present one"
        )
    kind = network_class(card["system"])
    config = parse_config(kind.config_class, card["config"], f"{folder / CARD} config")
    try:
        recogniser = kind.load(folder, config, alphabet)
    except (RuntimeError, OSError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise NetchuError(f"{folder}: the weights do not load ({first}); train it again") from None
    recogniser.eval()
    return recogniser
