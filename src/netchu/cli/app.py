"""The command `netchu`: read photos of handwriting, or train on one's own lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.cli.audit import audit
from netchu.cli.compare import evaluate
from netchu.cli.exits import exit_codes, exit_on_closed_pipe
from netchu.cli.serve import serve
from netchu.cli.train import train
from netchu.core.errors import NetchuError
from netchu.core.image_files import find_images
from netchu.inference import serializers

if TYPE_CHECKING:
    from netchu.inference.reader import Reader

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""What is read of a folder; a file that is named itself may be called anything."""

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None,
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def main() -> None:
    """The console's entry point: UTF-8 whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        # A path that is no UTF-8 is shown by escapes, which are good JSON too.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    app()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"netchu {version('netchu')}")
        raise typer.Exit


@app.callback()
def netchu(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    """Read Vietnamese handwriting, offline."""


@app.command()
def read(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Images, folders (all images in them and below), or - for one on stdin.",
        ),
    ],
    line: Annotated[
        bool, typer.Option("--line", help="Each image is one line: do not look for lines.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON object for each image: path, text, confidence, size, and lines with "
            "their boxes, characters and what else these might be.",
        ),
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="A table with a row for each line of handwriting.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Images read at a time.")] = 16,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another model than netchu's own, from netchu train."),
    ] = None,
    greedy: Annotated[
        bool,
        typer.Option(
            "--greedy", help="Letter by letter, without the model of what is likely to be written."
        ),
    ] = False,
) -> None:
    """Read photos of handwriting.

    A photo is cut into lines, and their text is written to stdout in the order
    given; of several photos each has its path above it.

    \b
    Examples:
      netchu read photo.jpg
      netchu read --json scans/ > readings.jsonl
      curl -s https://example.org/form.png | netchu read -

    An image that cannot be read stops nothing: it is named on stderr at the end.

    \b
    Exit codes:
      0  every image was read (an empty sheet is read, too)
      1  some could not be read
      2  none could be read, or the command was wrong
    """
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude one another; choose one")
    exit_on_closed_pipe()
    with exit_codes():
        failed: list[NetchuError] = []
        images = [image for path in paths for image in _images(path, failed)]
        wanted = len(images) + len(failed)
        results = _read(images, failed, _reader(model, greedy), line=line, batch=batch)
        if as_json:
            blocks = serializers.json_lines(results)
        elif as_csv:
            blocks = serializers.table(results)
        else:
            blocks = serializers.plain(results, headings=len(images) > 1)
        for block in blocks:
            print(block, end="", flush=True)
        for error in failed:
            print(f"netchu: {error}", file=sys.stderr)
        if failed:
            raise SystemExit(2 if len(failed) == wanted else 1)


def _images(path: str, failed: list[NetchuError]) -> list[str]:
    """`path` itself, or the images of a folder, sorted, hidden ones left out."""
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        return [path]
    found = find_images(folder, IMAGES)
    if not found:
        kinds = ", ".join(IMAGES)
        failed.append(NetchuError(f"{path}: no image in this folder, which is one of {kinds}"))
    return [str(image) for image in found]


def _reader(model: Path | None, greedy: bool) -> Reader:
    from netchu.inference.reader import Reader

    return Reader(model, greedy=greedy)


def _read(
    images: list[str], failed: list[NetchuError], reader: Reader, *, line: bool, batch: int
) -> Iterator[serializers.Result]:
    """Each image with its reading or error, in order, under a progress bar; `failed` fills up."""
    from netchu.imaging.photos import MOST_BYTES

    sources = (sys.stdin.buffer.read(MOST_BYTES) if path == "-" else path for path in images)
    readings = reader.read_many(sources, line=line, batch=batch)
    with _progress(len(images)) as advance:
        for path, result in zip(images, readings, strict=True):
            if isinstance(result, NetchuError):
                failed.append(result)
            yield path, result
            advance()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr where that is a terminal and there is something to wait for."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # Only where stdout is the same terminal may rich move its text above the bar.
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda: bar.advance(task)


for command in (train, serve, evaluate, audit):
    app.command()(command)
