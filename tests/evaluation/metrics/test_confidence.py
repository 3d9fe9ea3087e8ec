import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.confidence import (
    BINS,
    ece_with_interval,
    expected_calibration_error,
    reject_curve,
    reliability,
)

lines = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from("abc")), min_size=1)


def scored(edits, characters) -> pd.DataFrame:
    return pd.DataFrame({"edits": edits, "characters": characters})


@settings(deadline=None, max_examples=40)
@given(lines)
def test_the_calibration_error_lies_in_its_interval(rows):
    confidence_L, right_L = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = ece_with_interval(confidence_L, right_L, [r[2] for r in rows], 30, 1)
    assert found["ece"] == round(expected_calibration_error(confidence_L, right_L), 6)
    assert 0 <= found["ece_low"] <= found["ece"] + 1e-6
    assert found["ece_high"] >= found["ece"] - 1e-6
    bins = reliability(confidence_L, right_L)
    assert sum(row["lines"] for row in bins) == len(rows)
    for name, values in (("confidence", confidence_L), ("right", right_L)):
        total = sum(row["lines"] * row[name] for row in bins)
        assert total == pytest.approx(values.sum(), abs=1e-4)


def test_the_calibration_error_of_bins_by_hand():
    # 45 lines in 15 bins of three, ordered by confidence: 0.2 three times, …, 0.9 three times.
    # In the five bins of 0.2 one line of three is right, in those of 0.6 two, in those of 0.9 all.
    confidence_L = np.repeat([0.2, 0.6, 0.9], 15)
    right_L = np.tile([True, False, False], 5).tolist() + np.tile([True, True, False], 5).tolist()
    right_L = np.array(right_L + [True] * 15)
    error = (abs(0.2 - 1 / 3) + abs(0.6 - 2 / 3) + abs(0.9 - 1)) / 3
    assert expected_calibration_error(confidence_L, right_L) == pytest.approx(error)
    mixed = np.random.default_rng(1).permutation(45)
    order = np.lexsort((np.arange(45), confidence_L[mixed]))  # stable, by confidence
    assert expected_calibration_error(confidence_L[mixed], right_L[mixed]) == pytest.approx(
        np.abs((confidence_L - right_L[mixed][order]).reshape(15, 3).sum(1)).sum() / 45
    )


def test_the_interval_of_the_calibration_error_is_that_of_resampled_groups():
    # Independent: resample whole groups, sum the gaps of each fixed bin, and shift the errors so
    # that their median is the error of all lines.
    rng = np.random.default_rng(4)
    confidence_L = rng.random(90)
    right_L = rng.random(90) < confidence_L
    group_L = np.repeat(np.arange(12), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20])
    found = ece_with_interval(confidence_L, right_L, [f"{g:02d}" for g in group_L], 4000, 1)
    order = np.argsort(confidence_L)
    bin_L = np.empty(90, int)
    bin_L[order] = np.arange(90) // 6
    gap_L = confidence_L - right_L
    errors = []
    for _ in range(4000):
        times_L = np.bincount(rng.choice(12, 12), minlength=12)[group_L]
        gaps = np.bincount(bin_L, gap_L * times_L, 15)
        errors.append(np.abs(gaps).sum() / times_L.sum())
    error = np.abs(np.bincount(bin_L, gap_L, 15)).sum() / 90
    low, high = np.quantile(errors - np.median(errors) + error, [0.025, 0.975])
    assert found["ece"] == pytest.approx(error, abs=1e-6)
    assert (found["ece_low"], found["ece_high"]) == pytest.approx((low, high), abs=0.01)


def test_calibration_error_of_extremes():
    half = np.array([True, False] * 60)
    assert expected_calibration_error(np.full(120, 0.5), half) == pytest.approx(0)
    assert expected_calibration_error(np.ones(120), np.zeros(120, bool)) == pytest.approx(1)
    assert expected_calibration_error(np.full(120, 0.8), half) == pytest.approx(0.3)
    separated = np.where(np.arange(150) < 70, 0.0, 1.0)
    assert expected_calibration_error(separated, separated > 0) == pytest.approx(0)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0


@settings(deadline=None)
@given(
    stnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(0, 2**32 - 1)
)
def test_calibration_error_lies_in_0_to_1(confidence_N, seed):
    right_N = np.random.default_rng(seed).random(len(confidence_N)) < 0.5
    error = expected_calibration_error(confidence_N, right_N)
    assert 0 <= error <= 1
    assert error >= abs(confidence_N.mean() - right_N.mean()) - 1e-9


def test_bins_have_equal_size_and_the_most_confident_is_last():
    confidence_L = np.linspace(0, 1, 150)
    rows = reliability(confidence_L, confidence_L > 0.5)
    assert [row["lines"] for row in rows] == [10] * BINS
    assert rows == sorted(rows, key=lambda row: row["confidence"])
    assert (rows[0]["right"], rows[-1]["right"]) == (0, 1)


def test_the_reject_curve_keeps_the_most_confident_lines():
    edits = np.where(np.arange(100) < 90, 0, 10)
    rows = reject_curve(np.linspace(1, 0, 100), scored(edits, np.full(100, 10)))
    curve = {row["kept"]: row["cer"] for row in rows}
    assert curve[100] == pytest.approx(0.1)
    assert curve[95] == round(5 / 95, 6)
    # Half a line is rounded to the even number: 9.5 of ten lines are ten, and 0.95 of one is one.
    rows = reject_curve(np.linspace(1, 0, 10), scored([0] * 9 + [5], [10] * 10))
    assert [row["cer"] for row in rows[:3]] == [0.05, 0.05, 0]
    assert [row["kept"] for row in rows] == [100, 95, 90, 80, 70, 50]
    assert [curve[kept] for kept in (90, 80, 70, 50)] == [0, 0, 0, 0]


def test_the_reject_curve_weights_lines_by_their_length():
    rows = reject_curve(np.array([0.9, 0.1]), scored([1, 0], [2, 98]))
    assert (rows[0], rows[-1]) == ({"kept": 100, "cer": 0.01}, {"kept": 50, "cer": 0.5})


def test_a_reject_curve_of_no_line_is_an_error():
    with pytest.raises(NetchuError, match="no line"):
        reject_curve(np.zeros(0), scored([], []))


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.5])
def test_a_confidence_outside_0_to_1_is_an_error(bad):
    with pytest.raises(NetchuError, match="confidence 1 is"):
        ece_with_interval(np.array([0.5, bad]), np.array([True, True]), ["a", "b"], 10, 1)
