from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.decoding import beam
from netchu.decoding.alignment import align
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.greedy import emissions, greedy
from netchu.decoding.language_model import REWARD, WEIGHT, LanguageModel, fold
from netchu.decoding.scaling import Scale
from netchu.release.ngrams import Expert, experts, write

TOWNS = ["Hà Nội", "Hải Phòng", "Đà Nẵng", "Tổ 12 Thôn An Định", "Số 7, phố Huế"]
PROSE = ["nhà em có một con mèo", "trời hôm nay rất đẹp, em đi học"]


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "language_model.npz"
    write(experts(TOWNS * 60, PROSE * 20, ["nội", "nối"], PROSE * 20), path)
    return path


@pytest.fixture(scope="session")
def decoder(file):
    return BeamDecoder(ALPHABET, file)


def ids_of(text):
    return [1 + ALPHABET.index(letter) for letter in text]


def text_of(found):
    return "".join(ALPHABET[emission.id - 1] for emission in found)


def written(text, sure=0.98, doubts=()):
    """Steps that write `text`: a letter, then a blank; doubts: place -> (letter, probability)."""
    steps_TV = np.full((2 * len(text), len(ALPHABET) + 1), 1e-6, np.float32)
    steps_TV[1::2, 0] = sure
    steps_TV[np.arange(0, 2 * len(text), 2), ids_of(text)] = sure
    for place, letter, probability in doubts:
        steps_TV[2 * place] = 1e-6
        steps_TV[2 * place, ids_of(text[place])] = 1 - probability
        steps_TV[2 * place, ids_of(letter)] = probability
    return steps_TV


@given(st.text(st.sampled_from(ALPHABET), max_size=25))
def test_what_the_network_is_sure_of_is_read_as_it_stands(decoder, text):
    assert text_of(decoder.decode(written(text, sure=0.9999))) == text


@pytest.mark.parametrize(
    "text", ["P.12", "123/4B", "Krông Búk", "TP.HCM", "zxqwj", "00000000", "(?!)", "Số 7/21A"]
)
def test_numbers_and_unknown_words_survive(decoder, text):
    assert text_of(decoder.decode(written(text, sure=0.9))) == text


def test_a_doubtful_letter_is_read_by_its_word(decoder):
    for wanted, misread in (("Hà Nội", "Hà Nối"), ("Hải Phòng", "Hải Phóng")):
        place = next(i for i, (a, b) in enumerate(zip(wanted, misread, strict=True)) if a != b)
        steps_TV = written(misread, doubts=[(place, wanted[place], 0.3)])
        assert text_of(greedy(steps_TV)) == misread
        assert text_of(decoder.decode(steps_TV)) == wanted


@given(st.permutations("0123456789"), st.floats(0.05, 0.45))
def test_no_digit_is_preferred_to_another(decoder, digits, doubt):
    text, other = "Tổ " + "".join(digits[:4]), digits[5]
    steps_TV = written(text, doubts=[(4, other, doubt)])
    assert text_of(decoder.decode(steps_TV)) == text


def test_an_emission_says_where_and_how_sure_its_word_makes_it(decoder):
    found = decoder.decode(written("Hà Nối", doubts=[(4, "ộ", 0.3)]))
    assert [(e.begin, e.end) for e in found] == [(2 * i, 2 * i + 1) for i in range(6)]
    assert 0.3 < found[4].probability < 1
    (unknown,) = decoder.decode(written("x", doubts=[(0, "q", 0.3)]))
    assert unknown.probability == pytest.approx(0.7, abs=0.1)
    assert unknown.alternatives == ((ids_of("q")[0], pytest.approx(1 - unknown.probability)),)


def test_a_character_that_the_network_holds_unlikely_is_less_sure(decoder):
    sure = [
        decoder.decode(written("Hà Nối", doubts=[(4, "ộ", doubt)]))[4].probability
        for doubt in (0.2, 0.4, 0.6, 0.8)
    ]
    assert sure == sorted(sure)
    assert sure[0] < sure[-1]


def test_the_scale_changes_how_sure_and_nothing_else(file, decoder):
    scaled = BeamDecoder(ALPHABET, file, Scale(0.5, -0.3))
    steps_TV = written("Hà Nối", doubts=[(4, "ộ", 0.3)])
    for plain, other in zip(decoder.decode(steps_TV), scaled.decode(steps_TV), strict=True):
        assert other.probability == pytest.approx(Scale(0.5, -0.3).of(plain.probability))
        assert (other.id, other.begin, other.end) == (plain.id, plain.begin, plain.end)


@given(st.integers(0, 99))
def test_what_is_written_and_what_else_it_might_be_share_one(decoder, seed):
    rng = np.random.default_rng(seed)
    steps_TV = rng.dirichlet(np.full(len(ALPHABET) + 1, 0.01), 9).astype(np.float32)
    for emission in decoder.decode(steps_TV):
        shares = [share for _, share in emission.alternatives]
        assert shares == sorted(shares, reverse=True)
        assert emission.probability + sum(shares) <= 1 + 1e-6
        assert emission.id not in dict(emission.alternatives)


def test_a_digit_is_no_likelier_than_one_of_ten(file):
    model = LanguageModel(file)
    zero, one = (model.step(model.start, model.symbol(digit))[0] for digit in "07")
    chance, _ = model._addresses.step(model.start[0], model.symbol("0"))
    other, _ = model._prose.step(model.start[1], model.symbol("0"))
    assert zero == one == pytest.approx(REWARD * ((chance + other) / 2 / 10) ** WEIGHT)


def test_an_unreadable_line_takes_bounded_work(decoder, monkeypatch):
    grown = []
    grow = BeamDecoder._grow
    monkeypatch.setattr(BeamDecoder, "_grow", lambda *a: grown.append(1) or grow(*a))
    steps = 60
    noise_TV = np.full((steps, len(ALPHABET) + 1), 1 / (len(ALPHABET) + 1), np.float32)
    noise_TV *= np.random.default_rng(1).uniform(0.5, 1.5, noise_TV.shape).astype(np.float32)
    assert (noise_TV > beam.LEAST_PROBABILITY).sum() > 60 * steps
    decoder.decode(noise_TV)
    assert 0 < len(grown) <= steps * beam.MOST_CLASSES * beam.WIDTH


def test_no_steps_no_text(decoder):
    assert decoder.decode(np.zeros((0, len(ALPHABET) + 1), np.float32)) == []
    assert decoder.decode(np.eye(1, len(ALPHABET) + 1, dtype=np.float32).repeat(9, 0)) == []


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.integers(1, 20))
def test_noise_is_read_without_a_fall(decoder, seed, steps):
    rng = np.random.default_rng(seed)
    noise_TV = rng.dirichlet(np.full(len(ALPHABET) + 1, 0.02), steps).astype(np.float32)
    found = decoder.decode(noise_TV)
    assert all(0 <= e.begin < e.end <= steps for e in found)
    assert all(a.end <= b.begin for a, b in pairwise(found))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 99))
def test_the_best_path_of_the_greedy_text_is_the_greedy_path(path, seed):
    rows_TV = np.random.default_rng(seed).dirichlet(np.ones(6), len(path)).astype(np.float32)
    found = greedy(rows_TV)
    assert emissions(rows_TV, align(rows_TV, [e.id for e in found])) == found


@given(st.text(st.sampled_from("abàộ0 ,"), max_size=12))
def test_the_experts_probabilities_sum_to_one(file, text):
    model = LanguageModel(file)
    for expert in (model._addresses, model._prose):
        state = 0
        for letter in fold(text):
            _, state = expert.step(state, model.symbol(letter))
        total = sum(expert.step(state, symbol)[0] for symbol in model._symbols.values())
        assert total == pytest.approx(1, abs=0.1)  # costs are rounded to 1/20 nat


def test_what_was_read_is_foreseen(file):
    model = LanguageModel(file)

    def surprise(text):
        context, total = model.start, 0.0
        for letter in text:
            factor, context = model.step(context, model.symbol(letter))
            total -= np.log(factor)
        return total

    assert surprise("Hải Phòng") < surprise("Hải Phóng") < surprise("Hxi Phqng")
    assert surprise("con mèo") < surprise("con mẹo")
    assert surprise("tổ 12") == surprise("TỔ 94")


def test_equal_texts_give_equal_bytes(file, tmp_path):
    again = tmp_path / "again.npz"
    write(experts(TOWNS * 60, PROSE * 20, ["nội", "nối"], PROSE * 20), again)
    assert again.read_bytes() == file.read_bytes()


def test_rare_prose_is_not_kept(tmp_path):
    secret, path = "xquyz", tmp_path / "model.npz"
    prose = Expert(((PROSE * 5 + [secret], 1),), order=5, least_gain=0, least_count=3)
    write((prose, prose), path)
    expert = LanguageModel(path)._prose
    assert bytes(map(LanguageModel(path).symbol, "xq")) not in _strings(expert)
    assert bytes(map(LanguageModel(path).symbol, "mèo")) in _strings(expert)


def _strings(expert):
    """Every n-gram of a trie."""
    found = [b""]
    for node in range(len(expert._symbols)):
        for child in range(expert._first[node], expert._first[node + 1]):
            found.append(found[node] + expert._symbols[child : child + 1])
    return found


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"text " * 99])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    path = tmp_path / "odd.npz"
    path.write_bytes(content)
    with pytest.raises(NetchuError, match=r"odd\.npz is no language model"):
        LanguageModel(path)


def test_a_cut_or_missing_model_is_named(file, tmp_path):
    cut = tmp_path / "cut.npz"
    cut.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(NetchuError, match=r"cut\.npz"):
        LanguageModel(cut)
    with pytest.raises(NetchuError, match="no language model at"):
        LanguageModel(tmp_path / "gone.npz")


@pytest.mark.parametrize("row", [0, 1])
def test_nodes_that_make_no_trie_are_refused(file, tmp_path, row):
    with np.load(file) as found:
        arrays = dict(found)
    arrays["prose"] = arrays["prose"].copy()
    arrays["prose"][row, 40:60] = 7
    np.savez(tmp_path / "bent.npz", **arrays)
    with pytest.raises(NetchuError, match=r"bent\.npz is no language model"):
        LanguageModel(tmp_path / "bent.npz")
