"""Bad input at the doors: one line that names the culprit, no traceback, nothing half-written."""

import json
import runpy
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import jiwer
import pandas as pd
import pytest
import yaml

import small_project
from compositions import ROOT
from netchu.data.line_table import write_table
from netchu.models.model_card import read_card
from netchu.pipeline.code import write_fingerprints
from small_project import MODEL, PHASE, drawn_lines

DARK = "http://127.0.0.1:9"  # the discard port: refused at once
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), DARK)


def content(**changes):
    """params.yaml of a tiny project as plain values."""
    return json.loads(json.dumps(asdict(small_project.params(**changes))))


@pytest.fixture
def run(project_folder, monkeypatch):
    """Run a stage as DVC does, in a process of its own; return what it told on stderr."""

    def runner(stage, *arguments, params=None, code=2):
        prepare(params, monkeypatch)
        ended = subprocess.run(
            [sys.executable, str(ROOT / "stages" / f"{stage}.py"), *arguments],
            cwd=project_folder, capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stderr

    return runner


@pytest.fixture
def run_here(project_folder, monkeypatch, capsys):
    """Run a stage within this process, where all is loaded; return what it told on stderr."""

    def runner(stage, *arguments, params=None, **variables):
        prepare(params, monkeypatch, variables)
        script = str(ROOT / "stages" / f"{stage}.py")
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        # Its caps would reach every later test.
        monkeypatch.setattr("netchu.core.runtime.set_compute_environment", lambda compute: None)
        with pytest.raises(SystemExit) as left:
            runpy.run_path(script, run_name="__main__")
        assert left.value.code == 2
        return capsys.readouterr().err

    return runner


def prepare(params, monkeypatch, variables=()):
    """Write params.yaml and set the environment; `params` are values or a file's text."""
    text = params if isinstance(params, str) else yaml.safe_dump(params or content())
    Path("params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    for name, value in dict(variables).items():
        monkeypatch.setenv(name, value)


def only_line(told):
    """What was told, which must be one line of ours and nothing else."""
    assert told.count("\n") == 1, told
    assert told.startswith("netchu: ")
    return told


@pytest.mark.parametrize(
    ("stage", "name", "known"),
    [
        ("pretrain", "system", "netchu_small"),
        ("finetune", "system", "netchu_small"),
        ("evaluate", "system", "netchu_small"),
        ("export", "system", "netchu_small"),
        ("preprocess", "dataset", "drawn"),
        ("synthesize", "synthetic dataset", "words"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(run_here, stage, name, known):
    kind = {"text": "syllable", "count": 2, "fonts": {"train": ["charm"]}}
    told = run_here(stage, "vietocr", params=content(synthetic={"words": kind}))
    assert f"netchu: unknown {name} 'vietocr'; params.yaml has: {known}" in told


def test_an_unknown_source_lists_the_known_ones(run_here):
    told = only_line(run_here("download", "iam"))
    assert "unknown source 'iam'; known: cinnamon, fonts, kalapa" in told


@pytest.mark.parametrize("stage", ["download", "report"])
def test_an_unknown_key_names_the_near_one(run, stage):
    params = content()
    params["compute"]["thread"] = params["compute"].pop("threads")
    told = only_line(run(stage, *(["kalapa"] if stage != "report" else []), params=params))
    assert "params.yaml: unknown key compute.thread; did you mean 'threads'?" in told


def test_an_unknown_key_of_a_model(run_here):
    system = {
        "model": MODEL | {"mixer": 2},
        "pretrain": small_project.numbered(PHASE),
        "finetune": small_project.numbered(PHASE),
    }
    params = content(systems={"netchu_small": system})
    write_lines()
    told = run_here("pretrain", "netchu_small", params=params)
    wanted = "params.yaml systems.netchu_small.model: unknown key mixer; did you mean 'mixers'?"
    assert wanted in told.splitlines()[-1]


@pytest.mark.parametrize("text", ["seed: [", "", "- a\n"])
def test_params_that_are_none(run_here, text):
    assert "params.yaml" in only_line(run_here("download", "kalapa", params=text))


def test_the_wrong_folder(project_folder):
    (project_folder / "elsewhere").mkdir()
    ended = subprocess.run(
        [sys.executable, str(ROOT / "stages" / "report.py")],
        cwd=project_folder / "elsewhere", capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "run in the repository's root" in only_line(ended.stderr)


def test_a_missing_mirror_file(run_here, project_folder):
    told = only_line(run_here("download", "kalapa", NETCHU_MIRROR=str(project_folder)))
    assert "the mirror has no kalapa/kalapa.tar; put it into NETCHU_MIRROR" in told
    assert not [path for path in (project_folder / "data").rglob("*") if path.is_file()]


def test_a_truncated_archive(run_here, project_folder):
    folder = project_folder / "mirror" / "kalapa"
    folder.mkdir(parents=True)
    (folder / "text").write_text("row\n" * 2000)
    with tarfile.open(folder / "kalapa.tar", "w") as archive:
        archive.add(folder / "text")
    whole = (folder / "kalapa.tar").read_bytes()
    (folder / "kalapa.tar").write_bytes(whole[:3000])
    told = run_here("download", "kalapa", NETCHU_MIRROR=str(project_folder / "mirror"))
    assert "kalapa.tar is truncated or not an archive" in only_line(told)
    assert not list((project_folder / "data").rglob("*.*"))


def test_no_network(run_here, project_folder, monkeypatch):
    # The opener that urllib keeps knows the proxies of its first use.
    monkeypatch.setattr("urllib.request._opener", None)
    told = only_line(run_here("download", "truyen_kieu", **NO_NETWORK))
    assert "cannot reach https://" in told
    assert "set NETCHU_MIRROR or connect" in told
    assert not (project_folder / "data" / "tiny" / "raw" / "truyen_kieu").exists()


def test_no_npm(run_here):
    assert "npm is not installed; install it from" in only_line(
        run_here("download", "fonts", PATH="")
    )


def test_no_fonts(run_here):
    kind = {"text": "syllable", "count": 2, "fonts": {"train": ["charm"]}}
    told = run_here("synthesize", "words", params=content(synthetic={"words": kind}))
    assert "no fonts in data/tiny/raw/fonts; run 'dvc repro download@fonts'" in told


def test_nothing_to_preprocess(run_here, project_folder):
    told = run_here("preprocess", "drawn")
    assert "nowhere" in told.splitlines()[-1]
    assert not [path for path in (project_folder / "data").rglob("*") if path.is_file()]


def write_lines(**changes):
    lines = [replace(line, **changes) for s in ("train", "val", "test") for line in drawn_lines(s)]
    write_table(lines, small_project.params().lines / "drawn")


def test_no_lines_and_no_model(run_here):
    assert "drawn holds no line table; run 'dvc repro'" in run_here("pretrain", "netchu_small")
    write_lines()
    assert "pretrain holds no model; run 'dvc repro'" in run_here("finetune", "netchu_small")


def test_an_image_that_does_not_decode(run, project_folder):
    write_lines(image=b"no image at all")
    told = run("pretrain", "netchu_small").splitlines()[-1]
    assert told.startswith("netchu: line train-")
    assert told.endswith("not an image that decodes; replace the file or drop the line")
    assert not (project_folder / "models").exists()


def test_a_model_of_another_alphabet(run_here, project_folder):
    write_lines()
    folder = small_project.write_model(small_project.params())
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    card["alphabet"] = card["alphabet"].replace("ỵ", "")
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    told = run_here("evaluate", "netchu_small").splitlines()[-1]
    assert told.startswith("netchu: models/tiny/netchu_small/finetune has another alphabet")
    assert "they differ in 'ỵ'" in told
    assert not (project_folder / "models/tiny/netchu_small/evaluation").exists()


@pytest.mark.slow
def test_all_stages_of_a_tiny_project_end_well(run, project_folder):
    write_lines()
    for stage in ("pretrain", "finetune", "evaluate"):
        run(stage, "netchu_small", code=0)
    write_fingerprints(ROOT / "stages", Path("fingerprints/code"))
    for data in ("raw", "lines"):
        run("selection", data, code=0)
    run("report", code=0)
    # The leaderboard shows the rates of the readings, of all lines of the test split.
    home = project_folder / "models" / "tiny" / "netchu_small"
    read = pd.read_parquet(home / "evaluation" / "predictions.parquet").query(
        "level == 'line' and variant == 'greedy'"
    )
    report = project_folder / "reports" / "tiny"
    (row,) = json.loads((report / "leaderboard.json").read_text(encoding="utf-8"))["systems"]
    assert sorted(read["id"]) == [
        line.id for line in drawn_lines("test") if line.level == "line"
    ]  # fmt: skip
    cer = jiwer.cer(read["text"].tolist(), read["reading"].tolist())
    assert row["cer"] == pytest.approx(cer, abs=1e-6)
    assert row["ser"] == pytest.approx((read["text"] != read["reading"]).mean(), abs=1e-6)
    assert row["training_seconds"] > 0
    trained = read_card(home / "finetune")["training"]
    assert [phase["stage"] for phase in trained] == ["pretrain", "finetune"]
    assert f"| {100 * cer:.1f} % |" in (report / "leaderboard.md").read_text(encoding="utf-8")
