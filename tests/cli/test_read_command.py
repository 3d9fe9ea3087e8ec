"""`netchu read`, in this process and in one of its own."""

import csv
import fcntl
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from array import array
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import ExifTags, Image
from typer.testing import CliRunner

from bar_model import bars, write_bar_model
from netchu.cli import app
from netchu.imaging.images import encode
from netchu.inference.reader import Reader

MAIN = [sys.executable, "-m", "netchu"]
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
    path = Path(path)
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


def test_greedy_reads_without_the_language_model(home, monkeypatch):
    asked = []

    def made(model, **wishes):
        asked.append(wishes)
        return Reader(model, **wishes)

    monkeypatch.setattr("netchu.inference.reader.Reader", made)
    assert run("read", "--greedy", "1.png").stdout == run("read", "1.png").stdout == "ạọ\n"
    assert asked == [{"greedy": True}, {"greedy": False}]


def test_images_of_a_folder_are_read_in_order(home):
    done = run("read", "more", "1.png")
    assert done.stdout == "more/2.png:\nbạọ\n\nmore/deep/3.PNG:\nọọ\n\n1.png:\nạọ\n"
    assert (done.stderr, done.exit_code) == ("", 0)


def test_stdin_is_an_image(home):
    done = run("read", "-", input=encode(bars("bah")))
    assert (done.stdout, done.exit_code) == ("bạọ\n", 0)


def test_json_and_csv_keep_the_order_of_the_arguments(home):
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


def test_an_unreadable_image_is_named_on_stderr_and_the_others_are_read(home):
    (home / "bad.png").write_bytes(b"no image")
    (home / "empty").mkdir()
    done = run("read", "bad.png", "1.png", "empty", "go\nne.png")
    assert done.stdout == "1.png:\nạọ\n"
    told = done.stderr.splitlines()
    assert all(line.startswith("netchu: ") for line in told)
    assert sorted(name for line in told for name in ("bad.png", "empty", "go ne.png")
                  if name in line) == ["bad.png", "empty", "go ne.png"]  # fmt: skip
    assert done.exit_code == 1
    assert run("read", "bad.png", "empty").exit_code == 2


def test_ink_that_was_not_read_is_one_line_on_stderr(home):
    (home / "turned.png").write_bytes(encode(bars("ah")[::-1, ::-1].copy()))
    done = run("read", "turned.png", "1.png")
    assert done.stdout == "turned.png:\n\n1.png:\nạọ\n"
    (warning,) = done.stderr.splitlines()
    size = f"[0, 0, {bars('ah').shape[1]}, {bars('ah').shape[0]}]"
    assert warning == f"netchu: turned.png: ink that was not read at {size}; crop it to read it"
    assert done.exit_code == 0


def test_a_photo_without_text_is_named_on_stderr(home):
    rng = np.random.default_rng(3)
    specks = np.full((300, 1200), 235, np.uint8)
    specks[rng.integers(0, 299, 900), rng.integers(0, 1199, 900)] = 40
    for name, photo in (("sheet.png", np.full((300, 400), 240, np.uint8)), ("specks.png", specks)):
        (home / name).write_bytes(encode(photo))
        arguments = ["read", name, "--model", "model"]
        done = CliRunner(env=BASE).invoke(app.app, arguments)
        assert (done.stdout.strip(), done.exit_code) == ("", 0)
        (warning,) = done.stderr.splitlines()
        assert (
            warning == f"netchu: {name}: no writing found; if there is some, crop the photo to it"
        )


def test_every_page_of_a_scan_is_read_and_named(home):
    pages = [Image.fromarray(bars(text)) for text in ("ah", "bah")]
    for name in ("scan.tif", "scan.pdf"):
        pages[0].save(name, save_all=True, append_images=pages[1:])
    done = run("read", "scan.tif")
    assert done.stdout == "scan.tif#1:\nạọ\n\nscan.tif#2:\nbạọ\n"
    assert run("read", "scan.tif#2").stdout == "bạọ\n"
    assert run("read", "-", input=Path("scan.tif").read_bytes()).stdout.startswith("-#1:\nạọ")
    output = run("read", "--json", "1.png", "scan.tif", "scan.pdf").stdout.splitlines()
    assert [json.loads(line)["path"] for line in output] == [
        "1.png", "scan.tif#1", "scan.tif#2", "scan.pdf#1", "scan.pdf#2",
    ]  # fmt: skip


def test_a_damaged_page_is_one_line_on_stderr_and_the_others_are_read(home):
    pages = [Image.fromarray(bars(text)) for text in ("ah", "bah", "hh")]
    pages[0].save("scan.tif", save_all=True, append_images=pages[1:])
    scan = Path("scan.tif").read_bytes()
    Path("scan.tif").write_bytes(scan[:-60])
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "a camera"
    pages[0].save("cut_exif.jpg", exif=exif.tobytes()[:-6], quality=95)  # Pillow warns of it
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"}
    process = start("read", "scan.tif", "cut_exif.jpg", env=environment)
    stdout, stderr = process.communicate(timeout=60)
    assert stdout.decode().split("\n\n") == [
        "scan.tif#1:\nạọ", "scan.tif#2:\nbạọ", "cut_exif.jpg:\nạọ\n",
    ]  # fmt: skip
    (told,) = stderr.decode().splitlines()
    assert told.startswith("netchu: scan.tif#3: not an image, or damaged")
    assert process.returncode == 1


def test_images_of_a_folder_that_are_not_read_are_named(home, monkeypatch):
    (home / "more" / "drawing.svg").write_text("<svg/>")
    (home / "more" / "gone.png").symlink_to("nowhere")
    Image.fromarray(bars("ah")).save("more/1.jfif", "JPEG", quality=95)
    (home / "more" / "0").write_bytes((home / "1.png").read_bytes())
    (home / "more" / "README").write_text("no image")
    (home / "more" / "scan 27.11").write_bytes((home / "1.png").read_bytes())
    (home / "more" / "raw.dng").write_bytes((home / "1.png").read_bytes())
    done = run("read", "more")
    assert done.stdout.startswith("more/0:\nạọ\n\nmore/1.jfif:\nạọ\n\nmore/2.png:\n")
    named = [line.split(": ")[1] for line in done.stderr.splitlines()]
    assert named == ["more/drawing.svg", "more/raw.dng", "more/gone.png"]
    assert "\nmore/scan 27.11:\nạọ\n" in done.stdout
    assert done.exit_code == 1

    scandir = os.scandir

    def refuse(folder):
        if folder == "more/deep":
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr("netchu.core.image_files.os.scandir", refuse)
    done = run("read", "more")
    assert "more/deep: this folder cannot be listed" in done.stderr
    assert done.exit_code == 1


def test_a_folder_that_may_be_listed_but_not_entered_does_not_stop_the_others(home, monkeypatch):
    (home / "more" / "0").write_bytes(b"")
    Path("more/drawing.svg").write_text("<svg/>")
    stat = os.stat

    def refuse(path, **options):
        if Path(path).name in ("0", "drawing.svg"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    done = run("read", "more", "1.png")
    assert done.stdout.startswith("more/2.png:\nbạọ\n")
    assert done.stdout.endswith("\n1.png:\nạọ\n")
    assert "netchu: 'more/0' cannot be read (Permission denied); check the path" in done.stderr
    assert "netchu: more/drawing.svg: not a format that is read" in done.stderr
    assert done.exit_code == 1


def test_a_path_that_is_too_long_or_empty_is_one_line_and_the_others_are_read(home):
    done = run("read", "a" * 300, "", "1.png")
    assert done.stdout.endswith("1.png:\nạọ\n")
    empty, too_long = done.stderr.splitlines()
    assert empty == "netchu: '' is an empty path; name an image or a folder"
    assert too_long.endswith("cannot be read (File name too long); check the path")
    assert done.exit_code == 1


def test_a_closed_stdin_is_one_line_and_the_others_are_read(home):
    command = [*MAIN, "read", "-", "1.png", "--model", "model", "--line"]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    done = subprocess.run(closed, capture_output=True, text=True, encoding="utf-8")
    assert done.stderr == "netchu: -: stdin is closed; send an image to it, or name a file\n"
    assert done.stdout.endswith("ạọ\n")
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", [["read", "1.png"], ["--help"], ["--version"]])
def test_an_output_that_cannot_be_written_is_one_line(home, arguments):
    extra = ["--model", "model", "--line"] if arguments[0] == "read" else []
    command = [*MAIN, *arguments, *extra]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "netchu: the output: No space left on device; free some space\n"
    assert done.returncode == 2
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "netchu: the output is closed; send it to a file or to /dev/null\n"
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["read", "--json", "--csv", "1.png"], "exclude one another"),
        (["read", "--json", "--format", "alto", "1.png"], "exclude one another"),
        (["read", "--format", "text", "--out", "xml", "1.png"], "--out is for"),
        (["read"], "Missing argument"),
        (["read", "--batch", "0", "1.png"], "--batch"),
        (["read", "--jsn", "1.png"], "--jsn"),
    ],
)
def test_a_wrong_command_exits_with_2_and_names_what_is_wrong(home, arguments, complaint):
    done = run(*arguments)
    assert complaint in done.stderr
    assert (done.stdout, done.exit_code) == ("", 2)


def test_a_folder_without_a_model_is_a_one_line_error(home):
    done = CliRunner(env=BASE).invoke(app.app, ["read", "--csv", "1.png", "--model", "more"])
    assert (done.stdout, done.exit_code) == ("", 2)
    assert done.stderr.startswith("netchu: more")
    assert done.stderr.count("\n") == 1


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
def test_reading_imports_no_training_package_and_prints_utf8_in_every_locale(home, arguments, told):
    poor = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", LIGHT, *arguments]
    done = subprocess.run(command, env=poor, capture_output=True, check=True)
    assert done.stdout.decode().startswith(told)
    assert done.stderr.decode() == "heavy: [] slow: False\n"


def test_each_reading_is_printed_at_once_and_ctrl_c_exits_with_130(home):
    process = start("read", "--json", "--batch", "1", "1.png", "-")
    assert json.loads(process.stdout.readline())["text"] == "ạọ"
    time.sleep(0.2)  # it waits for stdin now
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (130, b"netchu: stopped\n")


def test_a_closed_pipe_ends_the_process_without_a_message(home):
    process = start("read", "--batch", "1", "1.png", "-")
    assert process.stdout.readline() == b"1.png:\n"
    process.stdout.close()
    process.stdin.write((home / "1.png").read_bytes())
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait(20) == -signal.SIGPIPE


def test_a_path_that_is_not_utf8_is_valid_json(home):
    name = os.fsdecode(b"\xff.png")
    write_photo(name, "ah")
    process = start("read", "--json", name)
    out, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (0, b"")
    assert json.loads(out.decode("utf-8"))["path"] == name


@pytest.mark.parametrize("both", [False, True])
def test_a_terminal_shows_a_progress_bar_and_the_text(home, both):
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


def test_alto_and_page_are_a_document_for_each_image(home):
    done = run("read", "--format", "alto", "1.png")
    assert ET.fromstring(done.stdout.encode()).find(".//{*}String").get("CONTENT") == "ạọ"
    done = run("read", "--format", "page", "--out", "xml", "more", "1.png")
    assert (done.stdout, done.stderr, done.exit_code) == ("", "", 0)
    assert sorted(path.name for path in Path("xml").iterdir()) == ["1.xml", "2.xml", "3.xml"]
    page = ET.parse("xml/2.xml").find("{*}Page")
    assert page.get("imageFilename") == "../more/2.png"
    assert page.find(".//{*}Unicode").text == "bạọ"
    done = run("read", "--format", "alto", "1.png", "more")
    assert done.stderr == (
        "netchu: --format alto has a document per image; name a folder with --out DIR\n"
    )
    assert done.exit_code == 2


def test_two_images_of_the_same_name_are_not_written_to_the_same_document(home):
    write_photo("more/1.jpg.png", "bah")
    write_photo("other/1.png", "bah")
    done = run("read", "--format", "alto", "--out", "xml", "1.png", "other")
    assert done.stderr == (
        "netchu: other/1.png: xml/1.xml is that of 1.png; read it into another --out\n"
    )
    assert done.exit_code == 1
    Image.fromarray(bars("ah")).save("scan.tif", save_all=True,
                                     append_images=[Image.fromarray(bars("bah"))])  # fmt: skip
    assert run("read", "--format", "alto", "--out", "pages", "scan.tif").exit_code == 0
    assert sorted(path.name for path in Path("pages").iterdir()) == ["scan_1.xml", "scan_2.xml"]


def test_hocr_is_one_document_of_what_was_read(home):
    done = run("read", "--format", "hocr", "1.png", "gone.png", "more/2.png")
    pages = ET.fromstring(done.stdout.encode()).findall(".//{*}div[@class='ocr_page']")
    assert [page.find(".//{*}span[@class='ocrx_word']").text for page in pages] == ["ạọ", "bạọ"]
    assert "gone.png" in done.stderr
    assert done.exit_code == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_reading_says_so_in_one_line(home, number, code):
    with start("read", "-") as process:
        process.stdin.write(b"P5 ")
        process.stdin.flush()
        waiting = array("i", [1])
        while waiting[0]:  # until it reads its input
            time.sleep(0.05)
            fcntl.ioctl(process.stdin, termios.FIONREAD, waiting)
        process.send_signal(number)
        process.wait(30)
        assert process.stderr.read() == b"netchu: stopped\n"
        assert process.stdout.read() == b""
    assert process.returncode == code


def test_pipes_and_devices_are_not_waited_for(home):
    for name in ("pipe.png", "folder/pipe.png", "folder/pipe"):
        Path(name).parent.mkdir(exist_ok=True)
        os.mkfifo(name)
    done = run("read", "pipe.png", "/dev/zero", "folder")
    assert done.exit_code == 2
    for name in ("pipe.png", "/dev/zero", "folder/pipe.png"):
        assert f"netchu: {name} is not a regular file; save the image to a file\n" in done.stderr
