"""Letters fall apart into body and marks, and together they are the letter again."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont

from netchu.synthesis import fonts, glyphs
from netchu.synthesis.glyphs import SOLID, draw_glyph

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
SIZE = 46
LETTERS = ImageFont.truetype(str(FONT), SIZE)


def parts(letter):
    return draw_glyph(FONT, SIZE, letter).parts


@pytest.mark.parametrize(
    ("letters", "marks"),
    [("abđơưĐƠƯ19,", 0), ("áàảãýỷíìijớửĂÊÍ", 1), ("ạợự", 1), ("ấẫằểộặịẬỔ", 2)],
)
def test_marks_stand_apart_and_what_is_attached_stays(letters, marks):
    for letter in letters:
        assert len(parts(letter)) == 1 + marks, letter


@pytest.mark.parametrize("letter", "áạấặíịỷỡỲẬj")
def test_body_and_marks_together_are_the_letter(letter):
    whole = glyphs._draw(LETTERS, letter)
    stamps = [fonts._turn(part, (0, 0), 1, 0, 1) for part in parts(letter)]
    np.testing.assert_array_equal(fonts._lay(stamps, SIZE), whole.ink_HW)


@pytest.mark.parametrize(("letter", "bare"), [("ế", "e"), ("í", "ı"), ("ị", "ı"), ("ỡ", "ơ")])
def test_the_body_is_the_bare_letter(letter, bare):
    body, alone = parts(letter)[0].ink_HW, glyphs._draw(LETTERS, bare).ink_HW
    assert (body > SOLID).sum() == (alone > SOLID).sum()


@pytest.mark.parametrize(("letter", "sign"), [("â", 1), ("í", 1), ("ạ", -1)])
def test_the_gap_brings_a_mark_to_touch_its_letter(letter, sign):
    body, mark = parts(letter)
    assert mark.gap * sign > 0
    solid = [
        {(int(y) + part.top, int(x) + part.left) for y, x in np.argwhere(part.ink_HW > SOLID)}
        for part in (body, mark)
    ]
    moved = {(y + mark.gap, x) for y, x in solid[1]}
    farther = {(y + mark.gap + 2 * sign, x) for y, x in solid[1]}
    assert not moved & solid[0]
    assert farther & solid[0]


def test_a_letter_that_the_font_draws_otherwise_stays_whole():
    whole, other = glyphs._draw(LETTERS, "ế"), glyphs._draw(LETTERS, "W")
    assert glyphs._separate(whole, other) == (whole,)
    assert len(glyphs._separate(whole, glyphs._draw(LETTERS, "x"))) == 1
