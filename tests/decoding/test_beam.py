from itertools import groupby, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.text import ALPHABET
from netchu.decoding import beam
from netchu.decoding.beam import BLANK, BeamDecoder
from netchu.decoding.greedy import collapse_path, greedy_decode
from netchu.decoding.language_model import LanguageModel
from netchu.decoding.scaling import PlattScaling
from netchu.release.ngrams import MixtureComponent, write_language_model
from plain_decoding import force_align

FEW = "ab "
"""Letters of the tests that try every path."""


@pytest.fixture(scope="session")
def decoder(file):
    return BeamDecoder(ALPHABET, file)


@pytest.fixture(scope="session")
def doubled(tmp_path_factory):
    """A language model of FEW, for which double letters are probable."""
    path = tmp_path_factory.mktemp("doubled") / "language_model.npz"
    some = MixtureComponent(((["aa", "aab", "bba", "bb", "b"] * 20, 1),), 3, 0, 0)
    other = MixtureComponent(((["ab", "a"] * 20, 1),), 3, 0, 0)
    write_language_model((some, other), path)
    return path


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


def collapsed(path):
    """The text of a CTC path: repeats merged, then blanks dropped."""
    return tuple(id for id, _ in groupby(path) if id)


def search_without_pruning(decoder, rows_TV):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam, "BEAM_WIDTH", 10**6)
        patch.setattr(beam, "MIN_CLASS_PROBABILITY", 0.0)
        patch.setattr(beam, "MAX_CLASSES_PER_STEP", len(FEW) + 1)
        patch.setattr(beam, "PRUNING_RATIO", 0.0)
        patch.setattr(decoder, "_recombines", False)
        classes_T = beam._limited(beam._probable_classes(rows_TV))
        start = beam._Context(decoder._model.start, decoder._model, {})
        return decoder._best_text(rows_TV[:, BLANK].tolist(), classes_T, start)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([0.3, 1.0]))
def test_the_best_text_has_the_highest_sum_over_its_paths(doubled, seed, steps, spread):
    # By trying every path: the probabilities of the paths of a text are added, and weighted with
    # the language model's factors of its letters and of the space behind it.
    model = LanguageModel(doubled)
    rows_TV = np.random.default_rng(seed).dirichlet(np.full(len(FEW) + 1, spread), steps)
    sums = {}
    for path in product(range(len(FEW) + 1), repeat=steps):
        chance = np.prod(rows_TV[range(steps), path])
        sums[collapsed(path)] = sums.get(collapsed(path), 0.0) + chance

    def score(text):
        factors, context = sums[text], model.start
        for symbol in [*(model.symbol(FEW[id - 1]) for id in text), model.symbol(" ")]:
            factor, context = model.step(context, symbol)
            factors *= factor
        return factors

    found = tuple(search_without_pruning(BeamDecoder(FEW, doubled), rows_TV))
    assert score(found) == pytest.approx(max(map(score, sums)), rel=1e-6)
    alone = tuple(search_without_pruning(BeamDecoder(FEW), rows_TV))
    assert sums[alone] == pytest.approx(max(sums.values()), rel=1e-6)


def test_a_repeated_class_is_one_letter_without_a_blank_in_between(doubled):
    # The language model prefers "aa" to "a".
    decoder = BeamDecoder(FEW, doubled)
    letter_V, blank_V = np.array([[0, 1, 0, 0], [1, 0, 0, 0]], np.float32)
    assert [e.id for e in decoder.decode(np.array([letter_V, letter_V]))] == [1]
    assert [e.id for e in decoder.decode(np.array([letter_V, blank_V, letter_V]))] == [1, 1]


def test_the_language_model_has_to_accept_the_end_of_the_last_word(decoder):
    # "Nộ" is no word of the texts, "Nội" is; followed by another letter, both are possible.
    steps_TV = probabilities_of("Hà Nội")
    steps_TV[-2], steps_TV[-1] = 1e-6, 1e-6
    steps_TV[-2, ids_of("i")], steps_TV[-2, 0] = 0.1, 0.9
    steps_TV[-1, 0] = 1
    assert text_of(greedy_decode(steps_TV)) == "Hà Nộ"
    assert text_of(decoder.decode(steps_TV)) == "Hà Nội"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 2), max_size=3), st.integers(0, 3))
def test_forced_alignment_is_the_most_probable_path_of_the_text(seed, ids, more):
    # By trying every path.
    steps = max(1, len(ids) + sum(a == b for a, b in pairwise(ids))) + more
    rows_TV = np.random.default_rng(seed).dirichlet(np.ones(3), steps).astype(np.float32)
    paths = [p for p in product(range(3), repeat=steps) if collapsed(p) == tuple(ids)]
    best = max(paths, key=lambda path: np.prod(rows_TV[range(steps), path]))
    found_T = force_align(rows_TV, ids)
    assert tuple(found_T) == best
    assert found_T.dtype == np.intp


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


def test_confidences_are_weighted_by_the_language_model_given_the_text_before(file, decoder):
    # Of the first letter the network lists H 0.6 and x 0.3, of the second à 0.5 and ả 0.4.
    steps_TV = np.zeros((2, len(ALPHABET) + 1), np.float32)
    steps_TV[0, [*ids_of("Hx"), 0]] = 0.6, 0.3, 0.1
    steps_TV[1, [*ids_of("àả"), 0]] = 0.5, 0.4, 0.1
    first, second = decoder.decode(steps_TV)
    model = LanguageModel(file)
    (h, after_h), (x, _) = (model.step(model.start, model.symbol(letter)) for letter in "hx")
    (a, _), (other, _) = (model.step(after_h, model.symbol(letter)) for letter in "àả")
    assert (first.id, second.id) == tuple(ids_of("Hà"))
    assert first.probability == pytest.approx(0.6 * h / (0.6 * h + 0.3 * x + 0.1))
    assert second.probability == pytest.approx(0.5 * a / (0.5 * a + 0.4 * other + 0.1))
    ((_, share),) = second.alternatives
    assert share == pytest.approx(0.4 * other / (0.5 * a + 0.4 * other + 0.1))


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


def beam_sizes(decoder, steps_TV, monkeypatch):
    """Number of prefixes after each step that has a class."""
    sizes = []
    keep = BeamDecoder._keep

    def counted(self, *arguments):
        kept = keep(self, *arguments)
        sizes.append(len(kept))
        return kept

    monkeypatch.setattr(BeamDecoder, "_keep", counted)
    return text_of(decoder.decode(steps_TV)), sizes


def test_of_prefixes_that_end_alike_the_most_probable_one_is_kept(decoder, monkeypatch):
    # The language model finds all digits equally probable, and so whatever follows them.
    steps_TV = probabilities_of("8 Hà Nội", doubts=[(0, "3", 0.4)])
    text, sizes = beam_sizes(decoder, steps_TV, monkeypatch)
    assert text == "8 Hà Nội"
    assert sizes[0] == 2
    assert set(sizes[1:]) == {1}
    text, sizes = beam_sizes(decoder, probabilities_of("8 Hà", doubts=[(0, "3", 0.6)]), monkeypatch)
    assert text == "3 Hà"


def test_without_a_language_model_all_prefixes_are_kept(monkeypatch):
    steps_TV = probabilities_of("8 Hà Nội", doubts=[(0, "3", 0.4)])
    text, sizes = beam_sizes(BeamDecoder(ALPHABET), steps_TV, monkeypatch)
    assert text == "8 Hà Nội"
    assert set(sizes) == {2}


def test_an_unreadable_line_extends_a_bounded_number_of_prefixes(decoder, monkeypatch):
    children = []
    prefix = beam._Prefix
    monkeypatch.setattr(beam, "_Prefix", lambda *a: children.append(1) or prefix(*a))
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
