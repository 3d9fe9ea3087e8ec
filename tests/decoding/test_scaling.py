import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.decoding.scaling import NO_SCALING, PlattScaling, fit_platt_scaling, softmax


@given(st.floats(0, 1), st.floats(0.01, 4), st.floats(-5, 5))
def test_scaled_confidences_stay_between_0_and_1(confidence, slope, shift):
    assert 0 <= PlattScaling(slope, shift).apply(confidence) <= 1
    assert NO_SCALING.apply(confidence) == pytest.approx(confidence, abs=1e-9)


def test_scaling_keeps_the_order():
    scaled = [PlattScaling(0.4, 1.0).apply(confidence) for confidence in np.linspace(0, 1, 50)]
    assert scaled == sorted(scaled)
    assert scaled[0] == 0


@pytest.mark.parametrize(
    "expected", [PlattScaling(1.0, 0.0), PlattScaling(0.5, 1.2), PlattScaling(2.0, -0.7)]
)
def test_fit_recovers_the_scaling_that_generated_the_data(expected):
    rng = np.random.default_rng(7)
    confidences_N = 1 / (1 + np.exp(-rng.normal(0, 2, 20_000)))
    correct_N = rng.random(20_000) < [expected.apply(confidence) for confidence in confidences_N]
    assert fit_platt_scaling(confidences_N, correct_N) == pytest.approx(expected, abs=0.12)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40), st.sampled_from([1, 1e-9]))
def test_fit_is_finite_with_a_positive_slope_for_any_samples(pairs, small):
    confidences_N = np.array([confidence * small for confidence, _ in pairs])
    correct_N = np.array([right for _, right in pairs], np.bool_)
    fitted = fit_platt_scaling(confidences_N, correct_N)
    assert fitted.slope > 0
    assert np.isfinite(fitted).all()


def test_fit_to_few_correct_samples_stays_moderate():
    fitted = fit_platt_scaling(np.array([0.9, 0.95, 0.99]), np.ones(3, np.bool_))
    assert 0.5 < fitted.apply(0.9) < 0.999


def loss(scaling, confidences_N, correct_N):
    """Negative log-likelihood of samples and of the two pseudo-samples, by the definition."""
    total = 0.0
    pseudo = [(1 / (1 + np.exp(-1)), 0.75), (1 / (1 + np.exp(1)), 0.25)]
    for confidence, target in [*zip(confidences_N, correct_N, strict=True), *pseudo]:
        p = scaling.apply(confidence)
        total -= target * np.log(p) + (1 - target) * np.log1p(-p)
    return total


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), max_size=12),
    st.sampled_from([(0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)]),
)
def test_no_scaling_beside_the_fitted_one_is_more_likely(pairs, step):
    samples = [np.array(column) for column in zip(*pairs, strict=True)] or [np.array([])] * 2
    fitted = fit_platt_scaling(*samples)
    other = PlattScaling(fitted.slope + step[0], fitted.intercept + step[1])
    if other.slope > 0.01:
        assert loss(fitted, *samples) <= loss(other, *samples) + 1e-6


def test_a_fit_to_certain_confidences_is_finite_and_has_four_digits():
    confidences_N = np.array([1.0, 1.0, 0.0, 0.4, 0.8])
    fitted = fit_platt_scaling(confidences_N, np.array([True, False, False, True, True]))
    assert np.isfinite(fitted).all()
    assert fitted == (round(fitted.slope, 4), round(fitted.intercept, 4))
    assert fitted.slope > 0.01


def test_softmax_is_along_the_last_axis():
    logits_BV = np.array([[0, 1, 2], [-1000, 1000, 0]], np.float32)
    found_BV = softmax(logits_BV)
    assert found_BV.dtype == np.float32
    np.testing.assert_allclose(found_BV.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(found_BV[0, 1:] / found_BV[0, :-1], np.e, rtol=1e-5)
    assert found_BV[1].tolist() == [0, 1, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_divides_logits_or_log_probabilities(temperature):
    logits_V = np.random.default_rng(1).normal(0, 3, 20).astype(np.float32)
    wanted_V = softmax(logits_V / temperature)
    np.testing.assert_allclose(softmax(logits_V, temperature), wanted_V, rtol=1e-5)
    again_V = softmax(np.log(softmax(logits_V)), temperature)
    np.testing.assert_allclose(again_V, wanted_V, rtol=1e-3, atol=1e-6)
