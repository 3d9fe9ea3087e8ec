"""`netchu repro`, with a script in place of DVC that notes how it is called."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from netchu.core.errors import NetchuError
from netchu.core.params import ComputeParams, TrainerParams
from netchu.pipeline import rebuild
from netchu.pipeline.rebuild import default_jobs, milestones
from small_project import params

SCRIPT = """
import json, os, pathlib, sys, time
folder, arguments = pathlib.Path(sys.argv[1]), sys.argv[2:]
begin = time.time()
time.sleep(0.5)
cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
print("Epoch 0: 100%|##| 4/4 [00:00<00:00, 8.1it/s, val_cer=0.5]", flush=True)
call = {"arguments": arguments, "begin": begin, "end": time.time(), "cores": cores}
(folder / f"{time.time_ns()}.json").write_text(json.dumps(call))
sys.exit("pretrain@broken" in arguments)
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Replace DVC; return a function that lists how it was called, in order of their ends."""
    script = tmp_path / "dvc.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(rebuild, "DVC", (sys.executable, str(script), str(tmp_path)))
    return lambda: [json.loads(file.read_text()) for file in sorted(tmp_path.glob("*.json"))]


def systems(**starts):
    own = {"network": "crnn_vgg", "model": {}, "pretrain": {}, "finetune": {}}
    return params(systems={name: own | {"start": start} for name, start in starts.items()})


def trainings(names):
    stages = [f"{stage}@{name}" for stage in ("pretrain", "finetune") for name in names]
    return ["--wait-for-lock", "repro", "--single-item", *stages]


def test_systems_are_trained_between_what_they_need_and_the_rest(calls, capfd):
    rebuild.rebuild(systems(one="", two="two", three="four", four="one"), 2)
    first, *sides, last = calls()
    assert first["arguments"] == ["repro", "selection@lines"]
    assert sorted(side["arguments"] for side in sides) == sorted(
        [trainings(["one", "three", "four"]), trainings(["two"])]
    )
    assert last["arguments"] == ["repro"]
    assert max(side["begin"] for side in sides) < min(side["end"] for side in sides)
    assert first["end"] <= min(side["begin"] for side in sides)
    assert "two: Epoch 0: val_cer=0.5\n" in capfd.readouterr().out


def test_systems_that_start_from_each_other_are_trained_by_one_command(calls):
    rebuild.rebuild(systems(one="two", two="one", three=""), 2)
    sides = sorted(call["arguments"] for call in calls()[1:-1])
    assert sides == sorted([trainings(["one", "two"]), trainings(["three"])])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_systems_side_by_side_share_the_cores_and_no_more_run_than_wanted(calls):
    rebuild.rebuild(systems(one="", two="", three=""), 2)
    sides = calls()[1:-1]
    assert len(sides) == 3
    for side in sides:
        others = [o for o in sides if o["begin"] < side["end"] and side["begin"] < o["end"]]
        assert len(others) <= 2  # with itself
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        assert {tuple(side["cores"]) for side in sides} == {
            tuple(sorted(cores)[0::2]), tuple(sorted(cores)[1::2])
        }  # fmt: skip


def test_one_job_is_one_dvc_repro(calls):
    rebuild.rebuild(systems(one="", two=""), 1)
    assert [call["arguments"] for call in calls()] == [["repro"]]


def test_a_profile_without_systems_is_rebuilt(calls):
    rebuild.rebuild(systems(), 2)
    assert [call["arguments"] for call in calls()] == [["repro"]]


def test_a_failed_training_is_named_and_the_others_end(calls):
    with pytest.raises(NetchuError, match=r"^the training of broken failed, see above$"):
        rebuild.rebuild(systems(broken="", fine=""), 2)
    assert len(calls()) == 3  # and no stage after the trainings


STOPPED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = {path!r}
from netchu.core.errors import one_line_errors
from netchu.pipeline import rebuild
import test_rebuild

stage = "print(1, flush=True); import time; time.sleep({mark})"
dvc = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {{stage!r}}])"
build = "import sys; {jobs} > 1 and 'selection@lines' in sys.argv or exec(sys.argv[1])"
rebuild.DVC = (sys.executable, "-c", build, dvc)
with one_line_errors():
    rebuild.rebuild(test_rebuild.systems(one="", two="", three=""), {jobs})
"""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_stages(number, jobs):
    mark = f"300.{os.getpid()}{int(number)}{jobs}"
    path = [str(Path(__file__).parent), *sys.path]
    script = STOPPED.format(path=path, mark=mark, jobs=jobs)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        for _ in range(jobs):  # each stage prints a line
            process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    sleeping = [p for p in psutil.process_iter(["cmdline"]) if mark in str(p.info["cmdline"])]
    psutil.wait_procs(sleeping, timeout=10)
    assert not [p for p in sleeping if p.is_running()]


@pytest.mark.parametrize(
    ("threads", "accelerator", "devices", "jobs"),
    [(1, "cpu", 1, 8), (2, "cpu", 1, 4), (3, "cpu", 1, 2), (16, "cpu", 1, 1), (2, "cpu", 2, 2),
     (1, "gpu", 1, 1), (1, "auto", 1, 1)],
)  # fmt: skip
def test_jobs_are_chosen_from_cores_and_threads(monkeypatch, threads, accelerator, devices, jobs):
    monkeypatch.setattr(rebuild, "available_cores", lambda: 8)
    chosen = params(
        compute=ComputeParams(threads=threads),
        trainer=TrainerParams(accelerator=accelerator, devices=devices),
    )
    assert default_jobs(chosen) == jobs


def test_of_bars_the_values_at_the_end_of_each_epoch_are_kept():
    lines = [
        "Running stage 'pretrain@x':\n",
        "Training: |          | 0/? [00:00<?, ?it/s]\n",
        "Epoch 0:  25%|##   | 1/4 [00:02<00:07,  8.08it/s]\n",
        "\x1b[AValidation DataLoader 0: 100%|####| 3/3 [00:00<00:00, 99.99it/s]\n",
        "Epoch 0: 100%|#####| 4/4 [00:03<00:00,  1.33it/s, val_cer=0.9]\n",
        "Epoch 0:   0%|     | 0/4 [00:00<?, ?it/s, val_cer=0.9, train_loss=7.1]\n",
        "Epoch 1:  50%|##   | 2/4 [00:01<00:01,  2.00it/s, val_cer=0.9, train_loss=7.1]\n",
        "Epoch 1: 100%|#####| 4/4 [00:02<00:00,  2.00s/it, val_cer=0.8, train_loss=6.2]\n",
        "\n",
        "netchu: data 100 | is not a bar\n",
        "To track the changes with git, run:\n",
        "\tgit add dvc.lock\n",
    ]
    assert list(milestones(lines)) == [
        "Running stage 'pretrain@x':",
        "Epoch 0: val_cer=0.9, train_loss=7.1",
        "Epoch 1: val_cer=0.8, train_loss=6.2",
        "netchu: data 100 | is not a bar",
    ]
