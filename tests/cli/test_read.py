"""The command line, as a person or a script meets it."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from bar_model import bars, write_bar_model
from typer.testing import CliRunner

from netchu.cli import app
from netchu.data.line_table import Skipped
from netchu.imaging.images import encode
from netchu.inference.reader import Reader

MAIN = [sys.executable, "-c", "from netchu.cli.app import main; main()"]
BASE = {"NO_COLOR": "1", "COLUMNS": "100"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a model that reads bars, and photos of `ha`, `bah` and `hh`."""
    monkeypatch.chdir(tmp_path)
    write_bar_model(tmp_path / "model", alphabet="ạbcđếghọ")
    write_photo("1.png", "ah")
    write_photo("more/2.png", "bah")
    write_photo("more/deep/3.PNG", "hh")
    write_photo("more/.hidden/4.png", "hh")
    (tmp_path / "more" / "notes.txt").write_text("no image")
    return tmp_path


def write_photo(path, text):
    path = app.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(bars(text)))


def run(*arguments, **options):
    """In this process, with `--model model` for `read`."""
    extra = ["--model", "model", "--line"] if arguments[:1] == ("read",) else []
    return CliRunner(env=BASE).invoke(app.app, [*arguments, *extra], **options)


def start(*arguments, **options):
    """In a process of its own, with pipes, and with Ctrl-C even where the tests run without it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*MAIN, *arguments, "--model", "model", "--line"]
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, preexec_fn=heed, **(pipes | options))


def test_one_photo_is_text_on_stdout(home):
    done = run("read", "1.png")
    assert (done.stdout, done.stderr, done.exit_code) == ("ạọ\n", "", 0)


def test_the_network_alone_may_be_asked(home, monkeypatch):
    asked = []

    def made(model, **wishes):
        asked.append(wishes)
        return Reader(model, **wishes)

    monkeypatch.setattr("netchu.inference.reader.Reader", made)
    assert run("read", "--greedy", "1.png").stdout == run("read", "1.png").stdout == "ạọ\n"
    assert asked == [{"greedy": True}, {"greedy": False}]


def test_folders_are_read_through_in_order(home):
    done = run("read", "more", "1.png")
    assert done.stdout == "more/2.png:\nbạọ\n\nmore/deep/3.PNG:\nọọ\n\n1.png:\nạọ\n"
    assert (done.stderr, done.exit_code) == ("", 0)


def test_stdin_is_an_image(home):
    done = run("read", "-", input=encode(bars("bah")))
    assert (done.stdout, done.exit_code) == ("bạọ\n", 0)


def test_json_and_csv_keep_the_order_given(home):
    paths = ["more/2.png", "gone.png", "1.png"]
    done = run("read", "--json", "--batch", "1", *paths)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(t["path"], t["text"]) for t in told] == [
        ("more/2.png", "bạọ"), ("gone.png", None), ("1.png", "ạọ"),
    ]  # fmt: skip
    assert 0.9 < told[0]["confidence"] <= 1
    assert [c["text"] for c in told[0]["lines"][0]["characters"]] == list("bạọ")
    assert "gone.png" in told[1]["error"]
    done = run("read", "--csv", *paths)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["path"], row["text"]) for row in rows] == [
        ("more/2.png", "bạọ"), ("gone.png", ""), ("1.png", "ạọ"),
    ]  # fmt: skip


def test_what_cannot_be_read_is_named_at_the_end_and_stops_nothing(home):
    (home / "bad.png").write_bytes(b"no image")
    (home / "empty").mkdir()
    done = run("read", "bad.png", "1.png", "empty", "gone.png")
    assert done.stdout == "1.png:\nạọ\n"
    told = done.stderr.splitlines()
    assert all(line.startswith("netchu: ") for line in told)
    assert sorted(name for line in told for name in ("bad.png", "empty", "gone.png")
                  if name in line) == ["bad.png", "empty", "gone.png"]  # fmt: skip
    assert done.exit_code == 1
    assert run("read", "bad.png", "empty").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["read", "--json", "--csv", "1.png"], "exclude one another"),
        (["read"], "Missing argument"),
        (["read", "--batch", "0", "1.png"], "--batch"),
        (["read", "--jsn", "1.png"], "--jsn"),
        (["raed", "1.png"], "raed"),
        (["train"], "--csv"),
    ],
)
def test_a_wrong_command_is_told_with_exit_code_2(home, arguments, complaint):
    done = run(*arguments)
    assert complaint in done.stderr
    assert (done.stdout, done.exit_code) == ("", 2)


def test_a_folder_without_a_model_is_one_line(home):
    done = CliRunner(env=BASE).invoke(app.app, ["read", "--csv", "1.png", "--model", "more"])
    assert (done.stdout, done.exit_code) == ("", 2)
    assert done.stderr.startswith("netchu: more")
    assert done.stderr.count("\n") == 1


def test_help_shows_examples_and_exit_codes():
    told = run("--help").stdout
    assert "read" in told
    assert "train" in told
    read = CliRunner(env=BASE).invoke(app.app, ["read", "--help"]).stdout
    assert "\n    netchu read photo.jpg\n" in read
    assert "\n    2  none could be read" in read


LIGHT = """
import sys, time
since = time.process_time()
from netchu.cli.app import main
try:
    main()
finally:
    seconds = time.process_time() - since
    heavy = {"torch", "pandas", "pyarrow", "lightning", "onnx", "yaml"} & set(sys.modules)
    print("heavy:", sorted(heavy), "slow:", seconds > 5, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--version"], "netchu 0."),
        (["--help"], "Usage"),
        (["read", "1.png", "--line", "--model", "model"], "ạọ"),
    ],
)
def test_reading_loads_nothing_of_training_and_speaks_utf8_anywhere(home, arguments, told):
    poor = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", LIGHT, *arguments]
    done = subprocess.run(command, env=poor, capture_output=True, check=True)
    assert done.stdout.decode().startswith(told)
    assert done.stderr.decode() == "heavy: [] slow: False\n"


def test_readings_are_out_before_the_next_image_is_in_and_ctrl_c_is_quiet(home):
    process = start("read", "--json", "--batch", "1", "1.png", "-")
    assert json.loads(process.stdout.readline())["text"] == "ạọ"
    time.sleep(0.2)  # it waits for stdin now
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (130, b"netchu: stopped\n")


def test_a_closed_pipe_ends_it_in_silence(home):
    process = start("read", "--batch", "1", "1.png", "-")
    assert process.stdout.readline() == b"1.png:\n"
    process.stdout.close()
    process.stdin.write((home / "1.png").read_bytes())
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait(20) == -signal.SIGPIPE


def test_a_path_that_is_no_utf8_is_valid_json(home):
    name = os.fsdecode(b"\xff.png")
    write_photo(name, "ah")
    process = start("read", "--json", name)
    out, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (0, b"")
    assert json.loads(out.decode("utf-8"))["path"] == name


@pytest.mark.parametrize("both", [False, True])
def test_a_terminal_shows_a_bar_and_the_text_all_the_same(home, both):
    outer, inner = pty.openpty()
    pipe = {"stdout": inner} if both else {}
    process = start("read", "more", "1.png", stderr=inner, **pipe)
    os.close(inner)
    shown = b""
    while True:
        try:
            shown += os.read(outer, 4096)
        except OSError:  # the other end is closed
            break
    text = shown if both else process.communicate(timeout=20)[0]
    assert process.wait(20) == 0
    assert b"3/3" in shown
    assert "bạọ" in text.replace(b"\r\n", b"\n").decode()
    if not both:
        assert text.decode() == "more/2.png:\nbạọ\n\nmore/deep/3.PNG:\nọọ\n\n1.png:\nạọ\n"


def test_training_without_what_it_needs_says_what_to_install(home, monkeypatch):
    monkeypatch.delitem(sys.modules, "netchu.release.fine_tuning", raising=False)
    monkeypatch.setattr("netchu.core.runtime.set_compute_environment", lambda compute: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("train", "--csv", "mine.csv")
    assert done.exit_code == 2
    assert done.stderr == (
        "netchu: training needs torch, which reading does not: pip install 'netchu[train]'\n"
    )


def test_training_tells_what_it_did(home, monkeypatch):
    from netchu.release import fine_tuning

    rates = {"cer": 0.2, "cer_low": 0.1, "cer_high": 0.30001, "lines": 4}
    skipped = [Skipped(f"csv-{n:06d}", "empty label") for n in range(1, 13)]
    asked = {}

    def adapt(table, out, **wishes):
        asked.update(wishes, table=table, out=out)
        counts = {"train": 22, "val": 4, "test": 4}
        return fine_tuning.Adaptation(counts, "ẽß", skipped, rates, rates | {"cer": 0.05})

    monkeypatch.setattr("netchu.core.runtime.set_compute_environment", lambda compute: None)
    monkeypatch.setattr(fine_tuning, "adapt", adapt)
    done = run("train", "--csv", "lines/mine.csv", "--minutes", "3")
    assert done.exit_code == 0
    assert asked == {
        "table": app.Path("lines/mine.csv"), "out": app.Path("mine-model"), "images": None,
        "model": None, "minutes": 3.0,
    }  # fmt: skip
    assert done.stdout == (
        "22 lines taught it, 4 chose when to stop\n"
        "new letters: ẽ ß\n"
        "CER on 4 lines held out: 20.0 % (10.0–30.0) before, 5.0 % (10.0–30.0) after\n"
        "netchu read --model mine-model PATH... reads with it\n"
    )
    told = done.stderr.splitlines()
    assert told[0] == "left out: row 1: empty label"
    assert told[10] == "left out: 12 in all, see mine-model/skipped.csv"
    assert told[11].startswith("fewer than 30 lines held out")


def test_a_gain_that_is_not_confirmed_is_no_success_story(capsys):
    from netchu.cli.train import _tell
    from netchu.release.fine_tuning import Adaptation

    rates = {"cer": 0.2, "cer_low": 0.1, "cer_high": 0.3}
    _tell(Adaptation({"train": 99, "val": 40, "test": 40}, "", [], rates, rates), app.Path("m"))
    assert capsys.readouterr().err == (
        "these lines do not confirm the gain: try both models on others\n"
    )
