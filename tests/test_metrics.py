import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.errors import NetchuError
from netchu.metrics import bootstrap_groups, score, substitution_kinds, summarise
from netchu.text import ALPHABET, loops


def rates(truths: list[str], readings: list[str]) -> dict[str, float | int]:
    return summarise(score(truths, readings), [str(i) for i in range(len(truths))], 50, 1)


def distance(a: str, b: str) -> int:
    """Levenshtein by the textbook, to check jiwer's counts against."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def test_decomposed_reading_of_a_composed_truth_is_no_error():
    truth = "Nguyễn Thị Tuyết, đường Láng Thượng"
    decomposed = unicodedata.normalize("NFD", truth)
    assert decomposed != truth
    assert rates([truth], [decomposed])["cer"] == 0
    assert rates([truth], [decomposed[:-1]])["cer"] > 0


def test_corpus_rates_divide_totals_not_lines():
    result = rates(["a", "bcdefghij"], ["x", "bcdefghij"])
    assert result["cer"] == 0.1
    assert result["wer"] == 0.5
    assert result["ser"] == 0.5
    assert (result["lines"], result["characters"], result["words"]) == (2, 10, 2)


@given(
    st.text(ALPHABET, min_size=1, max_size=12).map(str.strip).filter(bool),
    st.text(ALPHABET, max_size=12),
)
def test_edits_are_the_levenshtein_distance(truth, reading):
    row = score([truth], [reading]).iloc[0]
    assert row["edits"] == distance(" ".join(truth.split()), " ".join(reading.split()))
    assert row["folded_edits"] <= row["edits"]


def test_tone_placement_counts_strictly_and_not_folded():
    result = rates(["hoà bình"], ["hòa bình"])
    assert result["cer"] == 0.25
    assert result["cer_folded"] == 0
    assert result["tone_errors"] == 0.25


@pytest.mark.parametrize(
    ("wanted", "got", "kinds"),
    [
        ("á", "à", ["tone"]),
        ("â", "a", ["mark"]),
        ("ế", "e", ["mark", "tone"]),
        ("đ", "d", ["mark"]),
        ("á", "é", ["base"]),
        ("ế", "n", ["base"]),
        ("a", "A", ["base"]),
        ("5", "S", ["base"]),
    ],
)
def test_substitutions_are_split_into_letter_mark_and_tone(wanted, got, kinds):
    assert substitution_kinds(wanted, got) == kinds


def test_missing_and_extra_characters_are_counted_apart():
    result = rates(["abcd", "abcd"], ["abc", "abcdef"])
    assert (result["missing"], result["extra"], result["base_errors"]) == (0.125, 0.25, 0)


def test_loops_are_found_and_numbers_are_none():
    assert loops("Số 12 phố phố phố phố phố phố phố")
    assert loops("a" * 40)
    assert not loops("Số 1000000")
    assert not loops("xa xa xa, gần gần")
    assert rates(["đường Láng"], ["đường Láng Láng Láng Láng Láng Láng"])["loop_rate"] == 1


@pytest.mark.parametrize("reading", [None, float("nan"), 3])
def test_a_reading_that_is_no_text_is_named(reading):
    with pytest.raises(NetchuError, match="reading 1 is missing"):
        score(["a", "b"], ["a", reading])


def test_nothing_to_score_and_empty_truths_are_errors():
    with pytest.raises(NetchuError, match="no line"):
        score([], [])
    with pytest.raises(NetchuError, match="truth 1 is empty"):
        score(["a", "  "], ["a", "b"])
    with pytest.raises(NetchuError, match="2 truths but 1"):
        score(["a", "b"], ["a"])
    with pytest.raises(NetchuError, match="no line"):
        summarise(score(["a"], ["a"]).iloc[:0], [], 10, 1)
    with pytest.raises(NetchuError, match="edits"):
        holed = score(["a"], ["a"]).astype(float).assign(edits=float("nan"))
        summarise(holed, ["1"], 10, 1)


def test_interval_holds_the_rate_and_depends_on_the_seed_alone():
    truths = ["a" * (5 + i % 7) for i in range(40)]
    readings = [t if i % 3 else "X" * (i % 5) + t[i % 5 :] for i, t in enumerate(truths)]
    scored, groups = score(truths, readings), [str(i) for i in range(40)]
    first = summarise(scored, groups, 400, 1)
    assert first["cer_low"] < first["cer"] < first["cer_high"]
    assert first == summarise(scored, groups, 400, 1)
    assert first != summarise(scored, groups, 400, 2)


def test_writers_that_err_alike_widen_the_interval():
    truths, hands = ["abcdefghij"] * 40, [str(i // 10) for i in range(40)]
    readings = ["abcdefghij" if int(hand) % 2 else "XXXXXfghij" for hand in hands]
    scored = score(truths, readings)
    by_line = summarise(scored, [str(i) for i in range(40)], 400, 1)
    by_hand = summarise(scored, hands, 400, 1)
    assert by_hand["cer_high"] - by_hand["cer_low"] > by_line["cer_high"] - by_line["cer_low"]


def test_writers_are_drawn_where_known_else_lines():
    lines = pd.DataFrame({"id": ["1", "2", "3"], "source": "s", "writer": ["An", "An", ""]})
    groups = bootstrap_groups(lines)
    assert groups[0] == groups[1] != groups[2]
    assert len(set(bootstrap_groups(lines.assign(writer="An")))) == 3
