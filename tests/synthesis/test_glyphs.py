"""Letters are split into a base and diacritics, which together are the letter again."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont

from netchu.synthesis import font_renderer, glyphs
from netchu.synthesis.glyphs import INK_LEVEL, draw_glyph

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
SIZE = 46
LETTERS = ImageFont.truetype(str(FONT), SIZE)


def parts(letter):
    return draw_glyph(FONT, SIZE, letter).parts


@pytest.mark.parametrize(
    ("letters", "marks"),
    [("abđơưĐƠƯ19,", 0), ("áàảãýỷíìijớửĂÊÍ", 1), ("ạợự", 1), ("ấẫằểộặịẬỔ", 2)],
)
def test_detached_diacritics_are_separated_and_attached_ones_are_not(letters, marks):
    for letter in letters:
        assert len(parts(letter)) == 1 + marks, letter


@pytest.mark.parametrize("letter", "áạấặíịỷỡỲẬj")
def test_base_and_diacritics_together_are_the_letter(letter):
    whole = glyphs._draw(LETTERS, letter)
    placed = [font_renderer._transform(part, (0, 0), 1, 0, 1) for part in parts(letter)]
    np.testing.assert_array_equal(font_renderer._composite(placed, SIZE), whole.ink_HW)


@pytest.mark.parametrize(("letter", "bare"), [("ế", "e"), ("í", "ı"), ("ị", "ı"), ("ỡ", "ơ")])
def test_the_first_part_is_the_base_letter(letter, bare):
    body, alone = parts(letter)[0].ink_HW, glyphs._draw(LETTERS, bare).ink_HW
    assert (body > INK_LEVEL).sum() == (alone > INK_LEVEL).sum()


@pytest.mark.parametrize(("letter", "sign"), [("â", 1), ("í", 1), ("ạ", -1)])
def test_moving_a_diacritic_by_its_gap_makes_it_touch_the_letter(letter, sign):
    body, mark = parts(letter)
    assert mark.gap * sign > 0
    solid = [
        {(int(y) + part.top, int(x) + part.left) for y, x in np.argwhere(part.ink_HW > INK_LEVEL)}
        for part in (body, mark)
    ]
    moved = {(y + mark.gap, x) for y, x in solid[1]}
    farther = {(y + mark.gap + 2 * sign, x) for y, x in solid[1]}
    assert not moved & solid[0]
    assert farther & solid[0]


def test_a_letter_without_the_shape_of_its_base_stays_whole():
    whole, other = glyphs._draw(LETTERS, "ế"), glyphs._draw(LETTERS, "W")
    assert glyphs._separate(whole, other) == (whole,)
    assert len(glyphs._separate(whole, glyphs._draw(LETTERS, "x"))) == 1
