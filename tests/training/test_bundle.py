"""Training on another machine: what a bundle holds, and that timed runs equal one training."""

import ast
import json
import os
import re
import signal
import sys
import time
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import small_project
from netchu.cli.app import app
from netchu.core.errors import NetchuError
from netchu.core.fingerprints import PACKAGE, import_closure
from netchu.data.line_table import read_table, write_table
from netchu.imaging.images import decode, encode
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weights_hash
from netchu.models.networks.netchu_small import NetchuSmall
from netchu.training import bundle, checkpoint_archive
from netchu.training.bundle import extract, pack
from netchu.training.checkpoint_archive import unpack
from netchu.training.stage import train_stage
from netchu.training.stage_info import training_stages
from netchu.training.timed_run import train_for_minutes
from small_project import MODEL, PHASE, drawn_lines

PHASES = [PHASE | {"epochs": 3, "steps_per_epoch": 2, "batch_size": 4}]
SYSTEM = {
    "model": MODEL,
    "pretrain": small_project.numbered(*PHASES),
    "finetune": small_project.numbered(*PHASES),
}
SMALL = 150_000


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Params and lines of a project, which is the working directory; this process has no caps."""
    monkeypatch.setattr("netchu.core.runtime.set_compute_environment", lambda _: None)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    params = small_project.params(systems={"netchu_small": SYSTEM})
    lines = [line for split in ("train", "val", "test") for line in drawn_lines(split)]
    write_table(lines, params.lines / "drawn")
    return params


@pytest.fixture
def packed(project, tmp_path):
    pack(project, "netchu_small", tmp_path / "small.zip", 1)
    return tmp_path / "small.zip"


def timed_run(packed, out, minutes=9.0, **trainer):
    return train_for_minutes(packed, out, minutes, trainer, None)


def test_a_bundle_holds_the_training_and_validation_lines_only(project, packed, tmp_path):
    there = extract(packed, tmp_path / "there")
    assert there.params == project
    table = read_table(tmp_path / "there" / project.lines / "drawn")
    home = read_table(project.lines / "drawn").query("split != 'test'")
    kept = ["id", "text", "writer", "split", "level"]
    assert set(table["split"]) == {"train", "val"}
    assert table[kept].values.tolist() == home[kept].values.tolist()


def test_images_are_no_higher_than_the_phases_use(packed, tmp_path):
    there = extract(packed, tmp_path / "there")
    for line in read_table(tmp_path / "there" / there.params.lines / "drawn").itertuples():
        image_HW = decode(line.image, line.id)
        assert image_HW.shape == (line.height, line.width)
        assert line.height == MODEL["height"]
        assert line.image[8:12] == b"WEBP"
        text_width = 16 * len(line.text) + 16
        assert line.width == round(text_width * line.height / 40)


def test_a_bundle_holds_only_lines_of_levels_that_phases_use(project, tmp_path):
    phases = [PHASE | {"levels": ["word"]}]
    system = {
        "model": MODEL,
        "pretrain": small_project.numbered(*phases),
        "finetune": small_project.numbered(*phases),
    }
    words = small_project.params(systems={"netchu_small": system})
    header = pack(words, "netchu_small", tmp_path / "words.zip", 1)
    lines = drawn_lines("train") + drawn_lines("val")
    number = sum(line.level == "word" for line in lines)
    assert header["datasets"]["drawn"]["lines"] == number


def test_quality_is_lowered_to_fit_and_the_error_names_the_sizes(project, tmp_path):
    best = pack(project, "netchu_small", tmp_path / "best.zip", 1)
    drawn = best["datasets"]["drawn"]["bytes"]
    assert best["quality"] == bundle.QUALITIES[0]
    limit = (drawn + len(yaml.safe_dump(asdict(project))) - 100) / 1e6
    less = pack(project, "netchu_small", tmp_path / "less.zip", limit)
    assert less["quality"] < best["quality"]
    assert less["datasets"]["drawn"]["bytes"] < drawn
    with pytest.raises(NetchuError, match=r"do not fit into .* at quality 30 \(drawn 0\.0 MB\)"):
        pack(project, "netchu_small", tmp_path / "none.zip", 0.001)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.zip", "home", "less.zip"]


def test_packing_fails_if_the_checkpoints_would_exceed_the_archive(project, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_archive, "MAX_FILE_BYTES", 1000)
    with pytest.raises(
        NetchuError, match=r"netchu_small has 0\.0 million parameters: its checkpoints have"
    ):
        pack(project, "netchu_small", tmp_path / "small.zip", 1)


def test_a_bundle_holds_the_weights_of_the_system_it_starts_from(project, tmp_path):
    second = SYSTEM | {"network": "netchu_small", "start": "netchu_small", "pretrain": {}}
    both = small_project.params(systems={"netchu_small": SYSTEM, "second": second})
    with pytest.raises(NetchuError, match="netchu_small/pretrain holds no model"):
        pack(both, "second", tmp_path / "second.zip", 1)
    made = train_stage(both, "netchu_small", "pretrain")
    pack(both, "second", tmp_path / "second.zip", 1)
    there = extract(tmp_path / "second.zip", tmp_path / "there")
    assert training_stages(there.params, "second") == ("finetune",)
    assert weights_hash(tmp_path / "there" / made) == weights_hash(made)
    assert "finetune finished" in timed_run(tmp_path / "second.zip", tmp_path / "out")
    assert [folder.name for folder in unpack(tmp_path / "out")] == ["finetune"]


def stopping(monkeypatch, stops):
    """Send SIGTERM at each of `stops`, counted in training steps of all runs.

    The steps are counted in a file, because each run trains in a process of its own.
    """
    step = NetchuSmall.training_step
    steps = Path("steps").absolute()
    steps.touch()

    def stopped(self, batch, batch_idx):
        with steps.open("a") as file:
            file.write(".")
        if steps.stat().st_size in stops:
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(60)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(NetchuSmall, "training_step", stopped)
    return steps


def make_the_first_epoch_best(monkeypatch):
    """A run that forgot the best epoch would keep a later one."""

    def ended(self):
        self.log("val_loss", 1.0)
        self.log("val_cer", 0.1 + 0.1 * self.current_epoch)

    monkeypatch.setattr(NetchuSmall, "on_validation_epoch_end", ended)


def test_three_timed_runs_give_the_bytes_of_one_training(project, packed, tmp_path, monkeypatch):
    make_the_first_epoch_best(monkeypatch)
    monkeypatch.setattr(checkpoint_archive, "MAX_FILE_BYTES", SMALL)
    whole = tmp_path / "whole"
    extract(packed, whole)
    monkeypatch.chdir(whole)
    wanted = [train_stage(project, "netchu_small", stage) for stage in ("pretrain", "finetune")]
    monkeypatch.chdir(tmp_path / "home")
    out = tmp_path / "out"
    # In the third epoch of pretraining; then, one step repeated, in the second of fine-tuning.
    steps = stopping(monkeypatch, {6, 11})
    told = [timed_run(packed, out)]
    assert "pretrain, phase0, epoch 2 of 3, validation CER 20.00% (best 10.00%)" in told[0]
    assert_within_limits(out)
    with pytest.raises(NetchuError, match="no stage is finished yet"):
        unpack(out)
    told.append(timed_run(packed, out))
    assert "finetune, phase0, epoch 1 of 3" in told[1]
    assert [folder.name for folder in unpack(out)] == ["pretrain"]
    told.append(train_for_minutes(packed, out, 9.0, {}, workers=1))
    assert "pretrain and finetune finished" in told[2]
    assert_within_limits(out)
    assert steps.stat().st_size == 12 + 2 + 1
    made = unpack(out)
    assert [weights_hash(folder) for folder in made] == [weights_hash(whole / w) for w in wanted]
    for mine, theirs in zip(made, wanted, strict=True):
        assert (mine / "history.csv").read_bytes() == (whole / theirs / "history.csv").read_bytes()
        assert mine.with_name(f"{mine.name}.cost.json").exists()
    provenance = read_card(made[1])["provenance"]
    assert provenance["trainer"]["accelerator"] == "cpu"
    assert provenance["bundle"]["datasets"]["drawn"]["lines"] == 24
    assert provenance["pretrained"] == weights_hash(made[0])
    assert weights_hash(out / "best") == weights_hash(made[1])


def assert_within_limits(out):
    """Few small files with plain names, and a model among them."""
    files = [path for path in out.rglob("*") if path.is_file()]
    assert 3 < len(files) <= checkpoint_archive.MAX_FILES
    for path in files:
        assert path.stat().st_size <= SMALL
        parts = path.relative_to(out).parts
        assert len(parts) <= 2
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", part) for part in parts)
    load_model(out / "best")


def test_a_timed_run_ends_at_its_time_limit(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(NetchuSmall, "training_step", lambda *_: time.sleep(60))
    since = time.monotonic()
    told = timed_run(packed, tmp_path / "out", minutes=0.02)
    assert time.monotonic() - since < 20
    assert told.startswith("netchu_small: no epoch finished yet; archive 0.0 MB")
    assert (
        checkpoint_archive.read_archive(tmp_path / "out")[0]["progress"] == "no epoch finished yet"
    )


def test_a_training_that_fails_writes_its_archive(packed, tmp_path, monkeypatch, capfd):
    step = NetchuSmall.training_step

    def broken(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise NetchuError("the memory is full")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(NetchuSmall, "training_step", broken)
    with pytest.raises(NetchuError, match=r"failed, see above \(.*pretrain, phase0, epoch 1 of"):
        timed_run(packed, tmp_path / "out")
    assert "netchu: the memory is full" in capfd.readouterr().err
    assert checkpoint_archive.read_archive(tmp_path / "out")


def test_damaged_bundles_and_those_of_another_version_are_refused(project, packed, tmp_path):
    content = packed.read_bytes()
    for name, damaged in (("cut", content[:-50]), ("flipped", flip(content, 500)), ("none", b"")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(NetchuError, match=f"{name} is damaged or no bundle"):
            timed_run(tmp_path / name, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "old", "w") as file:
        file.writestr(bundle.HEADER, json.dumps({"version": 0}))
    with pytest.raises(
        NetchuError, match="old is a bundle of version 0, but this code reads version 2"
    ):
        timed_run(tmp_path / "old", tmp_path / "out")
    with pytest.raises(NetchuError, match="gone is not here"):
        timed_run(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(NetchuError, match="unknown key acelerator; did you mean 'accelerator'"):
        timed_run(packed, tmp_path / "out", acelerator="gpu")
    assert not (tmp_path / "out").exists()


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def test_archives_of_another_training_and_damaged_ones_are_refused(project, packed, tmp_path):
    out = tmp_path / "out"
    training = checkpoint_archive.SystemTraining(tmp_path / "nothing", project, "netchu_small")
    header = {"header": {"system": "netchu_small"}, "progress": "nothing"}
    identity = {"bundle": "other", "code": "other", "trainer": {}}
    checkpoint_archive.save_archive(training, out, header | {"identity": identity})
    with pytest.raises(NetchuError, match="another bundle and code and trainer; resume with"):
        timed_run(packed, out)
    (part,) = out.glob("archive.*.0")
    whole = part.read_bytes()
    part.write_bytes(flip(whole, 3))
    with pytest.raises(NetchuError, match="out is damaged; copy its files again"):
        timed_run(packed, out)
    part.unlink()
    with pytest.raises(NetchuError, match=r"archive\.\w+\.0 is not here; copy all files"):
        timed_run(packed, out)
    with pytest.raises(NetchuError, match=r"archive\.json is not here; copy all files"):
        unpack(tmp_path / "elsewhere")


def run_command(*arguments):
    return CliRunner().invoke(app, ["bundle", *map(str, arguments)])


def test_packing_training_and_unpacking_by_the_command_line(project, tmp_path):
    Path("params.yaml").write_text(yaml.safe_dump(asdict(project)))
    small, out = tmp_path / "small.zip", tmp_path / "out"
    packed = run_command("pack", "netchu_small", small)
    assert packed.stdout.startswith(f"{small}: 0.0 MB, 32 px, quality 90: drawn 24 lines 0.0 MB")
    assert "pretrain and finetune finished" in run_command("train", small, out).stdout
    assert run_command("unpack", out).stdout.splitlines() == [
        "models/tiny/netchu_small/pretrain is there",
        "models/tiny/netchu_small/finetune is there",
    ]
    failed = run_command("unpack", tmp_path)
    assert (failed.exit_code, failed.stderr.count("\n")) == (2, 1)


def test_a_line_too_wide_for_webp_keeps_its_encoding(project):
    (line,) = drawn_lines("train", 1)
    wide = small_project.picture("x" * 1100)
    long = replace(line, image=encode(wide), width=wide.shape[1], height=wide.shape[0])
    write_table([long], Path("wide"))
    (kept,) = bundle._compressed(read_table(Path("wide")), 40, 90)
    assert kept == long


def test_training_a_bundle_needs_no_tracking_and_no_model_hub():
    start = [
        PACKAGE / "training/timed_run.py",
        PACKAGE / "training/stage.py",
        PACKAGE / "models/networks/netchu_small.py",
    ]
    needed = set()
    for path in import_closure(start):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                needed |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add(node.module.split(".")[0])
    assert needed - set(sys.stdlib_module_names) - {"netchu"} <= {
        "albumentations", "bitsandbytes", "cv2", "filelock", "jiwer", "lightning", "numpy",
        "pandas", "pyarrow", "pydantic", "safetensors", "timm", "torch", "yaml",
    }  # fmt: skip
