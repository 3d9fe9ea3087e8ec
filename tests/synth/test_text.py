"""Generated texts: in the alphabet, of the wanted length, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from netchu.errors import NetchuError
from netchu.params import SyntheticParams
from netchu.synth.text import PROVINCES, writer_of_text
from netchu.text import check_label

VERSES = "Trăm năm trong cõi người ta,\nChữ tài chữ mệnh khéo là ghét nhau.\n"


def params(text, words=(1, 3)):
    return SyntheticParams(text=text, count=1, fonts={}, words=words)


@pytest.fixture
def poem(tmp_path) -> Path:
    (tmp_path / "truyen_kieu.txt").write_text(VERSES, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("words", [(1, 1), (1, 3), (4, 12)])
@pytest.mark.parametrize("text", ["syllable", "address", "verse"])
def test_labels_with_the_wanted_number_of_words(text, words, poem):
    write = writer_of_text(params(text, words), poem if text == "verse" else None)
    counts = set()
    for seed in range(400):
        written = write(np.random.default_rng(seed))
        check_label(written, text)
        counts.add(len(written.split()))
    assert min(counts) == words[0]
    assert max(counts) == words[1]


def test_same_seed_same_text_and_another_seed_another():
    write = writer_of_text(params("address", (4, 9)), None)
    first, second, other = (
        [write(r) for _ in range(20)] for r in map(np.random.default_rng, (1, 1, 2))
    )
    assert first == second != other


def test_verse_is_consecutive_words(poem):
    write = writer_of_text(params("verse", (2, 5)), poem)
    whole = " ".join(VERSES.split() * 2)
    assert all(write(np.random.default_rng(seed)) in whole for seed in range(50))


def test_syllables_reach_every_letter_and_digit():
    write = writer_of_text(params("syllable", (3, 6)), None)
    rng = np.random.default_rng(0)
    seen = set("".join(write(rng) for _ in range(6000)))
    assert set("ăâđêôơưẫẵễỗỡữỹ0123456789,.?!") <= seen


def test_provinces_are_labels():
    provinces = PROVINCES.read_text(encoding="utf-8").splitlines()
    assert len(set(provinces)) == 63
    for name in provinces:
        check_label(name, "provinces.txt")


def test_verse_without_corpus():
    with pytest.raises(NetchuError, match="truyen_kieu"):
        writer_of_text(params("verse"), None)


@pytest.mark.parametrize("words", [(0, 3), (4, 2)])
def test_words_must_be_a_range(words):
    with pytest.raises(NetchuError, match="words"):
        writer_of_text(params("syllable", words), None)
