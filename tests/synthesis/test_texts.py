"""Generated texts: in the alphabet, of the given length, the same for the same seed."""

import re
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from netchu.core.errors import NetchuError
from netchu.core.params import SyntheticParams
from netchu.core.text import ALPHABET, check_label
from netchu.synthesis import addresses
from netchu.synthesis.addresses import BARE, FREE, FULL, PROVINCES, Gazetteer, random_address
from netchu.synthesis.texts import make_text_generator

VERSES = "Trăm năm trong cõi người ta,\nChữ tài chữ mệnh khéo là ghét nhau.\n"


def params(text, words=(1, 3)):
    return SyntheticParams(text=text, count=1, fonts={}, words=words)


@pytest.fixture
def poem(tmp_path) -> Path:
    (tmp_path / "truyen_kieu.txt").write_text(VERSES, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("words", [(1, 1), (1, 3), (4, 12)])
@pytest.mark.parametrize("text", ["syllable", "address", "verse"])
def test_texts_are_valid_labels_with_the_given_number_of_words(text, words, poem):
    generate = make_text_generator(params(text, words), poem if text == "verse" else None)
    counts = set()
    for seed in range(400):
        written = generate(np.random.default_rng(seed))
        check_label(written, text)
        counts.add(len(written.split()))
    assert min(counts) == words[0]
    assert max(counts) == words[1]


def test_same_seed_same_text_and_another_seed_another():
    generate = make_text_generator(params("address", (4, 9)), None)
    first, second, other = (
        [generate(r) for _ in range(20)] for r in map(np.random.default_rng, (1, 1, 2))
    )
    assert first == second != other


def test_verse_is_consecutive_words_of_the_poem(poem):
    generate = make_text_generator(params("verse", (2, 5)), poem)
    whole = " ".join(VERSES.split() * 2)
    assert all(generate(np.random.default_rng(seed)) in whole for seed in range(50))


def test_syllables_are_balanced():
    """2,000 lines have every letter, and every lower-case one with a diacritic 20 times."""
    generate = make_text_generator(params("syllable", (1, 3)), None)
    seen = Counter("".join(generate(np.random.default_rng(seed)) for seed in range(2000)))
    letters = [letter for letter in ALPHABET if letter.isalpha()]
    assert len(letters) == 186
    assert set(letters) <= set(seen)
    assert min(seen[letter] for letter in letters if letter.islower() and letter > "z") >= 20
    assert set("0123456789,.?!") <= set(seen)


def test_provinces_are_valid_labels():
    provinces = PROVINCES.read_text(encoding="utf-8").splitlines()
    assert len(set(provinces)) == 63
    for name in provinces:
        check_label(name, "provinces.txt")


ADDRESSES = [
    "Đường An Xá, Phường Cống Vị, Quận Ba Đình, Hà Nội",
    "Đường Số 7, Phường 2, Quận 1, Hồ Chí Minh",
    "Đường Tòa Án, Xã Hòa An, Huyện Mê Linh, Hà Nội",
    "Thị trấn Chi Đông, Huyện Mê Linh, Hà Nội",
    "Đường Lê Lợi, Thành Phố Vũng Tàu, Bà Rịa Vũng Tàu",
]


def random_addresses(monkeypatch, style, count=600):
    monkeypatch.setattr(addresses, "STYLES", (style,))
    gazetteer = Gazetteer.from_addresses(ADDRESSES)
    return [random_address(np.random.default_rng(seed), gazetteer) for seed in range(count)]


@pytest.mark.parametrize("style", [FULL, BARE, FREE])
def test_addresses_use_every_street_and_ward(monkeypatch, style):
    texts = " ".join(random_addresses(monkeypatch, style)).lower().replace("toà án", "tòa án")
    for name in ("an xá", "số 7", "tòa án", "lê lợi", "cống vị", "chi đông", "mê linh", "ba đình"):
        assert name in texts


def test_full_addresses_have_commas_and_types_of_unit(monkeypatch):
    texts = random_addresses(monkeypatch, FULL)
    assert sum(", " in text for text in texts) > 590
    assert not any(re.search(r",\S|\s,", text) for text in texts)
    assert sum(text[0].isdigit() for text in texts) / len(texts) == pytest.approx(0.33, abs=0.07)
    assert sum("TP Hồ Chí Minh" in text for text in texts) > 100


def test_bare_addresses_are_capitalised_without_punctuation(monkeypatch):
    texts = random_addresses(monkeypatch, BARE)
    for text in texts:
        assert not set(text) & set(",.-–")
        assert all(word[0] == word[0].upper() for word in text.split())
        assert "Hòa" not in text, "tones stand in the new place"
    assert any("Hoà An" in text for text in texts)
    assert sum("/" in text for text in texts) / len(texts) == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("style", [FULL, BARE, FREE])
def test_a_ward_with_a_number_for_a_name_keeps_its_type(monkeypatch, style):
    monkeypatch.setattr(addresses, "STYLES", (style,))
    gazetteer = Gazetteer.from_addresses(["Đường An Xá, Phường 777, Quận 888, Hà Nội"])
    small_units = [unit.split()[-1].lower() for unit in addresses.SMALL_UNITS]
    for seed in range(300):
        text = random_address(np.random.default_rng(seed), gazetteer)
        for number, kinds in (("777", "phường p p. f"), ("888", "quận q q.")):
            for before in re.findall(rf"(\S*?) ?{number}", text.lower()):
                assert before.rpartition(",")[2] in kinds.split() + small_units, text


def test_free_addresses_vary(monkeypatch):
    texts = random_addresses(monkeypatch, FREE)
    for shape in ("P2", "Q.", "TPHCM", " - ", "SN ", "đ. "):
        assert any(shape in text for text in texts), shape
    assert 0 < sum(text.isupper() for text in texts) < 90


def test_windows_include_starts_and_ends_and_never_end_with_a_comma():
    generate = make_text_generator(params("address", (2, 4)), None)
    texts = [generate(np.random.default_rng(seed)) for seed in range(500)]
    assert not any(text.endswith(",") for text in texts)
    provinces = tuple(PROVINCES.read_text(encoding="utf-8").splitlines())
    assert sum(text.endswith(provinces) for text in texts) > 120
    assert sum(text[0].isdigit() or text.startswith("Số") for text in texts) > 50


def test_a_corpus_without_streets_is_an_error(tmp_path):
    with tarfile.open(tmp_path / "vietnam_dataset.tar.xz", "w:xz"):
        pass
    with pytest.raises(NetchuError, match="no streets in"):
        make_text_generator(params("address"), tmp_path)


def test_a_corpus_without_verses_is_an_error(tmp_path):
    (tmp_path / "truyen_kieu.txt").touch()
    with pytest.raises(NetchuError, match="no verses in"):
        make_text_generator(params("verse"), tmp_path)


def test_a_missing_kind_of_text_is_an_error():
    with pytest.raises(NetchuError, match="text is missing"):
        make_text_generator(params(""), None)


def test_verse_without_a_corpus_is_an_error():
    with pytest.raises(NetchuError, match="truyen_kieu"):
        make_text_generator(params("verse"), None)


@pytest.mark.parametrize("words", [(0, 3), (4, 2)])
def test_words_must_be_a_range(words):
    with pytest.raises(NetchuError, match="words"):
        make_text_generator(params("syllable", words), None)
