"""Memory that preprocessing and the loader take for each line more."""

import dataclasses
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

import small_project
from netchu.core.params import DatasetParams, PhaseParams, parse_config
from netchu.data import batches, line_table, stored_frames, stored_lines
from netchu.data.line_table import Line, write_table
from netchu.data.preprocessing import preprocess
from netchu.imaging.images import encode
from netchu.training.phase import phase_data
from netchu.training.stage import build_recogniser, phase_lines, split_trainable

FEW, MANY = 1000, 4000
MOST = 100
"""Bytes; a line with texts and all has 400 in an ordinary frame, and more in Python."""
PHASE = parse_config(
    PhaseParams,
    small_project.PHASE | {"concat_prob": 0.2, "dataset_weights": {"drawn": 1.5}},
    "test",
)


@pytest.fixture(autouse=True)
def _small_parts_in_a_folder_of_their_own(project_folder, monkeypatch):
    for module, name in ((line_table, "SHARD_LINES"), (stored_lines, "SHARD_LINES"),
                         (stored_frames, "PART_ROWS"), (stored_frames, "GROUP_ROWS"),
                         (batches, "_PART")):  # fmt: skip
        monkeypatch.setattr(module, name, 200)
    monkeypatch.setattr("os.fsync", lambda file: None)  # so many shards would take long


def lines(number):
    image = encode(np.full((16, 64), 200, np.uint8))
    for index in range(number):
        text = "dài" * 40 if index % 100 == 7 else f"số {index} đường Láng"
        own = index - 1 if index % 100 == 9 else index
        split = "val" if index % 20 == 0 else "train"
        level = "word" if index % 4 == 1 else "line"
        yield Line(f"drawn-{index:08d}", image + own.to_bytes(4, "big"), text,
                   f"{split} {index % 7}", "drawn", level, split, 64, 16)  # fmt: skip


def preprocess_lines(project):
    table = str(project.lines / "drawn")
    wanted = DatasetParams("synthetic", table, levels=("word", "line"))
    preprocess(wanted, "drawn", 1, project.lines / "preprocessed")


def load_lines(project):
    recogniser = build_recogniser(project, "netchu_small")
    kept, rejected = split_trainable(recogniser, phase_lines(project, PHASE), PHASE)
    assert rejected
    module = phase_data(recogniser, kept, PHASE, project, 1)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        assert len([batch.ids for batch in loader]) == len(loader)


def peak(work, number):
    """Return the most bytes that Python, NumPy, pandas and Arrow held at a time."""
    project = dataclasses.replace(small_project.params(), profile=f"of{number}")
    write_table(lines(number), project.lines / "drawn")
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        work(project)
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


@pytest.mark.parametrize("work", [preprocess_lines, load_lines])
def test_a_line_more_takes_few_bytes(work):
    peak(work, FEW)  # fills caches
    grown = peak(work, MANY) - peak(work, FEW)
    assert grown / (MANY - FEW) < MOST
