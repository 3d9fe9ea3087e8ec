import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET, ends_in_loop, fold_tone_placement, normalise
from netchu.evaluation.metrics.edits import ERROR_CLASSES, classify_edit, kalapa_score, score_lines

truths = st.text(ALPHABET, min_size=1, max_size=12).filter(str.strip)
readings = st.text(ALPHABET, max_size=12)


def distance(a, b) -> int:
    """Levenshtein distance, to check jiwer's counts."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@settings(deadline=None, max_examples=40)
@given(truths, readings)
def test_edits_are_the_levenshtein_distance(truth, reading):
    row = score_lines([truth], [reading]).iloc[0]
    truth, reading = normalise(truth), normalise(reading)
    assert row["edits"] == distance(truth, reading)
    assert row["word_edits"] == distance(truth.split(), reading.split())
    assert row["wrong"] == (truth != reading)
    folded = fold_tone_placement(truth), fold_tone_placement(reading)
    assert row["folded_edits"] == min(row["edits"], distance(*folded))
    assert row["folded_wrong"] == (folded[0] != folded[1])
    assert row["folded_word_edits"] <= row["word_edits"]


@settings(deadline=None, max_examples=40)
@given(truths, readings)
def test_classes_add_up_to_the_edits_and_a_correct_reading_has_none(truth, reading):
    row = score_lines([truth], [reading]).iloc[0]
    assert row[list(ERROR_CLASSES)].sum() == pytest.approx(row["edits"])
    assert (row[list(ERROR_CLASSES)] >= 0).all()
    assert row["missing"] + row["extra"] <= row["edits"]
    assert row["extra"] - row["missing"] == len(normalise(reading)) - len(normalise(truth))
    same = score_lines([truth], [truth]).iloc[0]
    assert same[["edits", "word_edits", "wrong", "folded_edits", *ERROR_CLASSES]].sum() == 0
    assert same["kalapa"] == 1


@pytest.mark.parametrize(
    ("expected", "actual", "classes"),
    [
        ("á", "à", ("tone",)),
        ("â", "a", ("mark",)),
        ("ế", "e", ("mark", "tone")),
        ("đ", "d", ("mark",)),
        ("Đ", "d", ("mark", "case")),
        ("á", "é", ("base",)),
        ("á", "e", ("base", "tone")),
        ("ế", "n", ("base",)),
        ("a", "A", ("case",)),
        ("m", "N", ("base", "case")),
        ("5", "S", ("digit",)),
        ("l", "1", ("base",)),
        ("1", "7", ("digit",)),
        (",", ".", ("punctuation",)),
        ("²", "2", ("punctuation",)),
        (" ", "n", ("space",)),
        ("n", " ", ("base",)),
        ("ế", "", ("base",)),
        ("", " ", ("space",)),
        ("", "3", ("digit",)),
        ("", "ơ", ("base",)),
        ("漢", "字", ("base",)),
    ],
)
def test_class_of_an_edit(expected, actual, classes):
    assert classify_edit(expected, actual) == classes


def test_an_edit_of_several_classes_counts_in_equal_parts():
    # T→t is case, ế→ê tone, a space is missing, 3→8 is digit.
    row = score_lines(["Tiếng 3"], ["tiêng8"]).iloc[0]
    shares = {name: row[name] for name in ERROR_CLASSES if row[name]}
    assert shares == {"case": 1, "tone": 1, "space": 1, "digit": 1}
    row = score_lines(["ế"], ["Ê"]).iloc[0]
    assert (row["edits"], row["tone"], row["case"]) == (1, 0.5, 0.5)


def test_missing_and_extra_characters_are_counted():
    scored = score_lines(["abcd", "abcd"], ["abc", "abcdef"])
    assert scored[["missing", "extra", "edits"]].sum().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("edits", "characters", "expected"),
    [(0, 1, 1), (1, 10, 0.85), (2, 10, 0.775), (5, 7, 0), (4, 7, 1 - 5.0625 / 7), (5000, 40, 0)],
)
def test_kalapa_score(edits, characters, expected):
    assert kalapa_score(edits, characters) == pytest.approx(expected)


def test_a_decomposed_reading_of_a_composed_truth_has_no_edits():
    truth = "Nguyễn Thị Tuyết, đường Láng Thượng"
    decomposed = unicodedata.normalize("NFD", truth)
    assert decomposed != truth
    assert score_lines([truth], [decomposed])["edits"].sum() == 0
    assert score_lines([truth], [decomposed[:-1]])["edits"].sum() > 0


def test_tone_placement_counts_in_strict_and_not_in_folded_edits():
    row = score_lines(["hoà bình"], ["hòa bình"]).iloc[0]
    assert row[["edits", "word_edits", "wrong", "tone"]].tolist() == [2, 1, 1, 2]
    assert row[["folded_edits", "folded_word_edits", "folded_wrong"]].tolist() == [0, 0, 0]


def test_folding_never_adds_edits():
    # Folded, "hoà" is "hòa", and "hoàx" stays, which is no syllable: three edits instead of one.
    row = score_lines(["hoà"], ["hoàx"]).iloc[0]
    assert (row["edits"], row["folded_edits"]) == (1, 1)
    assert (row["word_edits"], row["folded_word_edits"], row["folded_wrong"]) == (1, 1, 1)


def test_loops_are_found_and_long_numbers_are_not_loops():
    assert ends_in_loop("Số 12 phố phố phố phố phố phố phố")
    assert ends_in_loop("a" * 40)
    assert not ends_in_loop("Số 1000000")
    assert not ends_in_loop("xa xa xa, gần gần")
    looping = "đường Láng Láng Láng Láng Láng Láng"
    assert score_lines(["đường Láng", looping], [looping, looping])["loops"].tolist() == [1, 0]


@pytest.mark.parametrize("reading", [None, float("nan"), 3])
def test_a_reading_that_is_not_a_string_is_an_error(reading):
    with pytest.raises(NetchuError, match="reading 1 is missing"):
        score_lines(["a", "b"], ["a", reading])


def test_no_line_empty_truths_and_unequal_numbers_are_errors():
    with pytest.raises(NetchuError, match="no line"):
        score_lines([], [])
    with pytest.raises(NetchuError, match="truth 1 is empty"):
        score_lines(["a", "  "], ["a", "b"])
    with pytest.raises(NetchuError, match="2 truths but 1"):
        score_lines(["a", "b"], ["a"])
