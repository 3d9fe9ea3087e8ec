"""A contact sheet: some lines of a table in one image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from netchu.data.line_table import Line
from netchu.imaging.images import Grey, decode

COLUMNS, ROWS = 2, 16
SHEET_LINES = COLUMNS * ROWS
CELL = (48, 620)
"""Height and width of a cell in pixels; longer lines are cropped."""
GAP = 6
"""Pixels between cells."""


def contact_sheet(lines: Sequence[Line]) -> Grey:
    """Draw the first `SHEET_LINES` lines on white, column by column.

    Returns:
        Grey HW.
    """
    height, width = CELL
    size = ROWS * (height + GAP) + GAP, COLUMNS * (width + GAP) + GAP
    sheet = np.full(size, 255, np.uint8)
    for index, line in enumerate(lines[:SHEET_LINES]):
        column, row = divmod(index, ROWS)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        image = decode(line.image, f"line {line.id}")
        scaled_width = max(1, round(image.shape[1] * height / image.shape[0]))
        resized = cv2.resize(image, (scaled_width, height), interpolation=cv2.INTER_AREA)
        shown = np.asarray(resized, np.uint8)[:, :width]
        sheet[top : top + height, left : left + shown.shape[1]] = shown
    return sheet
