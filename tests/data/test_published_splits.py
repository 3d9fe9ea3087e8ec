"""Published splits: the same lines from every copy of a source."""

import re
from collections import defaultdict

import pandas as pd
import pytest
import yaml

import archives
from compositions import PROFILES, composed
from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.data import published_splits
from netchu.data.line_table import read_skipped, read_table
from netchu.data.preprocessing import preprocess, split_lines
from netchu.data.published_splits import mislabelled, published_id, published_split
from netchu.synthesis.writers import read_writers

LISTS = {
    "kalapa": {"kalapa-1-0": "test", "kalapa-1-1": "test", "kalapa-2-0": "train",
               "kalapa-3-2": "val"},
    "cinnamon": {"cinnamon-0916-0000_samples": "train", "cinnamon-0916-0001_samples": "val",
                 "cinnamon-1015-0003_samples": "test"},
    "vnondb": {"vnondb-20140101_0_X": "train", "vnondb-20140101_2_X": "test"},
}  # fmt: skip
LINES = {"kalapa": (351, 1755, 243), "cinnamon": (287, 1653, 170)}
"""Lines of each published split (test, train, val), on which the reports are measured."""


@pytest.fixture
def lists(monkeypatch):
    """Short lists in place of the published ones."""
    for module in ("netchu.data.preprocessing", "netchu.synthesis.datasets"):
        monkeypatch.setattr(f"{module}.published_split", LISTS.__getitem__)


def table(tmp_path, source, **params):
    wanted = DatasetParams(source=source, input=str(tmp_path), split="published", **params)
    preprocess(wanted, source, 3, tmp_path / "out")
    lines = read_table(tmp_path / "out")
    skipped = {line.id: line.reason for line in read_skipped(tmp_path / "out")}
    return dict(zip(lines["id"], lines["split"], strict=True)), skipped


def test_lines_that_are_not_listed_are_left_out_and_counted(tmp_path, lists):
    archives.kalapa(tmp_path, writers=("1", "2", "3"))
    splits, skipped = table(tmp_path, "kalapa")
    assert splits == LISTS["kalapa"]
    assert skipped == dict.fromkeys(
        ["kalapa-1-2", "kalapa-2-1", "kalapa-2-2", "kalapa-3-0", "kalapa-3-1"],
        "not in the published split",
    )


def test_listed_lines_that_a_copy_lacks_are_counted(tmp_path, lists):
    archives.kalapa(tmp_path, writers=("1", "2"))
    splits, skipped = table(tmp_path, "kalapa")
    assert "kalapa-3-2" not in splits
    assert skipped["kalapa-3-2"] == "in the published split, not in this copy"


def test_a_listed_line_is_kept_where_one_that_is_not_listed_has_the_same_image(tmp_path, lists):
    changes = {"training_data/images/1/2.jpg": archives.photo(200)}  # the image of 2/0
    archives.kalapa(tmp_path, writers=("1", "2", "3"), changes=changes)
    assert "kalapa-2-0" in table(tmp_path, "kalapa")[0]


def test_the_seed_does_not_move_a_published_split(tmp_path, lists):
    archives.kalapa(tmp_path, writers=("1", "2", "3"))
    wanted = DatasetParams(source="kalapa", input=str(tmp_path), split="published")
    first, second = (split_lines(wanted, "kalapa", seed, []) for seed in (1, 2))
    pd.testing.assert_frame_equal(first, second)
    assert len(first)


def test_both_layouts_of_cinnamon_give_the_same_lines(tmp_path, lists):
    archives.cinnamon(tmp_path / "mirror")
    archives.cinnamon(
        tmp_path / "upstream", ("ocr-5eeede/Train", "labels_train.json"),
        ("ocr-5eeede/Test", "labels_test.json"), ".png",
    )  # fmt: skip
    for copy in ("mirror", "upstream"):
        assert table(tmp_path / copy, "cinnamon")[0] == LISTS["cinnamon"]


def test_vnondb_is_listed_by_session(tmp_path, lists):
    archives.vnondb(tmp_path, writers=("id_1", "id_2", "id_3"))
    splits, skipped = table(tmp_path, "vnondb", levels=("word", "line"))
    assert splits == {
        "vnondb-line-20140101_0_X-tg_0_0": "train", "vnondb-word-20140101_0_X-tg_0_0_0": "train",
        "vnondb-word-20140101_0_X-tg_0_0_1": "train", "vnondb-line-20140101_2_X-tg_0_0": "test",
        "vnondb-word-20140101_2_X-tg_0_0_0": "test", "vnondb-word-20140101_2_X-tg_0_0_1": "test",
    }  # fmt: skip
    assert set(skipped.values()) == {"not in the published split"}


def test_pen_strokes_come_from_listed_training_sessions(tmp_path, lists, monkeypatch):
    from netchu.synthesis import datasets

    archives.vnondb(tmp_path, writers=("id_1", "id_2", "id_3"))
    read = []
    monkeypatch.setattr(datasets, "StrokeRenderer", read.extend)
    params = small_params(tmp_path)
    datasets._stroke_renderer(params, params.synthetic["ink"], "ink")
    assert [writer.name for writer in read] == ["id_1"]
    everyone = read_writers(tmp_path, set)
    assert [writer.name for writer in everyone] == ["id_1", "id_2", "id_3"]


def small_params(folder):
    import small_project

    ink = {"renderer": "ink", "text": "verse", "count": 1, "datasets": ["vnondb"]}
    vnondb = {"source": "vnondb", "input": str(folder), "split": "published"}
    return small_project.params(synthetic={"ink": ink}, datasets={"vnondb": vnondb})


def test_a_source_without_a_list_is_an_error(tmp_path):
    archives.csv(tmp_path)
    with pytest.raises(NetchuError, match="source csv has no published split"):
        table(tmp_path, "csv")


def test_a_writer_of_kalapa_is_in_one_published_split():
    splits = defaultdict(set)
    for line, split in published_split("kalapa").items():
        splits[line.split("-")[1]].add(split)
    assert set(map(len, splits.values())) == {1}
    assert len(splits) == 87


def test_lists_hold_ids_and_splits_only():
    for source in published_splits.SOURCES:
        for line, split in published_split(source).items():
            assert re.fullmatch(rf"{source}-[\w-]+", line, re.ASCII), line
            assert split in ("train", "val", "test")


@pytest.mark.parametrize("source", LINES)
def test_the_published_splits_have_the_reported_numbers_of_lines(source):
    splits = list(published_split(source).values())
    assert tuple(map(splits.count, ("test", "train", "val"))) == LINES[source]


def test_the_official_test_part_of_cinnamon_is_its_published_test():
    for line, split in published_split("cinnamon").items():
        assert (split == "test") == line.startswith("cinnamon-1015-")


def test_ids_of_lines():
    assert published_id("kalapa-10-3") == "kalapa-10-3"
    assert published_id("vnondb-word-20140603_0003_X-tg_0_1_2") == "vnondb-20140603_0003_X"


def test_every_profile_reads_published_splits_where_there_are_some():
    found = set()
    for profile in PROFILES:
        for name, dataset in yaml.safe_load(composed(profile))["datasets"].items():
            if dataset["source"] in published_splits.SOURCES:
                assert dataset.get("split") == "published", f"{profile}: {name}"
                found.add(dataset["source"])
    assert found == set(published_splits.SOURCES)


def test_mislabelled_lines_are_test_lines():
    splits = published_split("kalapa") | published_split("cinnamon")
    assert len(mislabelled()) == 11
    assert {splits[line] for line in mislabelled()} == {"test"}
