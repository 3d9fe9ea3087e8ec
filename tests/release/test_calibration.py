"""Confidences that mean what they say."""

import numpy as np
import pytest

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.decoding.greedy import greedy_decode
from netchu.decoding.scaling import softmax
from netchu.evaluation.metrics.confidence import expected_calibration_error
from netchu.release.calibration import (
    Evidence,
    Judged,
    calibrate,
    character_confidences,
    fit_scales,
    fit_temperature,
    gather,
    judge,
    line_confidences,
    right_characters,
    scale_errors,
)

CODEC = Codec("abc")


def logits_of(text, mean_confidence=6.0, blank_between=True):
    """Logits (T, 4) that are read as `text`: each character on two steps, then a blank."""
    steps = [i for letter in CODEC.encode(text) for i in ([letter, letter] + [0] * blank_between)]
    logits_TV = np.zeros((len(steps) or 2, CODEC.size), np.float32)
    logits_TV[np.arange(len(logits_TV)), steps or [0, 0]] = mean_confidence
    return logits_TV


def drawn_evidence(temperature, lines=400, characters=10, seed=5):
    """Characters that are right as often as softmax(logits / temperature) says."""
    rng = np.random.default_rng(seed)
    number = lines * characters
    logits_NV = rng.normal(0, 3, (number, 20)).astype(np.float32)
    ids_N = logits_NV.argmax(1)
    powers_NV = np.exp(logits_NV / temperature)
    chances_N = powers_NV[np.arange(number), ids_N] / powers_NV.sum(1)
    right_N = rng.random(number) < chances_N
    lines_N = np.repeat(np.arange(lines), characters)
    right_L = right_N.reshape(lines, characters).all(1)
    return Evidence(logits_NV, ids_N, right_N, lines_N, right_L)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_lay_behind_the_errors_is_found(temperature):
    assert fit_temperature(drawn_evidence(temperature)) == pytest.approx(temperature, rel=0.1)


def test_calibrating_an_oversure_network_mends_characters_and_lines():
    found = calibrate(drawn_evidence(2.5, lines=1000, characters=3))
    assert found["temperature"] == pytest.approx(2.5, rel=0.1)
    assert found["character_ece_before"] > 0.2
    assert found["character_ece"] < 0.04
    assert found["line_ece"] < found["line_ece_before"] / 3


def test_what_is_written_is_compared_with_the_truth_character_by_character():
    lines = [(logits_of("abc"), "abc"), (logits_of("abb"), "acb"), (logits_of(""), "a")]
    evidence = gather(lines, CODEC)
    assert evidence.ids_N.tolist() == CODEC.encode("abcabb")
    assert evidence.right_N.tolist() == [True, True, True, True, False, True]
    assert evidence.lines_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert evidence.line_right_L.tolist() == [True, False, False]


def test_a_character_counts_at_its_surest_step():
    logits_TV = logits_of("a")
    logits_TV[1, 1] = 9.0
    evidence = gather([(logits_TV, "a")], CODEC)
    assert evidence.logits_NV[0].tolist() == [0, 9.0, 0, 0]


def test_a_lines_confidence_is_the_product_and_none_where_nothing_was_read():
    evidence = gather([(logits_of("ab"), "ab"), (logits_of(""), "a"), (logits_of("c"), "c")], CODEC)
    one = character_confidences(evidence, 2.0)[0]
    assert 0.25 < one < 1
    np.testing.assert_allclose(line_confidences(evidence, 2.0), [one * one, 0, one], rtol=1e-5)


def test_a_network_that_reads_nothing_cannot_be_calibrated():
    with pytest.raises(NetchuError, match="train the network first"):
        gather([(logits_of(""), "a")], CODEC)


def drawn_judged(characters, lines=800, seed=3):
    """Decoded lines whose letters are wrong by the word, and surer of it than they should be."""
    rng = np.random.default_rng(seed)
    judged = []
    for _ in range(lines):
        sure = rng.uniform(0.7, 1, 4)
        right = np.repeat(rng.random(4) < sure**2, characters)
        judged.append(Judged(tuple(np.repeat(sure, characters)), tuple(right), bool(right.all())))
    return judged


def test_scales_mend_characters_and_lines_that_err_by_the_word():
    judged = drawn_judged(5)
    products = np.array([np.prod(line.characters) for line in judged])
    wholes = np.array([line.whole for line in judged])
    errors = scale_errors(judged)
    assert expected_calibration_error(products, wholes) > 0.1
    assert errors["character_ece"] < 0.04
    assert errors["line_ece"] < 0.05
    scales = fit_scales(judged)
    assert scales.lines.apply(float(np.median(products))) > np.median(products)


def test_judging_decodes_each_line_and_compares():
    lines = [(softmax(logits_of(text)), truth)
             for text, truth in (("abc", "abc"), ("abb", "acb"), ("", "a"))]  # fmt: skip
    first, second, empty = judge(lines, CODEC, greedy_decode)
    assert (first.right, first.whole) == ((True, True, True), True)
    assert (second.right, second.whole) == ((True, False, True), False)
    assert second.characters == tuple(e.probability for e in greedy_decode(lines[1][0]))
    assert empty == ((), (), False)


def test_lines_on_which_nothing_was_read_do_not_bend_the_scale():
    judged = drawn_judged(2, lines=60)
    empty = [Judged((), (), False)] * 60
    assert fit_scales(judged + empty) == fit_scales(judged)
    assert scale_errors(empty) == {"character_ece": 0.0, "line_ece": 0.0}


@pytest.mark.parametrize(
    ("truth", "reading", "right"),
    [
        ("hoà", "hoà", [1, 1, 1]),
        ("hoà", "hòa", [1, 0, 0]),
        ("hoà", "hà", [1, 1]),
        ("hà", "hoà", [1, 0, 1]),
        ("", "ab", [0, 0]),
        ("ab", "", []),
    ],
)
def test_right_characters(truth, reading, right):
    assert right_characters(truth, reading) == [bool(mark) for mark in right]
