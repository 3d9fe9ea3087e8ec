"""Calibration: fitting the temperature and the scalings."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import language
from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.greedy import greedy_decode
from netchu.decoding.scaling import fit_platt_scaling, softmax
from netchu.evaluation.metrics.confidence import expected_calibration_error
from netchu.release import calibration
from netchu.release.calibration import (
    DecodedLine,
    Evidence,
    character_confidences,
    collect_evidence,
    correct_characters,
    decode_and_compare,
    evaluate_scales,
    fit_and_evaluate_temperature,
    fit_calibration,
    fit_scales,
    fit_temperature,
    line_confidences,
)

CODEC = Codec("abc")


def logits_of(text, mean_confidence=6.0, blank_between=True):
    """Logits (T, 4) that are read as `text`: each character on two steps, then a blank."""
    steps = [i for letter in CODEC.encode(text) for i in ([letter, letter] + [0] * blank_between)]
    logits_TV = np.zeros((len(steps) or 2, CODEC.size), np.float32)
    logits_TV[np.arange(len(logits_TV)), steps or [0, 0]] = mean_confidence
    return logits_TV


def random_evidence(temperature, lines=400, characters=10, seed=5):
    """Return characters that are right as often as softmax(logits / temperature) says."""
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
def test_the_fitted_temperature_is_the_one_behind_the_errors(temperature):
    assert fit_temperature(random_evidence(temperature)) == pytest.approx(temperature, rel=0.1)


def test_the_temperature_lowers_the_errors_of_an_overconfident_network():
    found = fit_and_evaluate_temperature(random_evidence(2.5, lines=1000, characters=3))
    assert found["temperature"] == pytest.approx(2.5, rel=0.1)
    assert found["character_ece_before"] > 0.2
    assert found["character_ece"] < 0.04
    assert found["line_ece"] < found["line_ece_before"] / 3


def interleaved(even, odd):
    """Evidence whose lines 0, 2, … are those of `even`, and 1, 3, … those of `odd`."""
    lines_N = np.concatenate([2 * even.lines_N, 2 * odd.lines_N + 1])
    order_N = np.argsort(lines_N, kind="stable")
    columns = [
        np.concatenate([getattr(half, name) for half in (even, odd)])[order_N]
        for name in ("logits_NV", "ids_N", "correct_N")
    ]
    right_L = np.stack([even.line_correct_L, odd.line_correct_L], 1).ravel()
    return Evidence(*columns, lines_N[order_N], right_L)


def test_each_half_of_the_lines_is_judged_at_the_temperature_of_the_other():
    even, odd = random_evidence(0.5, 200, 4, seed=1), random_evidence(2.0, 200, 4, seed=2)
    both = interleaved(even, odd)
    for_even, for_odd = fit_temperature(odd), fit_temperature(even)
    assert for_odd < 0.7 < 1.5 < for_even

    def ece(confidences, even_right, odd_right):
        scaled = np.concatenate([confidences(even, for_even), confidences(odd, for_odd)])
        return expected_calibration_error(scaled, np.concatenate([even_right, odd_right]))

    assert fit_and_evaluate_temperature(both) == {
        "temperature": fit_temperature(both),
        "character_ece": round(ece(character_confidences, even.correct_N, odd.correct_N), 6),
        "line_ece": round(ece(line_confidences, even.line_correct_L, odd.line_correct_L), 6),
        "character_ece_before": round(
            expected_calibration_error(character_confidences(both, 1.0), both.correct_N), 6
        ),
        "line_ece_before": round(
            expected_calibration_error(line_confidences(both, 1.0), both.line_correct_L), 6
        ),
    }


@pytest.mark.parametrize("seed", range(4))
def test_no_other_temperature_is_more_likely(seed):
    evidence = random_evidence([0.4, 0.9, 1.7, 3.0][seed], lines=60, seed=seed)

    def likelihood(temperature):
        """Mean log-probability of what was right and of what was wrong, from the logits."""
        logits_NV = evidence.logits_NV.astype(np.float64) / temperature
        chosen_N = logits_NV[np.arange(len(logits_NV)), evidence.ids_N]
        p_N = np.exp(chosen_N) / np.exp(logits_NV).sum(1)
        return np.where(evidence.correct_N, np.log(p_N), np.log(1 - p_N)).mean()

    found = fit_temperature(evidence)
    assert found == round(found, 3)
    best = max(np.geomspace(0.25, 4, 2000), key=likelihood)
    assert found == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize(("right", "temperature"), [(True, 0.25), (False, 4.0)])
def test_the_temperature_stays_between_a_quarter_and_four(right, temperature):
    evidence = random_evidence(1.0, lines=20)
    evidence = replace(evidence, correct_N=np.full(len(evidence.ids_N), right))
    assert fit_temperature(evidence) == temperature


def test_evidence_compares_each_character_with_the_truth():
    lines = [(logits_of("abc"), "abc"), (logits_of("abb"), "acb"), (logits_of(""), "a")]
    evidence = collect_evidence(lines, CODEC)
    assert evidence.ids_N.tolist() == CODEC.encode("abcabb")
    assert evidence.correct_N.tolist() == [True, True, True, True, False, True]
    assert evidence.lines_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert evidence.line_correct_L.tolist() == [True, False, False]


def test_evidence_has_the_logits_of_the_most_probable_step():
    logits_TV = logits_of("a")
    logits_TV[1, 1] = 9.0
    evidence = collect_evidence([(logits_TV, "a")], CODEC)
    assert evidence.logits_NV[0].tolist() == [0, 9.0, 0, 0]


def test_a_lines_confidence_is_the_product_and_0_if_nothing_was_read():
    evidence = collect_evidence(
        [(logits_of("ab"), "ab"), (logits_of(""), "a"), (logits_of("c"), "c")], CODEC
    )
    one = character_confidences(evidence, 2.0)[0]
    assert 0.25 < one < 1
    np.testing.assert_allclose(line_confidences(evidence, 2.0), [one * one, 0, one], rtol=1e-5)


def test_a_network_that_reads_nothing_cannot_be_calibrated():
    with pytest.raises(NetchuError, match="train the network further"):
        collect_evidence([(logits_of(""), "a")], CODEC)


def random_decoded_lines(characters, lines=800, seed=3):
    """Return overconfident lines whose errors come word by word."""
    rng = np.random.default_rng(seed)
    decoded = []
    for _ in range(lines):
        sure = rng.uniform(0.7, 1, 4)
        right = np.repeat(rng.random(4) < sure**2, characters)
        decoded.append(
            DecodedLine(tuple(np.repeat(sure, characters)), tuple(right), bool(right.all()))
        )
    return decoded


def test_scalings_lower_errors_that_come_word_by_word():
    decoded = random_decoded_lines(5)
    products = np.array([np.prod(line.confidences) for line in decoded])
    wholes = np.array([line.all_correct for line in decoded])
    errors = evaluate_scales(decoded)
    assert expected_calibration_error(products, wholes) > 0.1
    assert errors["character_ece"] < 0.04
    assert errors["line_ece"] < 0.05
    scales = fit_scales(decoded)
    assert scales.lines.apply(float(np.median(products))) > np.median(products)


def test_the_error_of_the_temperature_is_judged_on_lines_that_it_was_not_fitted_to():
    # 15 right lines of one character, 15 wrong ones of two, in turn; logits 1 against three 0. The
    # right ones ask for the lowest temperature, with which the wrong ones are then scaled.
    lines_N = np.concatenate([[n] * (1 + n % 2) for n in range(30)])
    correct_N = lines_N % 2 == 0
    logits_NV = np.tile(np.array([0, 1, 0, 0], np.float32), (45, 1))
    line_correct_L = np.arange(30) % 2 == 0
    evidence = Evidence(logits_NV, np.ones(45, int), correct_N, lines_N, line_correct_L)
    found = fit_and_evaluate_temperature(evidence)
    low, high = np.exp(4) / (np.exp(4) + 3), np.exp(0.25) / (np.exp(0.25) + 3)
    assert found["character_ece"] == pytest.approx((15 * (1 - high) + 30 * low) / 45, abs=1e-3)
    before = np.e / (np.e + 3)
    assert found["character_ece_before"] == pytest.approx(
        np.abs(before - correct_N.reshape(15, 3).mean(1)).mean(), abs=0.2
    )
    assert found["line_ece"] > 0.6


def test_each_half_of_the_lines_is_judged_by_the_scalings_of_the_other():
    even, odd = random_decoded_lines(3, lines=60, seed=1), random_decoded_lines(5, lines=60, seed=2)
    even[0] = DecodedLine((), (), False)
    scaled, right, wholes, wholes_right = [], [], [], []
    for half, other in ((even, odd), (odd, even)):
        scales = fit_scales(other)
        for line in half:
            confidences = [scales.characters.apply(p) for p in line.confidences]
            scaled += confidences
            right += line.correct
            wholes.append(scales.lines.apply(np.prod(confidences) if confidences else 0))
            wholes_right.append(line.all_correct)
    decoded = [line for pair in zip(even, odd, strict=True) for line in pair]
    assert evaluate_scales(decoded) == {
        "character_ece": round(expected_calibration_error(np.array(scaled), np.array(right)), 6),
        "line_ece": round(expected_calibration_error(np.array(wholes), np.array(wholes_right)), 6),
    }


def test_lines_are_scaled_by_the_product_of_their_scaled_characters():
    decoded = random_decoded_lines(3, lines=80)
    scales = fit_scales(decoded)
    confidences = np.concatenate([line.confidences for line in decoded])
    right = np.concatenate([line.correct for line in decoded])
    assert scales.characters == fit_platt_scaling(confidences, right)
    products = [np.prod([scales.characters.apply(p) for p in line.confidences]) for line in decoded]
    wholes = np.array([line.all_correct for line in decoded])
    assert scales.lines == fit_platt_scaling(np.array(products), wholes)
    assert scales.lines != scales.characters


def test_decoded_lines_are_compared_with_the_truth():
    lines = [(softmax(logits_of(text)), truth)
             for text, truth in (("abc", "abc"), ("abb", "acb"), ("", "a"))]  # fmt: skip
    first, second, empty = decode_and_compare(lines, CODEC, greedy_decode)
    assert (first.correct, first.all_correct) == ((True, True, True), True)
    assert (second.correct, second.all_correct) == ((True, False, True), False)
    assert second.confidences == tuple(e.probability for e in greedy_decode(lines[1][0]))
    assert empty == ((), (), False)


def test_lines_on_which_nothing_was_read_do_not_change_the_scalings():
    decoded = random_decoded_lines(2, lines=60)
    empty = [DecodedLine((), (), False)] * 60
    assert fit_scales(decoded + empty) == fit_scales(decoded)
    assert evaluate_scales(empty) == {"character_ece": 0.0, "line_ece": 0.0}


class NoisyNetwork:
    """Logits (B, T, V) of lines by their number, each a text with noise."""

    alphabet, preprocessing = ALPHABET, "as the network's lines are prepared"

    def __init__(self, texts, steps=58):
        codec, rng = Codec(ALPHABET), np.random.default_rng(3)
        self.logits_LTV = rng.normal(0, 1.2, (len(texts), steps, codec.size)).astype(np.float32)
        for logits_TV, text in zip(self.logits_LTV, texts, strict=True):
            ids = [i for letter in codec.encode(text) for i in (letter, 0)]
            ids += [0] * (steps - len(ids))
            logits_TV[np.arange(steps), ids] += 4

    def __call__(self, numbers_B):
        return torch.from_numpy(self.logits_LTV)[numbers_B].double()


def test_a_network_is_calibrated_with_and_without_a_language_model(tmp_path, monkeypatch):
    texts = [*language.TOWNS, *language.PROSE[:1]] * 2
    network, codec = NoisyNetwork(texts), Codec(ALPHABET)
    asked = []

    def batches(lines, preprocessing, batch_size):
        asked.append((lines, preprocessing, batch_size))
        for numbers in np.array_split(np.arange(len(texts)), 5):
            yield SimpleNamespace(
                images_BCHW=torch.tensor(numbers), texts=tuple(texts[n] for n in numbers)
            )

    monkeypatch.setattr(calibration, "frame_batches", batches)
    pairs = list(zip(network.logits_LTV, texts, strict=True))
    greedy = fit_and_evaluate_temperature(collect_evidence(pairs, codec))
    assert abs(greedy["temperature"] - 1) > 0.1
    found = fit_calibration(network, "the lines", None)
    assert (found.greedy, found.scales, found.decoder) == (greedy, None, {})
    assert found.card() == {"temperature": greedy["temperature"]}
    file = language.write(tmp_path / "language_model.npz")
    helped = fit_calibration(network, "the lines", file)
    assert asked == [("the lines", network.preprocessing, 8)] * 2
    decoder = BeamDecoder(ALPHABET, file)
    decoded, unscaled = (
        decode_and_compare(((softmax(logits, t), text) for logits, text in pairs), codec,
                           decoder.decode)
        for t in (greedy["temperature"], 1.0)
    )  # fmt: skip
    assert helped.greedy == greedy
    assert helped.scales == fit_scales(decoded) != fit_scales(unscaled)
    assert helped.decoder == evaluate_scales(decoded)
    assert helped.card() == {
        "temperature": greedy["temperature"],
        "scales": {"characters": helped.scales.characters, "lines": helped.scales.lines},
    }


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
    assert correct_characters(truth, reading) == [bool(mark) for mark in right]
