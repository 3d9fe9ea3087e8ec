"""Training commands of kraken and PyLaia, and which checkpoint is loaded."""

from itertools import pairwise

import pytest

from netchu.evaluation.baselines import kraken, pylaia


@pytest.fixture
def lines(tmp_path):
    folder = tmp_path / "lines"
    folder.mkdir()
    for split, texts in (("train", ["hoà bình", "#1, Hà"]), ("val", ["ấp 5"])):
        images = [folder / f"{split}-{place}.png" for place in range(len(texts))]
        for image, text in zip(images, texts, strict=True):
            image.with_suffix(".gt.txt").write_text(text, encoding="utf-8")
        (folder / f"{split}.txt").write_text("".join(f"{image}\n" for image in images))
    return folder


def test_kraken_trains_on_the_listed_lines_with_the_given_threads(lines, tmp_path):
    (command,) = kraken.training_commands(lines, tmp_path / "model", tmp_path / "bin", 2)
    given = dict(pairwise(command))
    assert command[0] == str(tmp_path / "bin" / "ketos")
    assert given["--threads"] == "2"
    assert given["--training-data"] == str(lines / "train.txt")
    assert given["--evaluation-data"] == str(lines / "val.txt")
    assert given["--output"] == str(tmp_path / "model")
    assert command.index("--threads") < command.index("train") < command.index("--quit")


def test_the_best_checkpoint_of_kraken_is_found_by_its_name(tmp_path):
    for name in ("checkpoint_00-0.0512", "checkpoint_01-0.4100", "checkpoint_10-0.1000",
                 "checkpoint_abort"):  # fmt: skip
        (tmp_path / f"{name}.ckpt").touch()
    assert kraken.best_checkpoint(tmp_path).name == "checkpoint_01-0.4100.ckpt"


def test_without_a_validation_the_last_checkpoint_is_loaded(tmp_path):
    (tmp_path / "checkpoint_abort.ckpt").touch()
    assert kraken.best_checkpoint(tmp_path).name == "checkpoint_abort.ckpt"


def test_without_a_checkpoint_the_error_asks_for_more_minutes(tmp_path):
    with pytest.raises(SystemExit, match=r"baselines\.kraken\.minutes"):
        kraken.best_checkpoint(tmp_path)


def test_tables_of_pylaia_contain_only_its_symbols(lines, tmp_path):
    create, train = pylaia.training_commands(lines, tmp_path, tmp_path / "bin", 2)
    rows = (lines / "train.tbl").read_text(encoding="utf-8").splitlines()
    assert rows == ["train-0 h o à <space> b ì n h", "train-1 # 1 , <space> H à"]
    table = (tmp_path / "symbols.txt").read_text(encoding="utf-8").splitlines()
    numbers = dict(row.split(" ") for row in table)
    assert numbers["<ctc>"] == "0"
    assert sorted(map(int, numbers.values())) == list(range(len(numbers)))
    spelt = {c for split in ("train", "val")
             for row in (lines / f"{split}.tbl").read_text(encoding="utf-8").splitlines()
             for c in row.split(" ")[1:]}  # fmt: skip
    assert spelt == set(numbers) - {"<ctc>"}
    assert create[0].endswith("pylaia-htr-create-model")
    assert train[2:5] == [f"[{lines}]", str(lines / "train.tbl"), str(lines / "val.tbl")]
