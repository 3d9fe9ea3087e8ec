from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.decoding import beam
from netchu.decoding.alignment import force_align
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.greedy import collapse_path, greedy_decode
from netchu.decoding.language_model import (
    INSERTION_BONUS,
    LM_WEIGHT,
    LanguageModel,
    normalise_symbols,
)
from netchu.decoding.scaling import PlattScaling
from netchu.release.ngrams import MixtureComponent, mixture_components, write_language_model

TOWNS = ["Hà Nội", "Hải Phòng", "Đà Nẵng", "Tổ 12 Thôn An Định", "Số 7, phố Huế"]
PROSE = ["nhà em có một con mèo", "trời hôm nay rất đẹp, em đi học"]


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "language_model.npz"
    write_language_model(
        mixture_components(TOWNS * 60, PROSE * 20, ["nội", "nối"], PROSE * 20), path
    )
    return path


@pytest.fixture(scope="session")
def decoder(file):
    return BeamDecoder(ALPHABET, file)


def ids_of(text):
    return [1 + ALPHABET.index(letter) for letter in text]


def text_of(found):
    return "".join(ALPHABET[emission.id - 1] for emission in found)


def probabilities_of(text, confidence=0.98, doubts=()):
    """A step for each letter, then a blank; doubts: (index, other letter, its probability)."""
    steps_TV = np.full((2 * len(text), len(ALPHABET) + 1), 1e-6, np.float32)
    steps_TV[1::2, 0] = confidence
    steps_TV[np.arange(0, 2 * len(text), 2), ids_of(text)] = confidence
    for index, letter, probability in doubts:
        steps_TV[2 * index] = 1e-6
        steps_TV[2 * index, ids_of(text[index])] = 1 - probability
        steps_TV[2 * index, ids_of(letter)] = probability
    return steps_TV


@given(st.text(st.sampled_from(ALPHABET), max_size=25))
def test_confident_characters_are_not_changed(decoder, text):
    assert text_of(decoder.decode(probabilities_of(text, confidence=0.9999))) == text


@pytest.mark.parametrize(
    "text", ["P.12", "123/4B", "Krông Búk", "TP.HCM", "zxqwj", "00000000", "(?!)", "Số 7/21A"]
)
def test_numbers_and_unknown_words_are_not_changed(decoder, text):
    assert text_of(decoder.decode(probabilities_of(text, confidence=0.9))) == text


def test_the_language_model_corrects_an_uncertain_letter(decoder):
    for wanted, misread in (("Hà Nội", "Hà Nối"), ("Hải Phòng", "Hải Phóng")):
        index = next(i for i, (a, b) in enumerate(zip(wanted, misread, strict=True)) if a != b)
        steps_TV = probabilities_of(misread, doubts=[(index, wanted[index], 0.3)])
        assert text_of(greedy_decode(steps_TV)) == misread
        assert text_of(decoder.decode(steps_TV)) == wanted


@given(st.permutations("0123456789"), st.floats(0.05, 0.45))
def test_no_digit_is_preferred_to_another(decoder, digits, doubt):
    text, other = "Tổ " + "".join(digits[:4]), digits[5]
    steps_TV = probabilities_of(text, doubts=[(4, other, doubt)])
    assert text_of(decoder.decode(steps_TV)) == text


def test_emissions_have_time_steps_and_rescored_confidences(decoder):
    found = decoder.decode(probabilities_of("Hà Nối", doubts=[(4, "ộ", 0.3)]))
    assert [(e.begin, e.end) for e in found] == [(2 * i, 2 * i + 1) for i in range(6)]
    assert 0.3 < found[4].probability < 1
    (unknown,) = decoder.decode(probabilities_of("x", doubts=[(0, "q", 0.3)]))
    assert unknown.probability == pytest.approx(0.7, abs=0.1)
    assert unknown.alternatives == ((ids_of("q")[0], pytest.approx(1 - unknown.probability)),)


def test_confidence_rises_with_the_probability_by_the_network(decoder):
    confidences = [
        decoder.decode(probabilities_of("Hà Nối", doubts=[(4, "ộ", doubt)]))[4].probability
        for doubt in (0.2, 0.4, 0.6, 0.8)
    ]
    assert confidences == sorted(confidences)
    assert confidences[0] < confidences[-1]


def test_scaling_changes_only_the_confidences(file, decoder):
    scaled = BeamDecoder(ALPHABET, file, PlattScaling(0.5, -0.3))
    steps_TV = probabilities_of("Hà Nối", doubts=[(4, "ộ", 0.3)])
    for plain, other in zip(decoder.decode(steps_TV), scaled.decode(steps_TV), strict=True):
        assert other.probability == pytest.approx(PlattScaling(0.5, -0.3).apply(plain.probability))
        assert (other.id, other.begin, other.end) == (plain.id, plain.begin, plain.end)


@given(st.integers(0, 99))
def test_a_character_and_its_alternatives_sum_to_at_most_one(decoder, seed):
    rng = np.random.default_rng(seed)
    steps_TV = rng.dirichlet(np.full(len(ALPHABET) + 1, 0.01), 9).astype(np.float32)
    for emission in decoder.decode(steps_TV):
        shares = [share for _, share in emission.alternatives]
        assert shares == sorted(shares, reverse=True)
        assert emission.probability + sum(shares) <= 1 + 1e-6
        assert emission.id not in dict(emission.alternatives)


def test_a_digit_has_a_tenth_of_the_probability_of_the_digit_symbol(file):
    model = LanguageModel(file)
    zero, one = (model.step(model.start, model.symbol(digit))[0] for digit in "07")
    chance, _ = model._addresses.step(model.start[0], model.symbol("0"))
    other, _ = model._prose.step(model.start[1], model.symbol("0"))
    assert zero == one == pytest.approx(INSERTION_BONUS * ((chance + other) / 2 / 10) ** LM_WEIGHT)


def test_an_unreadable_line_extends_a_bounded_number_of_prefixes(decoder, monkeypatch):
    children = []
    add_child = BeamDecoder._add_child
    monkeypatch.setattr(BeamDecoder, "_add_child", lambda *a: children.append(1) or add_child(*a))
    steps = 60
    noise_TV = np.full((steps, len(ALPHABET) + 1), 1 / (len(ALPHABET) + 1), np.float32)
    noise_TV *= np.random.default_rng(1).uniform(0.5, 1.5, noise_TV.shape).astype(np.float32)
    assert (noise_TV > beam.MIN_CLASS_PROBABILITY).sum() > 60 * steps
    decoder.decode(noise_TV)
    assert 0 < len(children) <= steps * beam.MAX_CLASSES_PER_STEP * beam.BEAM_WIDTH


def test_no_time_steps_or_only_blanks_give_no_emissions(decoder):
    assert decoder.decode(np.zeros((0, len(ALPHABET) + 1), np.float32)) == []
    assert decoder.decode(np.eye(1, len(ALPHABET) + 1, dtype=np.float32).repeat(9, 0)) == []


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.integers(1, 20))
def test_noise_decodes_to_ordered_emissions(decoder, seed, steps):
    rng = np.random.default_rng(seed)
    noise_TV = rng.dirichlet(np.full(len(ALPHABET) + 1, 0.02), steps).astype(np.float32)
    found = decoder.decode(noise_TV)
    assert all(0 <= e.begin < e.end <= steps for e in found)
    assert all(a.end <= b.begin for a, b in pairwise(found))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 99))
def test_forced_alignment_of_the_greedy_text_is_the_greedy_path(path, seed):
    rows_TV = np.random.default_rng(seed).dirichlet(np.ones(6), len(path)).astype(np.float32)
    found = greedy_decode(rows_TV)
    assert collapse_path(rows_TV, force_align(rows_TV, [e.id for e in found])) == found


@given(st.text(st.sampled_from("abàộ0 ,"), max_size=12))
def test_the_probabilities_of_each_component_sum_to_one(file, text):
    model = LanguageModel(file)
    for component in (model._addresses, model._prose):
        state = 0
        for letter in normalise_symbols(text):
            _, state = component.step(state, model.symbol(letter))
        total = sum(component.step(state, symbol)[0] for symbol in model._symbols.values())
        assert total == pytest.approx(1, abs=0.1)  # costs are rounded to 1/20 nat


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
    again = tmp_path / "again.npz"
    write_language_model(
        mixture_components(TOWNS * 60, PROSE * 20, ["nội", "nối"], PROSE * 20), again
    )
    assert again.read_bytes() == file.read_bytes()


def test_rare_prose_is_pruned(tmp_path):
    secret, path = "xquyz", tmp_path / "model.npz"
    prose = MixtureComponent(((PROSE * 5 + [secret], 1),), order=5, min_gain=0, min_count=3)
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
