import numpy as np
import pytest

from netchu.decoding.softmax import softmax


def test_probabilities_along_the_last_axis():
    logits_BV = np.array([[0, 1, 2], [-1000, 1000, 0]], np.float32)
    found_BV = softmax(logits_BV)
    assert found_BV.dtype == np.float32
    np.testing.assert_allclose(found_BV.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(found_BV[0, 1:] / found_BV[0, :-1], np.e, rtol=1e-5)
    assert found_BV[1].tolist() == [0, 1, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_divides_the_logits_and_logarithms_will_do(temperature):
    logits_V = np.random.default_rng(1).normal(0, 3, 20).astype(np.float32)
    wanted_V = softmax(logits_V / temperature)
    np.testing.assert_allclose(softmax(logits_V, temperature), wanted_V, rtol=1e-5)
    again_V = softmax(np.log(softmax(logits_V)), temperature)
    np.testing.assert_allclose(again_V, wanted_V, rtol=1e-3, atol=1e-6)
