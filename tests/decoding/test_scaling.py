import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.decoding.scaling import AS_IS, Scale, fit


@given(st.floats(0, 1), st.floats(0.01, 4), st.floats(-5, 5))
def test_a_scaled_confidence_is_one(confidence, slope, shift):
    assert 0 <= Scale(slope, shift).of(confidence) <= 1
    assert AS_IS.of(confidence) == pytest.approx(confidence, abs=1e-9)


def test_the_order_stays():
    scaled = [Scale(0.4, 1.0).of(confidence) for confidence in np.linspace(0, 1, 50)]
    assert scaled == sorted(scaled)
    assert scaled[0] == 0


@pytest.mark.parametrize("wanted", [Scale(1.0, 0.0), Scale(0.5, 1.2), Scale(2.0, -0.7)])
def test_the_scale_that_lay_behind_the_errors_is_found(wanted):
    rng = np.random.default_rng(7)
    confidence_N = 1 / (1 + np.exp(-rng.normal(0, 2, 20_000)))
    right_N = rng.random(20_000) < [wanted.of(confidence) for confidence in confidence_N]
    assert fit(confidence_N, right_N) == pytest.approx(wanted, abs=0.12)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40), st.sampled_from([1, 1e-9]))
def test_any_evidence_gives_a_scale_that_fits_no_worse_than_none(pairs, small):
    confidence_N = np.array([confidence * small for confidence, _ in pairs])
    right_N = np.array([right for _, right in pairs], np.bool_)
    found = fit(confidence_N, right_N)
    assert found.slope > 0
    assert np.isfinite(found).all()


def test_few_that_are_all_right_stay_modest():
    found = fit(np.array([0.9, 0.95, 0.99]), np.ones(3, np.bool_))
    assert 0.5 < found.of(0.9) < 0.999
