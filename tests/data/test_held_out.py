"""Texts that share words with validation and test lines are found."""

import pytest

import archives
import small_project
from netchu.core.errors import NetchuError
from netchu.data.held_out import HeldOutTexts, held_out_of_inputs, texts_of_tables
from netchu.data.line_table import write_table
from netchu.data.preprocessing import split_lines
from netchu.data.stored_lines import StoredLines


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("không, một hai ba bốn", True),
        ("Một “hai”, BA: bốn!", True),
        ("hai ba bốn năm", False),
        ("một hai bốn ba", False),
        ("hoà bình ở Huý", True),
        ("ba bốn", False),
    ],
)
def test_four_words_in_a_row_are_shared(text, shared):
    held_out = HeldOutTexts(["một hai ba bốn", "hòa bình ở Húy", "ba bốn"])
    assert held_out.shares_words(text) is shared
    assert held_out.keep_others([text, "xa lạ"]) == ([] if shared else [text]) + ["xa lạ"]


def project(**datasets):
    return small_project.params(datasets=datasets)


def test_labels_of_all_handwriting_are_held_out_but_not_training_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archives.cinnamon(tmp_path / "cinnamon")
    params = project(
        a={"source": "cinnamon", "input": "cinnamon", "val_share": 0.5},
        drawn={"source": "synthetic", "input": "nowhere"},
    )
    lines = StoredLines(split_lines(params.dataset("a"), "a", params.seed, []))
    write_table(lines, params.lines / "a")
    assert {line.split for line in lines} == {"train", "val", "test"}
    for held_out in (held_out_of_inputs(params), texts_of_tables(params)):
        for line in lines:
            assert held_out.shares_words(f"ở {line.text} nhé") == (line.split != "train")


def test_a_table_that_was_not_written_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NetchuError):
        texts_of_tables(project(a={"source": "cinnamon", "input": "cinnamon"}))
