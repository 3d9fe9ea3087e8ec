"""Distorted copies of training lines."""

from dataclasses import replace

import numpy as np
import pytest

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line
from netchu.imaging.images import decode, encode
from netchu.synthesis.copies import CopyGenerator

PAGE = np.full((40, 120), 230, np.uint8)
PAGE[12:28, 20:100:8] = 30
LINES = [
    Line(f"kalapa-{n}", encode(np.roll(PAGE, n, axis=1)), f"số {n}", f"w{n}", "kalapa", "line",
         "train", 120, 40)
    for n in range(3)
]  # fmt: skip


def copy_of(index, seed=1, distortion=0.5, height=32):
    return CopyGenerator("augmented", seed, LINES, height, distortion).generate(index).line


def test_a_copy_has_the_text_and_writer_of_the_original_and_another_image():
    copy = copy_of(4)
    original = LINES[1]
    assert replace(copy, image=b"", width=0, height=0) == replace(
        original, id="augmented-0000004", source="augmented", image=b"", width=0, height=0
    )
    image = decode(copy.image, "copy")
    assert image.shape == (copy.height, copy.width) == (32, 96)
    assert copy.image.startswith(b"\xff\xd8")


def test_every_line_is_copied_in_turn():
    assert [copy_of(index).writer for index in range(6)] == ["w0", "w1", "w2"] * 2


def test_same_seed_same_bytes_and_another_seed_others():
    assert copy_of(0) == copy_of(0)
    assert len({copy_of(0, seed, distortion=1.0).image for seed in range(9)}) > 5


def test_images_change_more_with_a_larger_distortion():
    plain = decode(copy_of(0, distortion=0.0).image, "plain").astype(int)
    changes = [
        np.mean(
            [np.abs(decode(copy_of(0, seed, d).image, "copy") - plain).mean() for seed in range(9)]
        )
        for d in (0.0, 0.2, 1.0)
    ]
    assert changes[0] == 0
    assert changes[0] < changes[1] < changes[2]


def grey_share(image_HW):
    """Share of pixels that are neither nearly black nor nearly white."""
    return ((image_HW > 40) & (image_HW < 215)).mean()


def test_a_share_of_the_copies_is_black_and_white():
    # Grey ink on grey paper; edges stay grey, because they are averaged.
    faint = [replace(line, image=encode(np.where(PAGE < 99, 120, 190).astype(np.uint8)))
             for line in LINES]  # fmt: skip
    shares = {}
    for binarised in (0.0, 0.5, 1.0):
        generator = CopyGenerator("scanned", 1, faint, 40, 0.2, binarised)
        copies = [decode(generator.generate(n).line.image, "copy") for n in range(40)]
        shares[binarised] = np.array([grey_share(copy) for copy in copies])
    assert shares[0.0].min() > 0.95
    assert shares[1.0].max() < 0.5
    assert 10 <= (shares[0.5] < 0.5).sum() <= 30
    # The distortions are those of the same copy that is not black and white.
    grey, scanned = (
        decode(CopyGenerator("x", 1, faint, 40, 0.2, b).generate(3).line.image, "copy") < 155
        for b in (0.0, 1.0)
    )
    assert (grey == scanned).mean() > 0.9


@pytest.mark.parametrize("split", ["val", "test", ""])
def test_lines_of_other_splits_are_not_copied(split):
    held_out = [LINES[1], replace(LINES[0], split=split)]
    with pytest.raises(NetchuError, match=rf"line kalapa-0 is of split .{split}.;"):
        CopyGenerator("augmented", 1, held_out, 32, 0.5)


def test_no_lines_to_copy_are_an_error():
    with pytest.raises(NetchuError, match="no training lines"):
        CopyGenerator("augmented", 1, [], 32, 0.5)
