import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netchu.core.spreadsheets import guard_formulas
from netchu.core.text import normalise

FORMULA_STARTS = tuple("=+-@＝＋－＠|%")
LABELS = st.text(st.sampled_from("=+-@|%＝;,\"' \ta1\n"), max_size=12) | st.text(max_size=12)


def cells(rows, separator):
    """The cells of a table written with commas that is split at `separator`."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    file = io.StringIO(written.getvalue(), newline="")
    return [cell for row in csv.reader(file, delimiter=separator) for cell in row]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@given(label=LABELS)
@example(label=';"=')
@example(label='a;"=HYPERLINK(1)')
@example(label="=HYPERLINK(1).png")
def test_no_cell_begins_like_a_formula(separator, label):
    guarded = guard_formulas(label)
    for cell in cells([("images/a.png", guarded), (guarded, "")], separator):
        assert not cell.lstrip(' \t\r\n"').startswith(FORMULA_STARTS)


@given(LABELS)
def test_a_guarded_label_is_the_same_label(label):
    assert normalise(guard_formulas(label)) == normalise(label)


@pytest.mark.parametrize("text", ["Hà Nội - Huế", "scan -1.png", "a=b", "số 3, ngõ 5", ""])
def test_other_text_stays_as_it_is(text):
    assert guard_formulas(text) == text
