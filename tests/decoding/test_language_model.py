"""The letter language model: estimation, smoothing, mixture."""

import numpy as np
import pytest

import language
from netchu.core.errors import NetchuError
from netchu.decoding.language_model import (
    INSERTION_BONUS,
    LM_WEIGHT,
    MIN_WEIGHT,
    STEPS_PER_NAT,
    LanguageModel,
    NgramModel,
)
from netchu.release.ngrams import (
    COST_STEP,
    SYMBOLS,
    MixtureComponent,
    estimate,
    write_language_model,
)

ROUNDING = np.exp(COST_STEP / STEPS_PER_NAT / 2)
"""Costs are rounded, so a factor is wrong by at most this ratio."""


def test_probabilities_are_those_of_witten_and_bell():
    # By hand. The text " aab " has the letters a 2, space 2, b 1: five, of three kinds. After a
    # stand a and b, once each; after the space only a, after b only the space.
    model = NgramModel(
        estimate(MixtureComponent(((["aab"], 1),), order=2, min_gain=0, min_count=0)), len(SYMBOLS)
    )
    any_symbol = 1 / len(SYMBOLS)
    space, a, b = ((count + 3 * any_symbol) / (5 + 3) for count in (2, 2, 1))
    expected = {
        "": {" ": space, "a": a, "b": b, "c": 3 / 8 * any_symbol},
        "a": {"a": (1 + 2 * a) / 4, "b": (1 + 2 * b) / 4, " ": space / 2,
              "c": 3 / 16 * any_symbol},
        "b": {" ": (1 + space) / 2, "a": a / 2},
        " ": {"a": (1 + a) / 2, "b": b / 2},
        "ba": {"a": (1 + 2 * a) / 4},
    }  # fmt: skip
    for before, chances in expected.items():
        state = 0
        for letter in before:
            _, state = model.step(state, 1 + SYMBOLS.index(letter))
        for letter, chance in chances.items():
            found, _ = model.step(state, 1 + SYMBOLS.index(letter))
            # One cost, and one for each shorter context that is fallen back to.
            ratio = max(found / chance, chance / found)
            assert ratio <= ROUNDING ** (3 if letter == "c" else 2) * 1.001, (before, letter)
        total = sum(model.step(state, symbol)[0] for symbol in range(1, len(SYMBOLS) + 1))
        assert ROUNDING**-2 < total < ROUNDING**2


def test_an_ngram_is_kept_if_it_gains_enough():
    # In " aab ", in nats against falling back to the letter alone, by hand; letters always stay.
    space, a, b = ((count + 3 / len(SYMBOLS)) / 8 for count in (2, 2, 1))
    gains = [np.log((1 + 2 * a) / (2 * a)), np.log((1 + 2 * b) / (2 * b)),
             np.log((1 + a) / a), np.log((1 + space) / space)]  # fmt: skip
    for threshold in (0.5, 0.9 * gains[0], 1.01 * gains[0], 1.01 * gains[1], 9.0):
        nodes_4N = estimate(MixtureComponent(((["aab"], 1),), 2, threshold, 0))
        assert nodes_4N.shape[1] == 1 + 3 + sum(gain >= threshold for gain in gains)


# A trie of a, b, ab, ba and aba: of each node its symbol, its number of children, the cost of the
# symbol and the cost of backing off.
TRIE = np.array([[0, 1, 2, 2, 1, 1], [2, 1, 1, 1, 0, 0], [0, 10, 20, 30, 40, 50],
                 [5, 6, 7, 8, 9, 11]], np.uint8)  # fmt: skip
ROOT, A, B, AB, BA, ABA = range(6)


@pytest.mark.parametrize(
    ("before", "symbol", "cost", "after"),
    [
        (ROOT, 1, 10, A),
        (A, 2, 30, AB),
        (AB, 1, 50, ABA),
        (BA, 2, 9 + 30, AB),  # "bab" is not there, "ab" is
        (ABA, 2, 11 + 9 + 30, AB),
        (B, 2, 7 + 20, B),
        (AB, 2, 8 + 7 + 20, B),
        (ABA, 1, 11 + 9 + 6 + 10, A),
        (ABA, 3, 11 + 9 + 6 + 5, ROOT),  # unknown to the trie: one of four symbols
    ],
)
def test_an_unknown_ngram_is_backed_off_to_its_suffixes(before, symbol, cost, after):
    factor, state = NgramModel(TRIE, 4).step(before, symbol)
    seen = 4 if symbol == 3 else 1
    assert (factor, state) == (pytest.approx(np.exp(-cost / STEPS_PER_NAT) / seen), after)


def test_a_character_that_the_texts_lack_is_symbol_0(file):
    assert LanguageModel(file).symbol("\N{SNOWMAN}") == 0


def test_texts_are_counted_with_their_weights():
    # a once with weight 6, b once with weight 2, and a space around each of them.
    texts = ((["a"], 6), (["b"], 2))
    model = NgramModel(
        estimate(MixtureComponent(texts, order=1, min_gain=0, min_count=0)), len(SYMBOLS)
    )
    a, b, space = (model.step(0, 1 + SYMBOLS.index(letter))[0] for letter in "ab ")
    any_symbol = 3 / len(SYMBOLS)
    assert a == pytest.approx((6 + any_symbol) / 27, rel=ROUNDING - 1)
    assert b == pytest.approx((2 + any_symbol) / 27, rel=ROUNDING - 1)
    assert space == pytest.approx((16 + any_symbol) / 27, rel=ROUNDING - 1)


def test_the_weight_of_a_component_follows_bayes_rule_as_the_text_grows(file):
    model = LanguageModel(file)
    ends = []
    for text in ("hải phòng tổ 12 thôn an", "em có một con mèo trời hôm nay"):
        context, weight = model.start, 0.5
        for letter in text:
            symbol = model.symbol(letter)
            address, _ = model._addresses.step(context[0], symbol)
            prose, _ = model._prose.step(context[1], symbol)
            mixed = weight * address + (1 - weight) * prose
            factor, context = model.step(context, symbol)
            chance = mixed / 10 if letter.isdigit() else mixed
            assert factor == pytest.approx(INSERTION_BONUS * max(chance, 1e-5) ** LM_WEIGHT)
            weight = min(max(weight * address / mixed, MIN_WEIGHT), 1 - MIN_WEIGHT)
            assert context[2] == pytest.approx(weight)
        ends.append(weight)
    assert ends[0] == pytest.approx(1 - MIN_WEIGHT)
    assert ends[1] < 0.5  # the component of prose predicts the sentence better


def test_a_digit_has_a_tenth_of_the_probability_of_the_digit_symbol(file):
    model = LanguageModel(file)
    zero, one = (model.step(model.start, model.symbol(digit))[0] for digit in "07")
    chance, _ = model._addresses.step(model.start[0], model.symbol("0"))
    other, _ = model._prose.step(model.start[1], model.symbol("0"))
    assert zero == one == pytest.approx(INSERTION_BONUS * ((chance + other) / 2 / 10) ** LM_WEIGHT)


def test_text_like_the_training_text_is_more_probable(file):
    model = LanguageModel(file)

    def cost(text):
        context, total = model.start, 0.0
        for letter in text:
            factor, context = model.step(context, model.symbol(letter))
            total -= np.log(factor)
        return total

    assert cost("Hải Phòng") < cost("Hải Phóng") < cost("Hxi Phqng")
    assert cost("con mèo") < cost("con mẹo")
    assert cost("tổ 12") == cost("TỔ 94")


def test_equal_texts_give_equal_bytes(file, tmp_path):
    again = language.write(tmp_path / "again.npz")
    assert again.read_bytes() == file.read_bytes()


def test_rare_prose_is_pruned(tmp_path):
    secret, path = "xquyz", tmp_path / "model.npz"
    prose = MixtureComponent(
        ((language.PROSE * 5 + [secret], 1),), order=5, min_gain=0, min_count=3
    )
    write_language_model((prose, prose), path)
    component = LanguageModel(path)._prose
    assert bytes(map(LanguageModel(path).symbol, "xq")) not in _strings(component)
    assert bytes(map(LanguageModel(path).symbol, "mèo")) in _strings(component)


def _strings(component):
    """Every n-gram of a trie."""
    found = [b""]
    for node in range(len(component._symbols)):
        for child in range(component._first[node], component._first[node + 1]):
            found.append(found[node] + component._symbols[child : child + 1])
    return found


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"text " * 99])
def test_a_file_that_is_not_a_model_is_named_in_the_error(tmp_path, content):
    path = tmp_path / "odd.npz"
    path.write_bytes(content)
    with pytest.raises(NetchuError, match=r"odd\.npz is not a language model"):
        LanguageModel(path)


def test_a_truncated_or_missing_model_is_named_in_the_error(file, tmp_path):
    cut = tmp_path / "cut.npz"
    cut.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(NetchuError, match=r"cut\.npz"):
        LanguageModel(cut)
    with pytest.raises(NetchuError, match="there is no language model at"):
        LanguageModel(tmp_path / "gone.npz")


@pytest.mark.parametrize("row", [0, 1])
def test_nodes_that_are_not_a_trie_are_an_error(file, tmp_path, row):
    with np.load(file) as found:
        arrays = dict(found)
    arrays["prose"] = arrays["prose"].copy()
    arrays["prose"][row, 40:60] = 7
    np.savez(tmp_path / "bent.npz", **arrays)
    with pytest.raises(NetchuError, match=r"bent\.npz is not a language model"):
        LanguageModel(tmp_path / "bent.npz")
