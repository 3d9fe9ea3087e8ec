"""What is printed on paper before anybody writes on it: cells of a form, rules, squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from netchu.imaging.images import Grey
from netchu.synthesis.fields import Field


@dataclass(frozen=True)
class Print:
    """Lines printed on a page. rows, columns: where, in pixels. darkness: 0 … 1. dotted: rows."""

    rows: Sequence[float]
    columns: Sequence[float]
    darkness: float
    dotted: bool = False


def print_form(page_HW: Field, end: int, rng: np.random.Generator) -> None:
    """Draw a form's cell, a notebook's rules or its squares on the page, slightly askew.

    end: the column where the writing ends.
    """
    height, width = page_HW.shape
    draw = (_cell, _rules, _squares)[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    printed = draw(height, width, end, rng)
    if printed.columns and draw is _cell and rng.random() < 0.5:  # beside the form lies a desk
        page_HW[:, int(printed.columns[0]) :] = rng.uniform(page_HW.mean() - 30, 255)
    layer = np.zeros((height, width), np.uint8)
    drop = rng.normal(0, 0.03) * height
    thickness = 1 + int(height * rng.uniform(0, 1) / 48)
    for row in printed.rows:
        _line(layer, (0, row - drop / 2), (width, row + drop / 2), thickness)
    if printed.dotted:
        layer[:, np.arange(width) % 4 >= 2] = 0
    for column in printed.columns:
        _line(layer, (column, 0), (column - drop * height / width, height), thickness)
    page_HW *= 1 - layer * np.float32(printed.darkness / 255)


def _cell(height: int, width: int, end: int, rng: np.random.Generator) -> Print:
    rows = [rng.uniform(0.0, 0.08) * height, rng.uniform(0.86, 1.0) * height]
    columns = [rng.uniform(end, width)] if width - end > 0.1 * height else []
    return Print(rows, columns, rng.uniform(0.4, 0.9))


def _rules(height: int, width: int, end: int, rng: np.random.Generator) -> Print:
    foot, step = rng.uniform(0.65, 0.95) * height, rng.uniform(0.7, 1.1) * height
    return Print([foot, foot - step], [], rng.uniform(0.1, 0.6), bool(rng.random() < 0.4))


def _squares(height: int, width: int, end: int, rng: np.random.Generator) -> Print:
    step = rng.uniform(0.15, 0.35) * height
    rows = np.arange(rng.uniform(0, step), height, step).tolist()
    columns = np.arange(rng.uniform(0, step), width, step).tolist()
    return Print(rows, columns, rng.uniform(0.05, 0.2))


def _line(
    layer_HW: Grey, start: tuple[float, float], end: tuple[float, float], thickness: int
) -> None:
    """A line between points (x, y) that lie between pixels."""
    (x, y), (u, v) = ((round(16 * p), round(16 * q)) for p, q in (start, end))
    cv2.line(layer_HW, (x, y), (u, v), 255, thickness, cv2.LINE_AA, shift=4)
