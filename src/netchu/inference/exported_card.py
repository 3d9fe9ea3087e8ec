"""The card `model.json` of an exported model, checked value by value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, get_args, get_type_hints

from netchu.core.errors import NetchuError
from netchu.core.files import read_json
from netchu.core.paths import CARD
from netchu.decoding.scaling import NO_SCALING, PlattScaling
from netchu.imaging.preparation import WIDTH_STEP, Preprocessing

SCALES = "scales"
"""Key of the card: the Platt scalings of the confidences, by what they scale."""

SCALED = ("characters", "lines")

MAX_CHARACTERS = 4096
MAX_HEIGHT = 1024
MAX_WIDTH = 2**20
MAX_STEP = 1024
TEMPERATURES = (0.01, 100.0)
MAX_SLOPE, MAX_INTERCEPT = 20.0, 100.0
"""Bounds of the values: far beyond those of any network, and harmless."""


@dataclass(frozen=True)
class ExportedCard:
    """What a reader takes from the card.

    Attributes:
        alphabet: characters of the network, each once.
        preprocessing: how images are prepared for it.
        step: pixels of prepared width per time step.
        temperature: divides the logits before the softmax.
        scales: Platt scalings by name.
        figures: metrics of the model.
        weights: the hash of the weights that the network names too; None without one.
    """

    alphabet: str
    preprocessing: Preprocessing
    step: float
    temperature: float
    scales: dict[str, PlattScaling]
    figures: dict[str, Any]
    weights: str | None


def read_exported_card(folder: Path) -> ExportedCard:
    """Return the card of the exported model in `folder`.

    Raises:
        NetchuError: it is damaged, or a value is of another type or out of its bounds.
    """
    path = folder / CARD
    content = read_json(path, "export it again")
    try:
        return _parse(content)
    except (KeyError, ValueError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise NetchuError(f"{path} is damaged ({reason}); export it again") from None


def _parse(content: Any) -> ExportedCard:
    if not isinstance(content, dict):
        raise ValueError("not the card of a model")
    figures = content.get("figures", {})
    if not isinstance(figures, dict):
        raise ValueError("figures: no mapping")
    weights = content.get("weights")
    if not isinstance(weights, str | None):
        raise ValueError("weights: no text")
    return ExportedCard(
        alphabet=_alphabet(content["alphabet"]),
        preprocessing=_preprocessing(content["preprocessing"]),
        step=_number(content["step"], "step", 1, MAX_STEP),
        temperature=_number(content["temperature"], "temperature", *TEMPERATURES),
        scales=_scales(content.get(SCALES, {})),
        figures=figures,
        weights=weights,
    )


def _alphabet(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS:
        raise ValueError(f"alphabet: no text of 1 to {MAX_CHARACTERS} characters")
    if len(set(value)) < len(value):
        raise ValueError("alphabet: a character stands there twice")
    if odd := [letter for letter in value if not letter.isprintable()]:
        raise ValueError(f"alphabet: {odd[0]!r} cannot be printed")
    return value


def _preprocessing(value: Any) -> Preprocessing:
    known = [field.name for field in fields(Preprocessing)]
    if not isinstance(value, dict) or not set(value) <= set(known):
        raise ValueError(f"preprocessing: no mapping of {', '.join(known)}")
    variants = get_args(get_type_hints(Preprocessing)["variant"])
    variant: Any = value.get("variant")
    if variant not in variants:
        raise ValueError(f"preprocessing.variant: not one of {', '.join(variants)}")
    height = _whole(value.get("height"), "preprocessing.height", 1, MAX_HEIGHT)
    max_width = _whole(value.get("max_width", 0), "preprocessing.max_width", 0, MAX_WIDTH)
    if max_width % WIDTH_STEP:
        raise ValueError(f"preprocessing.max_width: no multiple of {WIDTH_STEP}")
    return Preprocessing(variant, height, max_width)


def _scales(value: Any) -> dict[str, PlattScaling]:
    if not isinstance(value, dict):
        raise ValueError(f"{SCALES}: no mapping")
    return {name: _scale(value.get(name, list(NO_SCALING)), f"{SCALES}.{name}") for name in SCALED}


def _scale(value: Any, key: str) -> PlattScaling:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{key}: no list of slope and intercept")
    return PlattScaling(
        _number(value[0], f"{key} slope", 1e-6, MAX_SLOPE),
        _number(value[1], f"{key} intercept", -MAX_INTERCEPT, MAX_INTERCEPT),
    )


def _number(value: Any, key: str, least: float, most: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or not least <= value <= most:
        raise ValueError(f"{key}: no number from {least:g} to {most:g}, {value!r:.40}")
    return float(value)


def _whole(value: Any, key: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{key}: no integer from {least} to {most}, {value!r:.40}")
    return value
