"""Written ink: clean without distortion, marks apart and movable, nothing cut off."""

from pathlib import Path

import matplotlib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from netchu.synthesis import fonts
from netchu.synthesis.glyphs import SOLID, draw_glyph

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
HEIGHT = 64
SIZE = round(fonts.EM * HEIGHT)


def write(text, seed=0, distortion=0.5):
    return fonts.write(text, FONT, HEIGHT, np.random.default_rng(seed), distortion)


@given(
    st.text("aăđghkỳợỮB 19,", min_size=1, max_size=12).filter(str.strip),
    st.integers(0, 10**6),
    st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_ink_is_cropped_to_its_strokes_and_between_0_and_1(text, seed, distortion):
    ink = write(text, seed, distortion)
    assert ink.dtype == np.float32
    assert ink.min() >= 0
    assert ink.max() <= 1
    for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
        assert edge.max() > 0.2


def test_the_generator_alone_decides_whatever_was_drawn_before():
    first = write("Quận Gò Vấp", 3, 0.8)
    write("đường Láng", 4)
    assert first.tobytes() == write("Quận Gò Vấp", 3, 0.8).tobytes()
    others = {write("Quận Gò Vấp", seed, 0.8).tobytes() for seed in range(8)}
    assert len(others) == 8


def test_difficulty_0_is_the_font_itself():
    font = ImageFont.truetype(str(FONT), SIZE, layout_engine=ImageFont.Layout.BASIC)
    sheet = Image.new("L", (400, 200))
    ImageDraw.Draw(sheet).text((50, 100), "Nghĩa", fill=255, font=font, anchor="ls")
    solid = np.asarray(sheet) > SOLID
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    expected = np.asarray(sheet)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    for seed in range(3):
        np.testing.assert_allclose(write("Nghĩa", seed, 0.0) * 255, expected, atol=3)


def test_more_words_are_wider_and_a_blank_text_is_blank():
    assert write("xa xa xa xa", distortion=0).shape[1] > 3.5 * write("xa", distortion=0).shape[1]
    assert not write(" ").any()


def test_marks_wander_more_the_greater_the_difficulty():
    def offsets(distortion):
        found = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            habits = fonts._habits(SIZE, rng, distortion)
            body, mark = fonts._strike(draw_glyph(FONT, SIZE, "á"), (0, 0), 1, 0, habits, rng)
            found.append((mark[1] - body[1], mark[2] - body[2]))
        return np.std(found, axis=0)

    clean, some, many = offsets(0.0), offsets(0.4), offsets(1.0)
    assert not clean.any()
    assert (clean < some).all()
    assert (some < many).all()


def test_a_hasty_hand_writes_letter_by_letter_and_a_clean_one_whole_words():
    def pieces(distortion):
        rng = np.random.default_rng(0)
        habits = fonts._habits(SIZE, rng, distortion)
        return len(fonts._set("con chim non", FONT, habits, rng))

    assert pieces(0.0) == 3
    assert pieces(1.0) > 10  # with the dot of the i


@given(st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_bending_cuts_nothing_off(seed, distortion):
    block = np.full((40, 300), 255, np.uint8)
    bent = fonts._bend(block, SIZE, np.random.default_rng(seed), distortion)
    for edge in (bent[0], bent[-1], bent[:, 0], bent[:, -1]):
        assert not edge.any()
    assert bent.sum() > 0.6 * block.sum()


def test_another_pen_brings_fonts_nearer_to_one_breadth():
    def breadth(ink):
        return (ink > 127).sum(axis=1)[5:-5].max()

    thin, bold = (np.zeros((60, 60), np.uint8) for _ in range(2))
    thin[5:-5, 30:31], bold[5:-5, 20:32] = 255, 255
    after = [
        np.mean([breadth(fonts._repen(ink, SIZE, np.random.default_rng(s), 1.0)) for s in range(9)])
        for ink in (thin, bold)
    ]
    assert after[0] > 1
    assert after[1] < 10
    assert (fonts._repen(bold, SIZE, np.random.default_rng(0), 0.0) == bold).all()
