"""A training stage in MLflow while it trains, at its end, and after a kill."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
from lightning.pytorch.callbacks import Callback
from mlflow.tracking import MlflowClient

import small_project
import tracked_project
from netchu.tracking import live_run, store
from netchu.tracking.live_run import RUN_FILE, LiveRun, tracked_training
from netchu.training.stage import train_stage

SYSTEM = tracked_project.SYSTEM
PHASES = [
    small_project.PHASE | {"epochs": 2, "steps_per_epoch": 10},
    small_project.PHASE | {"steps_per_epoch": 20},
]
DEAD = "http://127.0.0.1:9"  # the discard port, which refuses connections


@pytest.fixture
def project(project_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(project_folder))
    monkeypatch.setattr(live_run, "_FLUSH_SECONDS", 0.2)
    system = {
        "model": small_project.MODEL,
        "pretrain": small_project.numbered(*PHASES),
        "finetune": {},
    }
    params = tracked_project.params(profile="live", systems={SYSTEM: system})
    lines = small_project.drawn_lines("train", 8) + small_project.drawn_lines("val", 4)
    small_project.write_table(lines, params.lines / "drawn", [])
    return params


def client():
    return MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


def runs():
    experiment = client().get_experiment_by_name("netchu-live")
    return client().search_runs([experiment.experiment_id], order_by=["start_time"])


def points(run, name):
    return [point.step for point in client().get_metric_history(run.info.run_id, name)]


def train(params):
    with tracked_training(params, SYSTEM, "pretrain") as monitor:
        return train_stage(params, SYSTEM, "pretrain", monitor)


class Watching(LiveRun):
    """A run that looks at MLflow in the middle of the last phase."""

    seen = None

    def instruments(self, first_step, prefix):
        logger, callbacks = super().instruments(first_step, prefix)
        if first_step:
            callbacks.append(Look())
        return logger, callbacks


class Look(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        time.sleep(1.5)
        (Watching.seen,) = runs()


def test_a_run_is_there_while_it_trains_and_complete_afterwards(project, monkeypatch):
    monkeypatch.setattr(live_run, "LiveRun", Watching)
    train(project)
    seen = Watching.seen
    assert seen.info.status == "RUNNING"
    assert seen.data.params["pretrain.0.steps_per_epoch"] == "10"
    assert {"step/loss", "step/learning_rate", "step/gradient_norm", "step/lines_per_second",
            "val_cer", "val_loss", "train_loss"} <= set(seen.data.metrics)  # fmt: skip
    assert not {"step/loss", "val_cer"} & {n for n in seen.data.metrics if "cpu" in n}
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["weights"]
    assert points(run, "step/loss") == [10, 20, 30, 40]
    assert points(run, "val_cer") == [10, 20, 40]
    images = client().list_artifacts(run.info.run_id, "images")
    assert sum(image.path.endswith(".png") for image in images) == 3
    assert "history.csv" in {file.path for file in client().list_artifacts(run.info.run_id)}


def test_system_metrics_are_logged(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    train(project)
    (run,) = runs()
    assert "system/cpu_utilization_percentage" in run.data.metrics


def test_the_use_of_a_gpu_is_logged(project, monkeypatch):
    """MLflow's monitor is given the driver's functions of a GPU that is not there."""
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    driver = {
        "nvmlInit": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "gpu",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=4e9, total=8e9),
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=75),
        "nvmlDeviceGetPowerUsage": 100_000,
        "nvmlDeviceGetEnforcedPowerLimit": 200_000,
    }
    for name, value in driver.items():
        monkeypatch.setattr(pynvml, name, lambda *_, value=value: value)
    train(project)
    (run,) = runs()
    assert run.data.metrics["system/gpu_0_utilization_percentage"] == 75
    assert run.data.metrics["system/gpu_0_memory_usage_percentage"] == 50


def test_tracking_changes_no_byte_of_the_stage(project, project_folder):
    def content(folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    tracked = content(train(project))
    plain = content(train_stage(project, SYSTEM, "pretrain"))
    assert tracked == plain
    assert RUN_FILE not in tracked


def test_each_fold_has_curves_of_its_own(project_folder, project):
    phase = small_project.PHASE | {"steps_per_epoch": 10, "folds": 2}
    system = {
        "model": small_project.MODEL,
        "pretrain": small_project.numbered(phase),
        "finetune": {},
    }
    params = tracked_project.params(profile="live", systems={SYSTEM: system})
    train(params)
    (run,) = runs()
    assert points(run, "fold0/step/loss") == points(run, "fold1/val_cer") == [10]
    assert points(run, "val_cer") == [10]


def test_a_failure_ends_the_run_with_its_error(project):
    with pytest.raises(RuntimeError), tracked_training(project, SYSTEM, "pretrain") as monitor:
        monitor.begin(Path(".checkpoints/key"))
        raise RuntimeError("no memory left")
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "RuntimeError: no memory left"


def test_a_failure_before_the_training_is_a_failed_run(project):
    with pytest.raises(RuntimeError), tracked_training(project, SYSTEM, "pretrain"):
        raise RuntimeError("no lines")
    assert [run.info.status for run in runs()] == ["FAILED"]


def test_a_resumed_training_goes_on_in_the_same_run(project):
    checkpoints = Path(".checkpoints/key")
    for steps in ([10, 20], [20, 30]):
        with pytest.raises(KeyboardInterrupt), tracked_training(
            project, SYSTEM, "pretrain"
        ) as monitor:  # fmt: skip
            monitor.begin(checkpoints)
            for step in steps:
                monitor.log("step/loss", step, float(step))
            raise KeyboardInterrupt
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert points(run, "step/loss") == [10, 20, 30]


@pytest.mark.parametrize("lost", ["deleted", "unknown"])
def test_a_run_that_is_gone_is_followed_by_a_new_one(project, lost):
    checkpoints = Path(".checkpoints/key")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), tracked_training(
            project, SYSTEM, "pretrain"
        ) as monitor:  # fmt: skip
            monitor.begin(checkpoints)
            raise KeyboardInterrupt
        (run,) = runs()
        client().delete_run(run.info.run_id)
        if lost == "unknown":
            (checkpoints / RUN_FILE).write_text('{"run_id": "0123456789abcdef0123456789abcdef"}')
    assert runs() == []


def test_two_stages_at_once_have_a_run_each(project):
    checkpoints = Path(".checkpoints/key")
    with tracked_training(project, SYSTEM, "pretrain") as first:
        first.begin(checkpoints)
        while first.run_id is None or not (checkpoints / RUN_FILE).exists():
            time.sleep(0.05)
        train(project)
        assert sorted(run.info.status for run in runs()) == ["FINISHED", "RUNNING"]
    assert [run.info.status for run in runs()] == ["FINISHED", "FINISHED"]


SCRIPT = """
import os, signal, sys, time
from lightning.pytorch.callbacks import Callback
from netchu.core.errors import RESUMABLE, one_line_errors
import small_project, tracked_project
from netchu.tracking import live_run
live_run._FLUSH_SECONDS = 0.1
from netchu.training.stage import train_stage

class Stop(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            time.sleep(2)
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
            time.sleep(30)

class Stopped(live_run.LiveRun):
    def instruments(self, first_step, prefix):
        logger, callbacks = super().instruments(first_step, prefix)
        return logger, [*callbacks, Stop()]

live_run.LiveRun = Stopped
system = {"model": small_project.MODEL, "pretrain": small_project.numbered(*PHASES), "finetune": {}}
params = tracked_project.params(profile="live", systems={"netchu_small": system})
with one_line_errors(RESUMABLE), live_run.tracked_training(params, "netchu_small", "pretrain") as m:
    train_stage(params, "netchu_small", "pretrain", m)
"""


def killed(number):
    """Train in a process that gets a signal in its second epoch; return its exit code."""
    support = Path(small_project.__file__).parent
    script = textwrap.dedent(SCRIPT).replace("PHASES", repr(PHASES))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(support), *sys.path])}
    # A shell that runs the tests in the background has them ignore Ctrl-C.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + script
    command = [sys.executable, "-c", script, number]
    return subprocess.run(command, env=environment, check=False, timeout=300).returncode


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_stopped_stage_is_killed_and_goes_on(project, number, code):
    assert killed(number) == code
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert points(run, "val_cer") == [10]
    train(project)
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert points(run, "step/loss") == [10, 20, 30, 40]
    assert points(run, "val_cer") == [10, 20, 40]


@pytest.mark.slow
def test_a_stage_killed_with_9_goes_on_in_its_run_or_is_marked(project):
    assert killed("SIGKILL") == -signal.SIGKILL
    (run,) = runs()
    assert run.info.status == "RUNNING"
    other = tracked_project.params(
        profile="live", seed=8, systems={SYSTEM: dict(project.systems[SYSTEM].__dict__)}
    )
    with pytest.raises(RuntimeError), tracked_training(other, SYSTEM, "pretrain") as monitor:
        monitor.begin(Path(".checkpoints/other"))
        raise RuntimeError
    assert [run.info.status for run in runs()] == ["KILLED", "FAILED"]
    train(project)
    assert [run.info.status for run in runs()] == ["FINISHED", "FAILED"]
    assert points(runs()[0], "val_cer") == [10, 20, 40]


def test_a_server_that_is_down_costs_one_line_and_no_time(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    folder = train(project)
    assert (folder / "model.json").is_file()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("netchu:")]
    assert len(lines) == 1
    assert lines[0].startswith(f"netchu: netchu_small pretrain is not tracked, {DEAD}: ")


def test_a_file_that_is_no_database_costs_one_line(project, tmp_path, monkeypatch, capsys):
    (tmp_path / "other.db").write_text("not a database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    assert (train(project) / "model.json").is_file()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("netchu:")]
    assert "netchu_small pretrain is not tracked" in line


def test_a_deleted_experiment_costs_one_line_and_no_training(project, capsys):
    experiment = client().create_experiment("netchu-live")
    client().delete_experiment(experiment)
    folder = train(project)
    assert (folder / "model.json").is_file()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("netchu:")]
    assert "netchu_small pretrain is not tracked" in line
    assert f"'mlflow experiments restore -x {experiment}'" in line
    assert client().search_runs([experiment]) == []


class Deleting(LiveRun):
    """A run that somebody deletes, alone or with its experiment, while it trains."""

    lost = ""

    def instruments(self, first_step, prefix):
        logger, callbacks = super().instruments(first_step, prefix)
        return logger, [*callbacks, Delete()]


class Delete(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            while not (client().get_experiment_by_name("netchu-live") and runs()):
                time.sleep(0.05)
            (run,) = runs()
            if Deleting.lost == "run":
                client().delete_run(run.info.run_id)
            else:
                client().delete_experiment(run.info.experiment_id)


@pytest.mark.parametrize("lost", ["run", "experiment"])
def test_what_is_deleted_while_it_trains_costs_one_line(project, monkeypatch, capsys, lost):
    monkeypatch.setattr(live_run, "LiveRun", Deleting)
    Deleting.lost = lost
    folder = train(project)
    assert (folder / "model.json").is_file()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("netchu:")]
    assert line.startswith("netchu: netchu_small pretrain is not tracked, sqlite:///")
    assert runs() == []


def test_what_hangs_in_the_thread_does_not_hold_up_the_training(project):
    with tracked_training(project, SYSTEM, "pretrain") as monitor:
        monitor.begin(Path(".checkpoints/key"))
        monitor.log("slow", 1, lambda client, run_id: time.sleep(3))
        begin = time.monotonic()
        train_stage(project, SYSTEM, "pretrain")
        for step in range(1000):
            monitor.log("step/loss", step, 0.5)
        assert time.monotonic() - begin < 20
    (run,) = runs()
    assert len(points(run, "step/loss")) == 1000


def test_only_the_main_process_tracks(project, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with tracked_training(project, SYSTEM, "pretrain") as monitor:
        assert monitor is None
    assert client().get_experiment_by_name("netchu-live") is None


def test_a_message_of_the_end_replaces_none_of_the_start(project, monkeypatch, capsys):
    monkeypatch.setattr(store, "create_run", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with tracked_training(project, SYSTEM, "pretrain") as monitor:
        monitor.begin(Path(".checkpoints/key"))
    assert capsys.readouterr().err.count("netchu: ") == 1
