"""Generated lines that stand for the handwriting of others, to see whether a model forgets it.

They need no data: the texts are made-up addresses and syllables, the fonts are those that come with
matplotlib, distorted until they look written in haste. They are harder to read than handwriting, so
their CER says little by itself; that it rises says that a model forgets (`benchmarks/
fine_tuning.py` compares it with real lines of others).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import SyntheticParams
from netchu.core.text import normalise
from netchu.data.line_table import Line
from netchu.imaging.images import encode
from netchu.synthesis.font_renderer import render_with_font
from netchu.synthesis.paper import simulate_photo
from netchu.synthesis.texts import make_text_generator

FONTS = ("DejaVuSans-Oblique.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSans.ttf", "DejaVuSerif.ttf")
"""Fonts of matplotlib with all letters of Vietnamese."""

WORDS = (3, 8)
HEIGHT = 64
DISTORTION = 0.5


def general_lines(number: int, seed: int, alphabet: str) -> pd.DataFrame:
    """Return generated lines as rows of a line table, without a split.

    Args:
        number: of lines.
        seed: equal seeds give equal lines.
        alphabet: characters that a model knows; others are left out of the texts.

    Raises:
        NetchuError: hardly any text can be written with the alphabet.
    """
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    kinds = [
        make_text_generator(SyntheticParams(1, text="address", words=WORDS)),
        make_text_generator(SyntheticParams(1, text="syllable", words=WORDS)),
    ]
    lines: list[Line] = []
    for attempt in range(20 * number):
        if len(lines) == number:
            break
        rng = np.random.default_rng([seed, attempt])
        font = FONTS[attempt % len(FONTS)]
        drawn = kinds[attempt // len(FONTS) % len(kinds)](rng)
        text = normalise("".join(letter for letter in drawn if letter in alphabet))
        if not text:
            continue
        ink_HW = render_with_font(text, fonts / font, HEIGHT, rng, DISTORTION)
        photo_HW = simulate_photo(ink_HW, HEIGHT, rng, DISTORTION)
        height, width = photo_HW.shape
        lines.append(
            Line(f"general-{attempt:04d}", encode(photo_HW), text, font, "general", "line", "",
                 width, height)
        )  # fmt: skip
    if len(lines) < number:
        raise NetchuError(
            "the alphabet of the model has too few letters of Vietnamese; name another model"
        )
    return pd.DataFrame(map(asdict, lines))
