"""Generated texts: in the alphabet, of the given length, the same for the same seed."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.core.params import SyntheticParams
from netchu.core.text import ALPHABET, check_label
from netchu.data.held_out import HeldOutTexts
from netchu.data.parse import vi_forms
from netchu.synthesis import addresses, foreign_words
from netchu.synthesis.addresses import BARE, FREE, FULL, PROVINCES, Gazetteer, random_address
from netchu.synthesis.form_fields import random_name
from netchu.synthesis.syllables import SYLLABLES
from netchu.synthesis.texts import CORPORA, make_text_generator

VERSES = "Trăm năm trong cõi người ta,\nChữ tài chữ mệnh khéo là ghét nhau.\n"


def params(text, words=(1, 3)):
    return SyntheticParams(text=text, count=1, fonts={}, words=words)


SENTENCES = [
    "Sáng nay Google và Facebook cùng mở cửa ở chợ Lớn.",
    "Mẹ em nấu một nồi canh chua rất ngon!",
    "Chiều qua trời mưa to, gió mạnh, cây đổ ngổn ngang.",
]


@pytest.fixture
def corpora(tmp_path) -> dict[str, Path]:
    """A tiny fetched folder of every source of texts."""
    archives.vietnam_dataset(tmp_path / "vietnam_dataset")
    archives.vi_forms(tmp_path / "vi_forms")
    archives.vi_news(tmp_path / "vi_news", {"vn_news/data/1.txt": " ".join(SENTENCES[:2])})
    archives.vi_wikipedia(tmp_path / "vi_wikipedia", {"viwiki/1.txt": SENTENCES[2]})
    (tmp_path / "truyen_kieu").mkdir()
    (tmp_path / "truyen_kieu" / "truyen_kieu.txt").write_text(VERSES, encoding="utf-8")
    return {folder.name: folder for folder in tmp_path.iterdir()}


@pytest.mark.parametrize("words", [(1, 1), (1, 3), (4, 12)])
@pytest.mark.parametrize(
    ("text", "names"),
    [("syllable", ()), ("address", ()), ("foreign", ()),
     *((text, names) for text, names in CORPORA.items() if names)],
)  # fmt: skip
def test_texts_are_valid_labels_with_the_given_number_of_words(text, names, words, corpora):
    generate = make_text_generator(params(text, words), [corpora[name] for name in names])
    counts = set()
    for seed in range(400):
        written = generate(np.random.default_rng(seed))
        check_label(written, text)
        counts.add(len(written.split()))
    assert min(counts) == words[0]
    # Fields of forms are short, so the longest lines of them are rare.
    assert words[1] - (text == "form") <= max(counts) <= words[1]


def test_same_seed_same_text_and_another_seed_another():
    generate = make_text_generator(params("address", (4, 9)))
    first, second, other = (
        [generate(r) for _ in range(20)] for r in map(np.random.default_rng, (1, 1, 2))
    )
    assert first == second != other


def test_verse_is_consecutive_words_of_the_poem(corpora):
    generate = make_text_generator(params("verse", (2, 5)), [corpora["truyen_kieu"]])
    whole = " ".join(VERSES.split() * 2)
    assert all(generate(np.random.default_rng(seed)) in whole for seed in range(50))


def test_syllables_are_balanced():
    """2,000 lines have every letter, and every lower-case one with a diacritic 20 times."""
    generate = make_text_generator(params("syllable", (1, 3)))
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
OLD_TEXTS = [
    "Đội 3 Xã Hoà An Mê Linh Hà Nội",
    "63 đ. An Xá khu 5 phường Cống Vị quận Ba Đình thành phố Hà Nội",
    "Số nhà 1 An Xá – Phường Cống Vị – Quận Ba Đình – TP. Hà Nội",
    "Thành Phố Vũng Tàu Bà Rịa Vũng Tàu",
]
"""Addresses of `ADDRESSES` with the seeds 1 to 4, as the profiles with old units have them."""


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
    generate = make_text_generator(params("address", (2, 4)))
    texts = [generate(np.random.default_rng(seed)) for seed in range(500)]
    assert not any(text.endswith(",") for text in texts)
    provinces = tuple(PROVINCES.read_text(encoding="utf-8").splitlines())
    assert sum(text.endswith(provinces) for text in texts) > 120
    assert sum(text[0].isdigit() or text.startswith("Số") for text in texts) > 50


def test_a_corpus_without_streets_is_an_error(corpora):
    archives.pack(corpora["vietnam_dataset"] / "vietnam_dataset.tar.xz", {})
    with pytest.raises(NetchuError, match="no streets in"):
        make_text_generator(params("address"), [corpora["vietnam_dataset"]])


def test_a_corpus_without_verses_is_an_error(corpora):
    (corpora["truyen_kieu"] / "truyen_kieu.txt").write_text("")
    with pytest.raises(NetchuError, match="no verses in"):
        make_text_generator(params("verse"), [corpora["truyen_kieu"]])


def test_a_corpus_without_sentences_is_an_error(corpora):
    archives.vi_news(corpora["vi_news"], {"vn_news/1.txt": "Ngắn quá"})
    with pytest.raises(NetchuError, match="no sentences in"):
        make_text_generator(params("prose"), [corpora["vi_news"]])


def test_a_missing_kind_of_text_is_an_error():
    with pytest.raises(NetchuError, match="text is missing"):
        make_text_generator(params(""))


@pytest.mark.parametrize(
    ("text", "source"), [("verse", "truyen_kieu"), ("prose", "vi_news"), ("form", "vi_forms")]
)
def test_a_text_without_the_corpus_that_it_needs_is_an_error(text, source):
    with pytest.raises(NetchuError, match=rf"{text} needs a corpus.*{source}"):
        make_text_generator(params(text))


def test_a_corpus_that_the_text_does_not_use_is_an_error(corpora):
    with pytest.raises(NetchuError, match="verse has no use for the corpus vi_news"):
        make_text_generator(params("verse"), [corpora["vi_news"]])
    with pytest.raises(NetchuError, match="add vietnam_dataset"):
        make_text_generator(params("address"), [corpora["vi_forms"]])


def test_prose_is_running_text_of_mostly_average_length(corpora):
    generate = make_text_generator(
        params("prose", (3, 11)), [corpora["vi_news"], corpora["vi_wikipedia"]]
    )
    whole = " ".join(SENTENCES * 3)
    texts = [generate(np.random.default_rng(seed)) for seed in range(300)]
    assert all(text in whole for text in texts)
    counts = Counter(len(text.split()) for text in texts)
    assert counts[7] > counts[3]
    assert counts[7] > counts[11]
    assert sum(text.startswith(("Sáng", "Mẹ", "Chiều")) for text in texts) > 60
    assert sum(text.endswith((".", "!")) for text in texts) > 40


def test_prose_leaves_out_what_shares_words_with_held_out_texts_and_counts_it(corpora):
    held_out = HeldOutTexts(["em nấu một nồi"])
    folders = [corpora["vi_news"], corpora["vi_wikipedia"]]
    generate = make_text_generator(params("prose", (2, 5)), folders, held_out)
    assert generate.counts == {
        "vi_news, used": 1, "vi_news, held out": 1,
        "vi_wikipedia, used": 1, "vi_wikipedia, held out": 0,
    }  # fmt: skip
    assert not any("nồi" in generate(np.random.default_rng(seed)) for seed in range(200))


def test_addresses_are_written_the_old_and_the_new_way(corpora):
    folders = [corpora["vietnam_dataset"], corpora["vi_forms"]]
    generate = make_text_generator(params("address", (1, 30)), folders)
    texts = [generate(np.random.default_rng(seed)) for seed in range(800)]
    old, new, office = (
        sum(word in text for text in texts) / len(texts)
        for word in ("Cống Vị", "Yên Mỹ", "66 Lương Văn Can, Hoàn Kiếm, Hà Nội")
    )
    assert old == pytest.approx(0.46, abs=0.08)
    assert new == pytest.approx(0.47 / 3, abs=0.06)
    assert office == pytest.approx(0.05, abs=0.03)
    today = re.compile(r"An Xá,? (Xã )?Yên Mỹ,? Hưng Yên$")
    assert any(today.search(text) for text in texts), "a street, a ward, a province, no district"
    assert not any("Tỉnh Tỉnh" in text for text in texts)
    assert any("Đặc khu Côn Đảo" in text for text in texts)


def test_without_todays_units_addresses_are_those_of_before():
    gazetteer = Gazetteer.from_addresses(ADDRESSES)
    texts = [random_address(np.random.default_rng(seed), gazetteer) for seed in (1, 2, 3, 4)]
    assert texts == OLD_TEXTS


def test_fields_of_forms_are_names_dates_and_numbers(corpora):
    generate = make_text_generator(params("form", (2, 9)), [corpora["vi_forms"]])
    texts = [generate(np.random.default_rng(seed)) for seed in range(2000)]
    for shape in (
        r"\bNguyễn (\w+ )?(Anh Khoa|Minh Thư|Khoa|Thư)\b", r"\bNGUYỄN ", r"Trường Đại học Hoa Sen",
        r"\d\d/\d\d/\d{4}", r"ngày \d\d tháng \d\d năm \d{4}", r"\b0[35789]\d{8}\b",
        r"\b0[35789]\d\d[ .-]\d{3}[ .-]\d{3}\b", r"\(02[48]\) \d{4} \d{4}", r"\b0\d{11}\b",
        r"CCCD: ", r"\d\d[A-Z]-\d{3}\.\d\d", r"\d\.\d{3} ?(đ|đồng|VNĐ)\b", r"THPT ",
    ):  # fmt: skip
        assert any(re.search(shape, text) for text in texts), shape


def test_names_of_persons_have_a_family_name_and_a_given_name(corpora):
    forms = vi_forms.texts(corpora["vi_forms"])
    names = [random_name(np.random.default_rng(seed), forms) for seed in range(1000)]
    assert sum(name.lower().startswith("nguyễn ") for name in names) > 250
    assert all(name.split()[-1].lower() in ("khoa", "thư") for name in names)


def test_foreign_lines_hold_words_that_are_no_vietnamese(corpora):
    generate = make_text_generator(params("foreign", (3, 7)), [corpora["vi_news"]])
    texts = [generate(np.random.default_rng(seed)) for seed in range(1500)]
    for shape in (
        r"@gmail\.com\b", r"\bwww\.", r"\$\d", r"\d%", r"\b(Google|google|GOOGLE)\b", r"\w_\w",
        r"\w&\w", r"=\d", r"\bchợ\b",
    ):  # fmt: skip
        assert any(re.search(shape, text) for text in texts), shape
    spelled = [
        word for text in texts for word in text.lower().split() if word.strip(",.!") in SYLLABLES
    ]
    words = sum(len(text.split()) for text in texts)
    assert 0.3 < len(spelled) / words < 0.75


def test_foreign_words_of_sentences_are_found_once():
    sentences = ["Sếp dùng iPhone, Google; GOOGLE và “Google” ở Hà Nội A 5G."]
    assert foreign_words.foreign_words(sentences, SYLLABLES) == ("Google", "GOOGLE")


@pytest.mark.parametrize("words", [(0, 3), (4, 2)])
def test_words_must_be_a_range(words):
    with pytest.raises(NetchuError, match="words"):
        make_text_generator(params("syllable", words))
