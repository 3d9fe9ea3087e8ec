import json
from dataclasses import replace

import numpy as np
import pytest

import archives
import small_project
from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.data.line_table import Line, write_table
from netchu.decoding.language_model import LANGUAGE_MODEL, TEXTS, LanguageModel
from netchu.release import corpora
from netchu.release.corpora import build_language_model
from netchu.release.ngrams import Corpora, mixture_components

PROSE = "con mèo của em rất đẹp"
SECRET = "bốn chữ xấu xí quá"


NEWS = "Chiều qua trời đổ mưa to."


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with sources of texts, and prose of which one label stands in two splits."""
    monkeypatch.chdir(tmp_path)
    sources = {name: {} for name in corpora.SOURCES}
    datasets = {"vnondb": DatasetParams("vnondb", "nowhere")}
    found = small_project.params(sources=sources, datasets=datasets)
    texts = [("train", PROSE), ("train", SECRET), ("val", SECRET)]
    lines = [Line(f"{n}", b"", text, "", "vnondb", "line", split, 9, 9)
             for n, (split, text) in enumerate(texts * 30)]  # fmt: skip
    write_table(lines, found.lines / "vnondb")
    streets = ["Đường Láng, Phường Yên Hoà, Quận Cầu Giấy, Hà Nội"]
    monkeypatch.setattr(corpora.vietnam_dataset, "texts", lambda folder: streets)
    monkeypatch.setattr(corpora.truyen_kieu, "texts", lambda folder: ["trăm năm trong cõi"] * 9)
    monkeypatch.setattr(corpora, "ADDRESSES", 300)
    return found


def surprise(model, text):
    context, total = model.start, 0.0
    for letter in text:
        factor, context = model.step(context, model.symbol(letter))
        total -= float(np.log(factor))
    return total


def test_it_predicts_addresses_verses_and_prose_but_no_validation_text(project, tmp_path):
    build_language_model(project, tmp_path / "language")
    model = LanguageModel(tmp_path / "language" / LANGUAGE_MODEL)
    for text, other in (
        ("Đường Láng", "Đường Lạng"),
        ("năm trong cõi", "nằm trong cõi"),
        ("mèo của em", "mẽo của em"),
    ):
        assert surprise(model, text) < surprise(model, other)
    assert surprise(model, PROSE) < surprise(model, SECRET) / 2
    assert [path.name for path in tmp_path.iterdir() if "language" in path.name] == ["language"]
    counts = json.loads((tmp_path / "language" / TEXTS).read_text())
    assert counts == {"labels, used": 30, "labels, held out": 30}


def test_it_reads_news_forms_and_foreign_words_but_no_sentence_of_a_held_out_label(
    project, tmp_path, monkeypatch
):
    monkeypatch.setattr(corpora, "FIELDS", 3000)
    monkeypatch.setattr(corpora, "FOREIGN", 3000)
    archives.vi_forms(project.raw / "vi_forms")
    tail = "trời đổ mưa to ở Google"
    news = [f"Ngày thứ {n} {tail}." for n in range(900)]
    news += [f"Có {n} lần {SECRET}." for n in range(300)]
    archives.vi_news(project.raw / "vi_news", {"vn_news/1.txt": "\n".join(news)})
    sources = project.sources | {"vi_forms": {}, "vi_news": {}}
    build_language_model(replace(project, sources=sources), tmp_path / "language")
    model = LanguageModel(tmp_path / "language" / LANGUAGE_MODEL)
    for text, other in ((tail, "trơi đồ mưa tò ở Googlẽ"), ("nguyễn", "nguyền"), (".com", ".cơm")):
        assert surprise(model, text) < surprise(model, other)
    assert surprise(model, SECRET) > surprise(model, tail)
    counts = json.loads((tmp_path / "language" / TEXTS).read_text())
    assert counts == {"labels, used": 30, "labels, held out": 30,
                      "vi_news, used": 900, "vi_news, held out": 300}  # fmt: skip


def test_with_sentences_the_prose_has_longer_and_fewer_n_grams():
    texts = ["một hai ba"] * 9
    (_, plain), (_, prose) = (
        mixture_components(Corpora(texts, texts, texts, texts, sentences))
        for sentences in ((), texts)
    )
    assert prose.order > plain.order
    assert prose.min_gain > plain.min_gain


def test_equal_texts_give_equal_files_that_replace_old_ones(project, tmp_path):
    (tmp_path / "language").mkdir()
    (tmp_path / "language" / "old").touch()
    for folder in ("language", "again"):
        build_language_model(project, tmp_path / folder)
    first, second = (tmp_path / f / LANGUAGE_MODEL for f in ("language", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_without_prose_there_is_a_model_and_without_texts_an_empty_folder(project, tmp_path):
    evaluate = replace(project.evaluate, datasets=())
    build_language_model(replace(project, datasets={}, evaluate=evaluate), tmp_path / "language")
    model = LanguageModel(tmp_path / "language" / LANGUAGE_MODEL)
    assert surprise(model, "Đường Láng") < surprise(model, "con mèo")
    build_language_model(replace(project, sources={"truyen_kieu": {}}), tmp_path / "language")
    assert list((tmp_path / "language").iterdir()) == []


def test_an_unfetched_source_is_an_error_and_keeps_the_old_files(project, tmp_path, monkeypatch):
    build_language_model(project, tmp_path / "language")
    monkeypatch.setattr(corpora.vietnam_dataset, "texts", lambda folder: [])
    with pytest.raises(NetchuError, match="no streets in"):
        build_language_model(project, tmp_path / "language")
    left = {path.name for path in (tmp_path / "language").iterdir()}
    assert left == {LANGUAGE_MODEL, TEXTS}
