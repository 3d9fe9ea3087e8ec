"""Draw reading.png: a page of four sample lines, and what the shipped reader makes of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from netchu import Reader

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ("mali-2", "pangolin-1", "dancing-script-2", "patrick-hand-1")
PAPER, DEGREES = 242, 1.5
DOUBTFUL = 0.8
"""Characters below this confidence are drawn in red."""


def page() -> np.ndarray:
    """Return the samples on one sheet of paper, slightly rotated (grey, height × width)."""
    sheet = np.full((560, 1000), PAPER, np.uint8)
    for number, name in enumerate(SAMPLES):
        sample = cv2.imread(f"{ROOT}/src/netchu/serve/samples/{name}.jpg", cv2.IMREAD_GRAYSCALE)
        ground = float(np.percentile(sample, 90))
        top, left = 50 + 125 * number, 60 + 15 * (number % 2)
        height, width = sample.shape
        sample = np.clip(sample * (PAPER / ground), 0, PAPER)
        sheet[top : top + height, left : left + width] = sample
    turn = cv2.getRotationMatrix2D((500, 280), DEGREES, 1)
    return cv2.warpAffine(sheet, turn, (1000, 560), borderValue=PAPER)


def main() -> None:
    """Read the page and write reading.png."""
    photo = page()
    read = Reader().read(photo)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=(1, 1.05))
    left.imshow(photo, cmap="gray", vmin=0, vmax=255)
    right.set(xlim=(0, 1), ylim=left.get_ylim())
    for line in read.lines:
        x, y, x_end, y_end = line.box
        left.add_patch(plt.Rectangle((x, y), x_end - x, y_end - y, fill=False, color="#2a6fdb"))
        middle = (y + y_end) / 2
        text = None
        for character in line.characters:
            right_end = (1, 0) if text else (0.02, middle)
            text = right.annotate(
                character.text, right_end, xycoords=text or "data",
                fontsize=16, family="DejaVu Sans", va="bottom" if text else "center",
                color="#c62828" if character.confidence < DOUBTFUL else "black",
            )  # fmt: skip
        right.text(0.98, middle, f"{100 * line.confidence:.0f} %", va="center", ha="right",
                   fontsize=11, color="#555555")  # fmt: skip
    for axes in (left, right):
        axes.set_axis_off()
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.99, 0.01)
    figure.savefig(Path(__file__).with_name("reading.png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
