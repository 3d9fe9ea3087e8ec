"""Checkpoints that are torn, and disks that fill up, cost epochs and never the stage."""

import resource

import pytest
import torch
from test_training import settings, started_epochs, trained

from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.core.paths import CHECKPOINTS
from netchu.models.networks.netchu_small import NetchuSmall
from netchu.training import checkpoints
from netchu.training.checkpoints import DurableCheckpointIO, read_checkpoint
from netchu.training.stage import train_stage

EPOCHS = {"epochs": 3}


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """Hash of the model of a training that nothing disturbed."""
    return hash_folder(trained(tmp_path / "whole", monkeypatch, **EPOCHS))


def stop_in_epoch(number, monkeypatch):
    """Break off in the second step of an epoch."""
    step = NetchuSmall.training_step

    def dying(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (number, 1):
            raise RuntimeError("the power went out")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(NetchuSmall, "training_step", dying)


@pytest.fixture
def stopped(tmp_path, monkeypatch, whole):
    """Checkpoints of a training that stopped in its third epoch."""
    with monkeypatch.context() as patch:
        stop_in_epoch(2, patch)
        with pytest.raises(RuntimeError, match="power"):
            trained(tmp_path / "stopped", monkeypatch, **EPOCHS)
    (last,) = CHECKPOINTS.rglob("last.ckpt")
    return last.parent


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("tear", [empty, cut, flip])
def test_a_torn_last_checkpoint_costs_one_epoch(stopped, whole, monkeypatch, capsys, tear):
    tear(stopped / "last.ckpt")
    epochs = started_epochs(monkeypatch)
    folder = train_stage(settings(**EPOCHS), "netchu_small", "pretrain")
    assert epochs == [1, 2]
    assert hash_folder(folder) == whole
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("netchu: ")]
    assert len(told) == 1
    assert "last.ckpt is damaged and now called last.ckpt.damaged; resuming from" in told[0]


@pytest.mark.parametrize("torn", [["best.ckpt"], ["last.ckpt", "before_last.ckpt"]])
def test_without_a_checkpoint_to_resume_from_a_phase_starts_anew(
    stopped, whole, monkeypatch, capsys, torn
):
    for name in torn:
        cut(stopped / name)
    epochs = started_epochs(monkeypatch)
    folder = train_stage(settings(**EPOCHS), "netchu_small", "pretrain")
    assert epochs == [0, 1, 2]
    assert hash_folder(folder) == whole
    assert f"{torn[0]}.damaged; the phase starts anew" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", '{"rows": [', "[]", "{}"])
def test_a_torn_record_of_the_end_is_written_again(tmp_path, whole, monkeypatch, capsys, content):
    def die(*arguments):
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr("netchu.training.stage._write", die)
        with pytest.raises(RuntimeError, match="power"):
            trained(tmp_path / "stopped", monkeypatch, **EPOCHS)
    (done,) = CHECKPOINTS.rglob("done.json")
    done.write_text(content)
    epochs = started_epochs(monkeypatch)
    assert hash_folder(train_stage(settings(**EPOCHS), "netchu_small", "pretrain")) == whole
    assert epochs == []
    assert "done.json is damaged" in capsys.readouterr().err


def test_a_phase_that_stopped_early_stays_stopped(tmp_path, monkeypatch):
    patience = {"epochs": 6, "patience": 1, "monitor": "val_cer", "learning_rate": 1e-9}
    whole = trained(tmp_path / "whole", monkeypatch, **patience)

    def die(*arguments, **options):
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr("netchu.training.phase.write_json", die)
        with pytest.raises(RuntimeError, match="power"):
            trained(tmp_path / "stopped", monkeypatch, **patience)
    epochs = started_epochs(monkeypatch)
    folder = train_stage(settings(**patience), "netchu_small", "pretrain")
    assert epochs == []
    assert hash_folder(folder) == hash_folder(whole)
    assert len((folder / "history.csv").read_text().splitlines()) == 1 + 2


def test_checkpoints_are_written_on_their_own_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    assert trained(tmp_path / "home", monkeypatch, epochs=1)


@pytest.mark.parametrize("size", [100_000, 3_999_999])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, size):
    path = tmp_path / "last.ckpt"
    writer = DurableCheckpointIO()
    writer.save_checkpoint({"epoch": 1}, path)

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            writer.save_checkpoint({"epoch": torch.zeros(1_000_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert caught.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert read_checkpoint(path) == {"epoch": 1}


def test_a_checkpoint_that_cannot_be_read_back_replaces_none(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    writer = DurableCheckpointIO()
    writer.save_checkpoint({"epoch": 1}, path)
    monkeypatch.setattr(checkpoints.torch, "save", lambda checkpoint, file: file.write(b"half"))
    with pytest.raises(NetchuError, match=r"last.ckpt cannot be read back; check the disk"):
        writer.save_checkpoint({"epoch": 2}, path)
    assert read_checkpoint(path) == {"epoch": 1}


def test_the_checkpoint_before_is_kept_where_there_are_links(tmp_path, monkeypatch):
    writer, path = DurableCheckpointIO(), tmp_path / "last.ckpt"
    for epoch in (1, 2):
        writer.save_checkpoint({"epoch": epoch}, path)
    assert read_checkpoint(tmp_path / "before_last.ckpt") == {"epoch": 1}

    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    writer.save_checkpoint({"epoch": 3}, path)
    assert read_checkpoint(path) == {"epoch": 3}
    assert not (tmp_path / "before_last.ckpt").exists()


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"PK")
    with pytest.raises(NetchuError, match=r"best.ckpt is damaged; remove its folder"):
        read_checkpoint(tmp_path / "best.ckpt")
