"""Text rendered with a font: undistorted at 0, diacritics moved on their own, nothing cut off."""

from pathlib import Path

import matplotlib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from netchu.synthesis import font_renderer
from netchu.synthesis.glyphs import INK_LEVEL, draw_glyph

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
HEIGHT = 64
SIZE = round(font_renderer.FONT_SIZE * HEIGHT)


def render(text, seed=0, distortion=0.5):
    rng = np.random.default_rng(seed)
    return font_renderer.render_with_font(text, FONT, HEIGHT, rng, distortion)


@given(
    st.text("aăđghkỳợỮB 19,", min_size=1, max_size=12).filter(str.strip),
    st.integers(0, 10**6),
    st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_ink_is_cropped_to_its_strokes_and_between_0_and_1(text, seed, distortion):
    ink = render(text, seed, distortion)
    assert ink.dtype == np.float32
    assert ink.min() >= 0
    assert ink.max() <= 1
    for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
        assert edge.max() > 0.2


def test_ink_depends_on_the_random_generator_alone():
    first = render("Quận Gò Vấp", 3, 0.8)
    render("đường Láng", 4)
    assert first.tobytes() == render("Quận Gò Vấp", 3, 0.8).tobytes()
    others = {render("Quận Gò Vấp", seed, 0.8).tobytes() for seed in range(8)}
    assert len(others) == 8


def test_without_distortion_ink_is_the_font_itself():
    font = ImageFont.truetype(str(FONT), SIZE, layout_engine=ImageFont.Layout.BASIC)
    canvas = Image.new("L", (400, 200))
    ImageDraw.Draw(canvas).text((50, 100), "Nghĩa", fill=255, font=font, anchor="ls")
    strokes = np.asarray(canvas) > INK_LEVEL
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    expected = np.asarray(canvas)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    for seed in range(3):
        np.testing.assert_allclose(render("Nghĩa", seed, 0.0) * 255, expected, atol=3)


def test_more_words_are_wider_and_a_space_has_no_ink():
    assert render("xa xa xa xa", distortion=0).shape[1] > 3.5 * render("xa", distortion=0).shape[1]
    assert not render(" ").any()


def test_diacritics_move_more_with_a_larger_distortion():
    def offsets(distortion):
        found = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            style = font_renderer._draw_style(SIZE, rng, distortion)
            glyph = draw_glyph(FONT, SIZE, "á")
            body, mark = font_renderer._place_glyph(glyph, (0, 0), 1, 0, style, rng)
            found.append((mark[1] - body[1], mark[2] - body[2]))
        return np.std(found, axis=0)

    clean, some, many = offsets(0.0), offsets(0.4), offsets(1.0)
    assert not clean.any()
    assert (clean < some).all()
    assert (some < many).all()


def test_words_are_whole_without_distortion_and_separate_letters_at_1():
    def pieces(distortion):
        rng = np.random.default_rng(0)
        style = font_renderer._draw_style(SIZE, rng, distortion)
        return len(font_renderer._place_words("con chim non", FONT, style, rng))

    assert pieces(0.0) == 3
    assert pieces(1.0) > 10  # with the dot of the i


@given(st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_warping_cuts_nothing_off(seed, distortion):
    block = np.full((40, 300), 255, np.uint8)
    bent = font_renderer._warp(block, SIZE, np.random.default_rng(seed), distortion)
    for edge in (bent[0], bent[-1], bent[:, 0], bent[:, -1]):
        assert not edge.any()
    assert bent.sum() > 0.6 * block.sum()


def test_stroke_widths_become_more_alike():
    def stroke_width(ink):
        return (ink > 127).sum(axis=1)[5:-5].max()

    def adjusted(ink, seed, distortion):
        rng = np.random.default_rng(seed)
        return font_renderer._adjust_stroke_width(ink, SIZE, rng, distortion)

    thin, bold = (np.zeros((60, 60), np.uint8) for _ in range(2))
    thin[5:-5, 30:31], bold[5:-5, 20:32] = 255, 255
    after = [
        np.mean([stroke_width(adjusted(ink, seed, 1.0)) for seed in range(9)])
        for ink in (thin, bold)
    ]
    assert after[0] > 1
    assert after[1] < 10
    assert (adjusted(bold, 0, 0.0) == bold).all()
