import os
import sys
import time
from pathlib import Path

import pytest

from netchu.evaluation.baselines import processes
from netchu.evaluation.baselines.base import UnavailableError
from netchu.evaluation.baselines.processes import last_words, run


def python(code):
    return [sys.executable, "-c", code]


def test_a_command_gets_its_variables_and_place_and_leaves_a_log(tmp_path):
    code = "import os; print(os.environ['BASELINE'], os.getcwd())"
    run(python(code), tmp_path / "log", 20, {"BASELINE": "chữ"}, place=tmp_path)
    assert (tmp_path / "log").read_text(encoding="utf-8") == f"chữ {tmp_path}\n"


def test_a_failure_is_told_in_its_last_words(tmp_path):
    with pytest.raises(UnavailableError, match=r"^ValueError: no such letter$"):
        run(python("raise ValueError('no such letter')"), tmp_path / "log", 20, {})


def test_silent_failure_and_missing_program_are_named(tmp_path):
    with pytest.raises(UnavailableError, match=r"python.* failed and said nothing"):
        run(python("raise SystemExit(3)"), tmp_path / "log", 20, {})
    with pytest.raises(UnavailableError, match="ketos does not start: No such file"):
        run([str(tmp_path / "ketos")], tmp_path / "log", 20, {})


def test_what_should_end_and_does_not_is_an_error(tmp_path):
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match="took longer than 0 minutes"):
        run(python("import time; time.sleep(60)"), tmp_path / "log", 0.3, {})
    assert time.monotonic() - begin < 20


SAVING = """
import pathlib, signal, sys, time
def save(*_):
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit(1)
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(60)
"""


def test_what_has_no_end_may_save_before_it_is_stopped(tmp_path):
    run([*python(SAVING), str(tmp_path / "out")], tmp_path / "log", 3, {}, endless=True)
    assert (tmp_path / "out").read_text() == "saved"


PARENT = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


def test_who_does_not_listen_is_ended_with_all_children(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.2)
    run([*python(PARENT), str(tmp_path / "pid")], tmp_path / "log", 3, {}, endless=True)
    child = int((tmp_path / "pid").read_text())
    for _ in range(50):
        if not alive(child):
            return
        time.sleep(0.1)
    raise AssertionError("the child lives")


def alive(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Error: no file /home/one/model.pt here\n", "Error: no file … here"),
        ("failed to fetch https://registry.example.com/simple/x/: 404\n", "failed to fetch … 404"),
        ("50 %\r100 %\r\x1b[31mbroken\x1b[0m\n\n", "broken"),
        ("╭─ Error ─╮\n│ Mismatched alphabets │\n╰─────╯\n", "Mismatched alphabets"),
        ("", ""),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_last_words_name_no_place_of_this_machine(tmp_path, said, told):
    log = tmp_path / "log"
    log.write_text(said, encoding="utf-8")
    assert last_words(log) == told
