import os
import sys
import time
from pathlib import Path

import pytest

from netchu.evaluation.baselines import processes
from netchu.evaluation.baselines.base import UnavailableError
from netchu.evaluation.baselines.processes import last_log_line, run_program


def python(code):
    return [sys.executable, "-c", code]


def test_a_command_has_its_variables_and_folder_and_writes_a_log(tmp_path):
    code = "import os; print(os.environ['BASELINE'], os.getcwd())"
    run_program(python(code), tmp_path / "log", 20, {"BASELINE": "chữ"}, cwd=tmp_path)
    assert (tmp_path / "log").read_text(encoding="utf-8") == f"chữ {tmp_path}\n"


def test_the_reason_of_a_failure_is_the_last_line_of_the_log(tmp_path):
    with pytest.raises(UnavailableError, match=r"^ValueError: no such letter$"):
        run_program(python("raise ValueError('no such letter')"), tmp_path / "log", 20, {})


def test_a_failure_without_output_and_a_missing_program_are_named(tmp_path):
    with pytest.raises(UnavailableError, match=r"python.* failed without output"):
        run_program(python("raise SystemExit(3)"), tmp_path / "log", 20, {})
    with pytest.raises(UnavailableError, match="ketos does not start: No such file"):
        run_program([str(tmp_path / "ketos")], tmp_path / "log", 20, {})


def test_exceeding_the_time_limit_is_an_error(tmp_path):
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match="took longer than 0 minutes"):
        run_program(python("import time; time.sleep(60)"), tmp_path / "log", 0.3, {})
    assert time.monotonic() - begin < 20


PARENT = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    with pytest.raises(UnavailableError, match="took longer"):
        run_program([*python(PARENT), str(tmp_path / "pid")], tmp_path / "log", 3, {})
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
    ("content", "reason"),
    [
        ("Error: no file /home/one/model.pt here\n", "Error: no file … here"),
        ("failed to fetch https://registry.example.com/simple/x/: 404\n", "failed to fetch … 404"),
        ("50 %\r100 %\r\x1b[31mbroken\x1b[0m\n\n", "broken"),
        ("╭─ Error ─╮\n│ Mismatched alphabets │\n╰─────╯\n", "Mismatched alphabets"),
        ("", ""),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_the_last_log_line_has_no_urls_and_paths(tmp_path, content, reason):
    log = tmp_path / "log"
    log.write_text(content, encoding="utf-8")
    assert last_log_line(log) == reason
