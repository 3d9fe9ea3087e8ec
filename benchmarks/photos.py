"""Does the reading depend on how a line was photographed? CER by frame, slope, polarity, direction.

`python benchmarks/photos.py [LINES...]` varies the sample lines that come with the package, and
the validation lines of each folder of line tables. Every row of the output is a table row in
Markdown: what was varied, and the CER in per cent at each value. Line breaks count as spaces.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from validation import validation_lines

from netchu.core.errors import NetchuError, one_line_errors
from netchu.evaluation.metrics.edits import score_lines
from netchu.imaging.images import Grey, decode
from netchu.imaging.photos import PhotoSource
from netchu.inference.reader import Reader
from netchu.serve.draw_samples import LINES
from netchu.serve.samples import SHIPPED_SAMPLES

Lines = Sequence[tuple[Grey, str]]
"""Photos and their texts."""
Series = Mapping[str, Sequence[tuple[PhotoSource, str]]]
"""Photos and their texts by the value that is varied."""

FRAMES = (1.0, 1.3, 1.6, 1.9, 2.2, 3.0, 4.0)
"""Heights of the photo over those of the line."""
SLOPES = (-8, -4, -2, 0, 2, 4, 8)
"""Degrees by which a line falls."""
SPECKS = (0.0, 0.0005, 0.002)
"""Shares of the pixels that are black specks."""
GAPS = (1.4, 3.0, 6.0)
"""Paper between two fields of a row, in line heights."""
DROPS = (0.0, 0.5, 1.0)
"""Line heights by which the last fifth of a line drops."""
HEIGHTS = (24, 32, 48, 96)
"""Pixels of a line on a large photo."""
PAGE_LINES = 4
LINE_HEIGHT = 72
"""Pixels of a line on a page."""


def main() -> None:
    """Print a table for the samples and for each folder of line tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, nargs="*")
    parser.add_argument("--model", type=Path, help="an exported model; by default the shipped one")
    parser.add_argument(
        "--most", dest="max_lines", type=int, default=60, help="lines of each table"
    )
    arguments = parser.parse_args()
    with one_line_errors():
        reader = Reader(arguments.model)
        tables = {"samples": sample_lines()}
        tables |= {folder.name: table_lines(folder, arguments.max_lines)
                   for folder in arguments.lines}  # fmt: skip
        for name, lines in tables.items():
            print(f"{name}, {len(lines)} lines", flush=True)
            print_table(reader, lines)


def print_table(reader: Reader, lines: Lines) -> None:
    """Print one row for each variation."""
    for title, line, series in variations(lines):
        rates = {value: cer(reader, examples, line) for value, examples in series.items()}
        cells = " | ".join(f"{value}: {rate:.1f}" for value, rate in rates.items())
        print(f"| {title} | {cells} |", flush=True)


def variations(lines: Lines) -> Iterable[tuple[str, bool, Series]]:
    """Yield the title of each variation, whether photos are read with `line`, and the photos."""
    for line in (False, True):
        mode = "`--line`" if line else "default"
        yield f"frame, {mode}", line, vary(lines, FRAMES, add_margins)
        yield f"slope, {mode}", line, vary(lines, SLOPES, rotate)
        yield f"specks, {mode}", line, vary(lines, SPECKS, add_specks)
        yield f"polarity, {mode}", line, {
            "dark": lines,
            "light": [(invert(image), text) for image, text in lines],
            "light, frame 2": [(invert(add_margins(image, 2)), text) for image, text in lines],
            "white on transparent": [(on_transparent(image), text) for image, text in lines],
        }  # fmt: skip
        fields = list(zip(lines[::2], lines[1::2], strict=False))
        yield f"two fields, {mode}", line, {
            f"gap {gap}": [
                (side_by_side(a, b, gap), f"{left} {right}") for (a, left), (b, right) in fields
            ]
            for gap in GAPS
        }  # fmt: skip
    sheets = pages(lines)
    yield "page, polarity", False, {
        "dark": sheets,
        "light": [(invert(photo), text) for photo, text in sheets],
        "half light": [(invert_lower_half(photo), text) for photo, text in sheets],
    }  # fmt: skip
    yield "page, turned", False, {
        f"{90 * turns}": [(np.ascontiguousarray(np.rot90(photo, turns)), text)
                          for photo, text in sheets]
        for turns in range(4)
    }  # fmt: skip
    yield "lines on a photo of 12 MP, by their height in pixels", False, {
        str(height): [on_large_sheet(lines, height)] for height in HEIGHTS
    }  # fmt: skip
    yield "page, dropped ends", False, {f"{drop:g}": pages(lines, 2.6, drop) for drop in DROPS}


def vary(
    lines: Lines, values: Sequence[float], change: Callable[[Grey, float], Grey]
) -> dict[str, Lines]:
    """Return the changed lines by value."""
    return {f"{value:g}": [(change(image, value), text) for image, text in lines]
            for value in values}  # fmt: skip


def cer(reader: Reader, examples: Sequence[tuple[PhotoSource, str]], line: bool) -> float:
    """Return the CER of a reader in per cent; an unreadable photo counts as empty."""
    readings = reader.read_many([photo for photo, _ in examples], line=line)
    texts = ["" if isinstance(r, NetchuError) else " ".join(r.text.split()) for r in readings]
    scores = score_lines([text for _, text in examples], texts)
    return float(100 * scores["edits"].sum() / scores["characters"].sum())


def sample_lines() -> list[tuple[Grey, str]]:
    """Return the sample lines that come with the package."""
    return [
        (decode((SHIPPED_SAMPLES / f"{family}-{number}.jpg").read_bytes(), family), text)
        for family, texts in LINES.items()
        for number, text in enumerate(texts, start=1)
    ]


def table_lines(folder: Path, max_lines: int) -> list[tuple[Grey, str]]:
    """Return random validation lines of a table.

    Raises:
        NetchuError: the table has none.
    """
    chosen = validation_lines(folder, max_lines)
    return [
        (decode(image, name), text)
        for image, name, text in zip(chosen["image"], chosen["id"], chosen["text"], strict=True)
    ]


def paper(image_HW: Grey) -> int:
    """Return the grey value of the paper."""
    return int(np.median(image_HW))


def add_margins(image_HW: Grey, frame: float) -> Grey:
    """Add equal margins of paper on all sides, until the photo is `frame` times as high."""
    margin = round((frame - 1) / 2 * image_HW.shape[0])
    return np.pad(image_HW, margin, constant_values=paper(image_HW))


def rotate(image_HW: Grey, degrees: float) -> Grey:
    """Rotate a line clockwise, in a frame that holds all of it."""
    height, width = image_HW.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    cosine, sine = np.abs(turn[0, :2])
    size = round(width * cosine + height * sine), round(width * sine + height * cosine)
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    value = paper(image_HW)
    return np.asarray(cv2.warpAffine(image_HW, turn, size, borderValue=value), np.uint8)


def add_specks(image_HW: Grey, share: float) -> Grey:
    """Return a scan in black and white with margins of a line height, and black pixels in it."""
    _, scan = cv2.threshold(add_margins(image_HW, 3), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    specks = np.random.default_rng(0).random(scan.shape) < share
    return np.where(specks, 0, scan).astype(np.uint8)


def invert(image_HW: Grey) -> Grey:
    """Return light ink on dark paper."""
    return np.asarray(cv2.bitwise_not(image_HW), np.uint8)


def invert_lower_half(image_HW: Grey) -> Grey:
    """Return a page that is light on dark below its second line."""
    half = round(3.75 * LINE_HEIGHT)  # between two lines of `page`
    return np.vstack([image_HW[:half], invert(image_HW[half:])])


def on_transparent(image_HW: Grey) -> Image.Image:
    """Return white ink on a transparent page."""
    darkness = np.clip((paper(image_HW) - image_HW.astype(np.int16)) * 2, 0, 255)
    white = np.full((*image_HW.shape, 3), 255, np.uint8)
    return Image.fromarray(np.dstack([white, darkness.astype(np.uint8)]))


def to_height(image_HW: Grey, height: int = LINE_HEIGHT) -> Grey:
    """Resize a line to a height."""
    width = max(1, round(image_HW.shape[1] * height / image_HW.shape[0]))
    return np.asarray(cv2.resize(image_HW, (width, height)), np.uint8)


def put(sheet_HW: Grey, image_HW: Grey, top: int, left: int) -> None:
    """Put a line onto a sheet, whose paper is brought to that of the line's."""
    height, width = image_HW.shape
    level = image_HW.astype(np.int16) + (int(sheet_HW[0, 0]) - paper(image_HW))
    sheet_HW[top : top + height, left : left + width] = np.clip(level, 0, 255)


def side_by_side(first_HW: Grey, second_HW: Grey, gap: float) -> Grey:
    """Return two lines in a row, with `gap` line heights of paper between them."""
    first, second = to_height(first_HW), to_height(second_HW)
    left = first.shape[1] + round(gap * LINE_HEIGHT)
    sheet = np.full((LINE_HEIGHT, left + second.shape[1]), paper(first), np.uint8)
    put(sheet, first, 0, 0)
    put(sheet, second, 0, left)
    return sheet


def on_large_sheet(lines: Lines, height: int) -> tuple[Grey, str]:
    """Return a photo of 4000 × 3000 pixels with the first lines at a height, and their text."""
    sheet = np.full((3000, 4000), paper(lines[0][0]), np.uint8)
    for number, (image, _) in enumerate(lines[:PAGE_LINES]):
        put(sheet, to_height(image, height), 400 + 2 * number * height, 500)
    return sheet, " ".join(text for _, text in lines[:PAGE_LINES])


def drop_end(image_HW: Grey, by: float) -> Grey:
    """Return a line whose last fifth falls, by `by` heights of the line at its end."""
    height, width = image_HW.shape
    falling = np.clip(np.arange(width) / width - 0.8, 0, None) / 0.2 * by * height
    dropped = np.full((height + round(by * height), width), paper(image_HW), np.uint8)
    for column, rows in enumerate(np.rint(falling).astype(int).tolist()):
        dropped[rows : rows + height, column] = image_HW[:, column]
    return dropped


def page(lines: Lines, pitch: float = 1.5, drop: float = 0.0) -> tuple[Grey, str]:
    """Return a page of lines, `pitch` line heights apart, whose ends drop, and its text."""
    images = [drop_end(to_height(image), drop) for image, _ in lines]
    step, margin = round(pitch * LINE_HEIGHT), LINE_HEIGHT
    width = max(image.shape[1] for image in images) + 2 * margin
    sheet = np.full((step * (len(images) + 1) + 2 * margin, width), paper(images[0]), np.uint8)
    for number, image in enumerate(images):
        put(sheet, image, margin + number * step, margin)
    return sheet, " ".join(text for _, text in lines)


def pages(lines: Lines, pitch: float = 1.5, drop: float = 0.0) -> list[tuple[Grey, str]]:
    """Return all lines on pages of a few lines each."""
    return [
        page(lines[first : first + PAGE_LINES], pitch, drop)
        for first in range(0, len(lines), PAGE_LINES)
    ]


if __name__ == "__main__":
    main()
