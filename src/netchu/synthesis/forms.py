"""Printed lines on the paper: the cell of a form, ruled lines, squares, a school notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from netchu.imaging.images import Grey
from netchu.synthesis.fields import Field


@dataclass(frozen=True)
class PrintedLines:
    """Lines printed on a page.

    Args:
        rows: y of the horizontal lines, pixels.
        columns: x of the vertical lines, pixels.
        darkness: from 0 (invisible) to 1 (black).
        dotted: whether the horizontal lines are dotted.
        period: every so many lines in each direction one has the full darkness.
        faint: darkness of the others, as a share of it.
    """

    rows: Sequence[float]
    columns: Sequence[float]
    darkness: float
    dotted: bool = False
    period: int = 1
    faint: float = 0.5

    def tone(self, number: int) -> int:
        """Return the darkness of a line from 0 to 255, relative to `darkness`."""
        return round(255 * (1.0 if number % self.period == 0 else self.faint))


def print_form(page_HW: Field, text_end: int, rng: np.random.Generator) -> None:
    """Draw a cell, ruled lines, squares or a notebook on the page in place, slightly rotated.

    Args:
        page_HW: grey levels of the page.
        text_end: column where the writing ends.
        rng: source of randomness.
    """
    height, width = page_HW.shape
    kinds = (_cell, _ruled_lines, _squares, _notebook)
    draw = kinds[int(rng.choice(len(kinds), p=(0.5, 0.2, 0.15, 0.15)))]
    printed = draw(height, width, text_end, rng)
    if printed.columns and draw is _cell and rng.random() < 0.5:  # a desk beside the form
        page_HW[:, int(printed.columns[0]) :] = rng.uniform(page_HW.mean() - 30, 255)
    layer = np.zeros((height, width), np.uint8)
    drop = rng.normal(0, 0.03) * height
    thickness = 1 + int(height * rng.uniform(0, 1) / 48)
    if draw in (_squares, _notebook):
        thickness = 1
    for number, row in enumerate(printed.rows):
        start, end = (0.0, row - drop / 2), (float(width), row + drop / 2)
        _draw_segment(layer, start, end, thickness, printed.tone(number))
    if printed.dotted:
        layer[:, np.arange(width) % 4 >= 2] = 0
    for number, column in enumerate(printed.columns):
        start, end = (column, 0.0), (column - drop * height / width, float(height))
        _draw_segment(layer, start, end, thickness, printed.tone(number))
    page_HW *= 1 - layer * np.float32(printed.darkness / 255)


def _cell(height: int, width: int, text_end: int, rng: np.random.Generator) -> PrintedLines:
    rows = [rng.uniform(0.0, 0.08) * height, rng.uniform(0.86, 1.0) * height]
    columns = [rng.uniform(text_end, width)] if width - text_end > 0.1 * height else []
    return PrintedLines(rows, columns, rng.uniform(0.4, 0.9))


def _ruled_lines(height: int, width: int, text_end: int, rng: np.random.Generator) -> PrintedLines:
    lowest, step = rng.uniform(0.65, 0.95) * height, rng.uniform(0.7, 1.1) * height
    rows = [lowest, lowest - step]
    return PrintedLines(rows, [], rng.uniform(0.1, 0.6), bool(rng.random() < 0.4))


def _squares(height: int, width: int, text_end: int, rng: np.random.Generator) -> PrintedLines:
    step = rng.uniform(0.15, 0.35) * height
    rows = np.arange(rng.uniform(0, step), height, step).tolist()
    columns = np.arange(rng.uniform(0, step), width, step).tolist()
    return PrintedLines(
        rows, columns, rng.uniform(0.05, 0.4), period=int(rng.choice((1, 4, 5))),
        faint=rng.uniform(0.3, 0.7),
    )  # fmt: skip


def _notebook(height: int, width: int, text_end: int, rng: np.random.Generator) -> PrintedLines:
    """Return lines for the heights of letters, four to a line of writing, and perhaps a margin."""
    step = rng.uniform(0.18, 0.3) * height
    rows = np.arange(rng.uniform(0.65, 0.9) * height, -2 * step, -step)
    columns = [rng.uniform(0.0, 0.2) * height] if rng.random() < 0.3 else []
    return PrintedLines(
        rows.tolist(), columns, rng.uniform(0.1, 0.5), period=4, faint=rng.uniform(0.2, 0.6)
    )


def _draw_segment(
    layer_HW: Grey, start: tuple[float, float], end: tuple[float, float], thickness: int, tone: int
) -> None:
    """Draw a line between two points (x, y) with subpixel precision."""
    (x, y), (u, v) = ((round(16 * p), round(16 * q)) for p, q in (start, end))
    cv2.line(layer_HW, (x, y), (u, v), tone, thickness, cv2.LINE_AA, shift=4)
