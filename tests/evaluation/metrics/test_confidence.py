import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.confidence import calibration, rejecting, reliability
from netchu.release.calibration import BINS, calibration_error

lines = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from("abc")), min_size=1)


@settings(deadline=None, max_examples=40)
@given(lines)
def test_the_error_is_calibrations_and_lies_in_its_interval(rows):
    confidence_L, right_L = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = calibration(confidence_L, right_L, [r[2] for r in rows], 30, 1)
    assert found["ece"] == round(calibration_error(confidence_L, right_L), 6)
    assert 0 <= found["ece_low"] <= found["ece"] + 1e-6
    assert found["ece_high"] >= found["ece"] - 1e-6
    assert sum(row["lines"] for row in reliability(confidence_L, right_L)) == len(rows)


def test_who_is_sure_and_wrong_is_found_out():
    sure_L, right_L = np.full(60, 0.9), np.arange(60) % 10 != 0
    groups = [str(i) for i in range(60)]
    assert calibration(sure_L, np.zeros(60, bool), groups, 200, 1)["ece"] == pytest.approx(0.9)
    honest = calibration(sure_L, right_L, groups, 200, 1)
    assert honest["ece"] < 0.15


def test_bins_are_equal_and_the_surest_last():
    confidence_L = np.linspace(0, 1, 150)
    rows = reliability(confidence_L, confidence_L > 0.5)
    assert [row["lines"] for row in rows] == [10] * BINS
    assert rows == sorted(rows, key=lambda row: row["confidence"])
    assert (rows[0]["right"], rows[-1]["right"]) == (0, 1)


def test_rejecting_the_least_sure_lowers_the_rate():
    scored = pd.DataFrame({"edits": [0, 0, 0, 5], "characters": [10] * 4})
    curve = rejecting(np.array([0.9, 0.8, 0.7, 0.1]), scored)
    assert curve[0] == {"kept": 100, "cer": 0.125}
    assert curve[-1] == {"kept": 50, "cer": 0}


@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.5])
def test_a_confidence_that_is_none_is_named(bad):
    with pytest.raises(NetchuError, match="confidence 1 is"):
        calibration(np.array([0.5, bad]), np.array([True, True]), ["a", "b"], 10, 1)
