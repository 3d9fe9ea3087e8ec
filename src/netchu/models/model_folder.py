"""The model folder: weights, and a card `model.json` that describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
from netchu.models.model_card import read_card

MAX_CONFIG_NUMBER = 10**6
"""Largest number in the config of a network; a layer of this size would be a damaged card."""

MAX_HEIGHT = 1024
"""Largest height of a line in pixels."""

_NOT_LOADED = (
    RuntimeError, OSError, SafetensorError, ArithmeticError, AttributeError, LookupError,
    MemoryError, TypeError, ValueError,
)  # fmt: skip
"""What torch and the model hubs raise for a config that no network can have, or other weights."""


def save_model(recogniser: Recogniser, folder: Path, card: dict[str, Any]) -> None:
    """Write weights and card into `folder`, which must exist.

    Args:
        recogniser: the model to save.
        folder: the model folder.
        card: what the card says besides network, config, alphabet and hash of the weights.

    Raises:
        NetchuError: the disk is full.
    """
    try:
        recogniser.save(folder)
    except SafetensorError as error:
        raise NetchuError(
            f"{folder}: the weights cannot be written ({error}); free some space and run again"
        ) from None
    write_card(recogniser, folder, card)


def write_card(recogniser: Recogniser, folder: Path, card: dict[str, Any]) -> None:
    """Write the card of `save_model` into a folder that holds the weights."""
    own = {
        "network": recogniser.network,
        "config": recogniser.config_dict(),
        "alphabet": recogniser.alphabet,
        "weights": weights_hash(folder),
    }
    write_json(own | card, folder / CARD)


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a model folder that hold weights."""
    return sorted(folder.rglob("*.safetensors"))


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 of the weight files, which identifies a model."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def load_model(folder: Path, alphabet: str = ALPHABET) -> Recogniser:
    """Return the recogniser in `folder`, in evaluation mode.

    Raises:
        NetchuError: there is no model, its card or weights are damaged, or its alphabet is not
            `alphabet`.
    """
    card = read_card(folder)
    _check_card(card, folder)
    if card["alphabet"] != alphabet:
        odd = "".join(sorted(set(card["alphabet"]) ^ set(alphabet)))
        difference = f"they differ in {odd!r}" if odd else "the order differs"
        raise NetchuError(
            f"{folder} has another alphabet ({len(card['alphabet'])} characters, not "
            f"{len(alphabet)}; {difference}); train it again"
        )
    recogniser_class = network_class(card["network"])
    config = parse_config(recogniser_class.config_class, card["config"], f"{folder / CARD} config")
    try:
        recogniser = recogniser_class.load(folder, config, alphabet)
    except _NOT_LOADED as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetchuError(f"{folder}: the weights do not load ({first}); train it again") from None
    if not 0 < (height := recogniser.preprocessing.height) <= MAX_HEIGHT:
        raise NetchuError(f"{folder / CARD} is damaged (lines of {height} px); train it again")
    recogniser.eval()
    return recogniser


def _check_card(card: dict[str, Any], folder: Path) -> None:
    """Check what the network is built from, before memory is taken for it."""
    path = folder / CARD
    for key in ("network", "config", "alphabet"):
        if key not in card:
            raise NetchuError(f"{path} is damaged ({key} is missing); train it again")
    for key, number in _numbers(card["config"], "config"):
        if not -MAX_CONFIG_NUMBER <= number <= MAX_CONFIG_NUMBER:  # NaN is not either
            raise NetchuError(f"{path} is damaged ({key} is {number}); train it again")
    for file in weight_files(folder):
        if not file.is_file():
            raise NetchuError(f"{file} is not a regular file; train it again")


def _numbers(value: Any, key: str) -> Iterator[tuple[str, float]]:
    """Yield every number in plain values with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{key}.{place}")
    elif isinstance(value, int | float):
        yield key, value
