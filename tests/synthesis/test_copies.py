"""Distorted copies of training lines."""

from dataclasses import replace

import numpy as np
import pytest

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line
from netchu.imaging.images import decode, encode
from netchu.synthesis.copies import Copies

PAGE = np.full((40, 120), 230, np.uint8)
PAGE[12:28, 20:100:8] = 30
LINES = [
    Line(f"kalapa-{n}", encode(np.roll(PAGE, n, axis=1)), f"số {n}", f"w{n}", "kalapa", "line",
         "train", 120, 40)
    for n in range(3)
]  # fmt: skip


def draw(index, seed=1, distortion=0.5, height=32):
    rng = np.random.default_rng(seed)
    return Copies(LINES).draw(index, rng, f"augmented-{index:07d}", distortion, height)


def test_a_copy_says_what_the_original_says_in_another_photo():
    copy = draw(4)
    original = LINES[1]
    assert replace(copy, image=b"", width=0, height=0) == replace(
        original, id="augmented-0000004", source="augmented", image=b"", width=0, height=0
    )
    image = decode(copy.image, "copy")
    assert image.shape == (copy.height, copy.width) == (32, 96)
    assert copy.image.startswith(b"\xff\xd8")


def test_every_line_is_copied_in_turn():
    assert [draw(index).writer for index in range(6)] == ["w0", "w1", "w2"] * 2


def test_same_seed_same_bytes_and_another_seed_others():
    assert draw(0) == draw(0)
    assert len({draw(0, seed, distortion=1.0).image for seed in range(9)}) > 5


def test_distortion_grows_with_difficulty():
    plain = decode(draw(0, distortion=0.0).image, "plain").astype(int)
    changes = [
        np.mean(
            [np.abs(decode(draw(0, seed, d).image, "copy") - plain).mean() for seed in range(9)]
        )
        for d in (0.0, 0.2, 1.0)
    ]
    assert changes[0] == 0
    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("split", ["val", "test", ""])
def test_what_is_held_out_is_not_copied(split):
    with pytest.raises(NetchuError, match=r"kalapa-0 is not for training"):
        Copies([LINES[1], replace(LINES[0], split=split)])


def test_nothing_to_copy():
    with pytest.raises(NetchuError, match="no training lines"):
        Copies([])
