"""The sources of text."""

import json
import unicodedata

import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.data.parse import truyen_kieu, vi_forms, vi_news, vi_wikipedia, vietnam_dataset
from netchu.data.parse.prose import split_sentences

PLACE = {
    "code": "HN",
    "name": "Hà Nội",
    "district": [
        {"name": "Ba Đình", "pre": "Quận", "street": ["10", "An Xá", "Bưởi"],
         "ward": [{"name": "Cống Vị", "pre": "Phường"}]},
        {"name": "Mê Linh", "pre": "Huyện", "street": [],
         "ward": [{"name": "Chi Đông", "pre": "Thị trấn"}, {"name": "Ŷ", "pre": "Xã"}]},
    ],
}  # fmt: skip


def test_verses_are_normalised(tmp_path):
    text = "Trăm năm trong cõi người ta,\n\n  Chữ tài\tchữ mệnh\nŷ\n"
    (tmp_path / "truyen_kieu.txt").write_text(unicodedata.normalize("NFD", text), encoding="utf-8")
    assert truyen_kieu.texts(tmp_path) == ["Trăm năm trong cõi người ta,", "Chữ tài chữ mệnh"]


def test_verses_that_were_not_fetched_are_an_error(tmp_path):
    with pytest.raises(NetchuError, match="no verses"):
        truyen_kieu.texts(tmp_path)


@pytest.mark.parametrize("top", ["", "./", "vietnam_dataset-f1bb0d/"])
def test_streets_and_wards_are_paired_into_addresses(tmp_path, top):
    files = {f"{top}data/HN.json": json.dumps(PLACE), f"{top}Index.json": "{}",
             f"{top}data/.DS_Store": b"\0\1"}  # fmt: skip
    archives.pack(tmp_path / "vietnam_dataset.tar.xz", files)
    assert vietnam_dataset.texts(tmp_path) == [
        "Đường 10, Phường Cống Vị, Quận Ba Đình, Hà Nội",
        "Đường An Xá, Phường Cống Vị, Quận Ba Đình, Hà Nội",
        "Đường Bưởi, Phường Cống Vị, Quận Ba Đình, Hà Nội",
        "Thị trấn Chi Đông, Huyện Mê Linh, Hà Nội",
    ]


ARTICLE = """\
Bà nói: “Trời hôm nay rất đẹp.” Rồi bà đi chợ sớm!
== Sự kiện năm nay là ==
Ông về TP. Hồ Chí Minh ngày 3.5. Ngắn quá.
Chữ Ŷ không có ở đây đâu
Rồi bà đi chợ sớm!
"""
SENTENCES = [
    "Bà nói: “Trời hôm nay rất đẹp.”", "Rồi bà đi chợ sớm!", "Hồ Chí Minh ngày 3.5.",
]  # fmt: skip


@pytest.mark.parametrize("top", ["", "./", "scraper-3387ad/"])
def test_news_is_split_into_sentences_each_once(tmp_path, top):
    content = unicodedata.normalize("NFD", ARTICLE)
    files = {f"{top}vn_news/data/1.txt": content, f"{top}vn_news/repository/x/1.txt": content,
             f"{top}README.txt": "Đây không phải là một bài báo đâu."}  # fmt: skip
    archives.pack(tmp_path / "vi_news.tar.xz", files)
    assert vi_news.texts(tmp_path) == SENTENCES


@pytest.mark.parametrize("top", ["", "corpus.viwiki-0b727c/"])
def test_wikipedia_reads_every_article_and_no_other_file(tmp_path, top):
    files = {f"{top}viwiki/.vn.txt": ARTICLE, f"{top}viwiki/hà nội.txt": "Hà Nội là thủ đô.",
             f"{top}list-pages.txt": "Một hai ba bốn năm."}  # fmt: skip
    archives.pack(tmp_path / "vi_wikipedia.tar.xz", files)
    assert vi_wikipedia.texts(tmp_path) == [*SENTENCES, "Hà Nội là thủ đô."]


def test_sentences_are_the_whole_paragraph():
    text = "Anh ấy cao 1.75 m. (Chị cũng vậy.) Thế à? “Vâng!” Đi thôi… đi"
    parts = list(split_sentences(text))
    assert " ".join(parts) == text
    assert parts == ["Anh ấy cao 1.75 m.", "(Chị cũng vậy.)", "Thế à?", "“Vâng!”", "Đi thôi… đi"]


@pytest.mark.parametrize("files", [archives.FORM_LISTS, archives.FORM_FILES])
def test_forms_are_the_same_from_the_mirrors_lists_and_from_upstreams_files(tmp_path, files):
    archives.vi_forms(tmp_path, files)
    assert vi_forms.texts(tmp_path) == vi_forms.FormTexts(
        given_names=("Anh Khoa", "Minh Thư"),
        wards=("Phường Ba Đình, Thành phố Hà Nội", "Xã Yên Mỹ, Tỉnh Hưng Yên",
               "Đặc khu Côn Đảo, Thành phố Hồ Chí Minh"),
        addresses=("66 Lương Văn Can, Hoàn Kiếm, Hà Nội",),
        schools=("Trường Đại học Hoa Sen",),
    )  # fmt: skip


def test_a_list_of_forms_that_is_missing_is_named(tmp_path):
    archives.vi_forms(tmp_path, archives.FORM_FILES | {"schools.sql": "INSERT"})
    with pytest.raises(NetchuError, match="has no schools"):
        vi_forms.texts(tmp_path)


def test_units_that_are_no_list_of_provinces_are_an_error(tmp_path):
    archives.vi_forms(tmp_path, archives.FORM_FILES | {"units.json": '[{"a": 1}]'})
    with pytest.raises(NetchuError, match="not a list of provinces"):
        vi_forms.texts(tmp_path)
