"""The command `netchu read`."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.cli.pipes import exit_on_closed_pipe
from netchu.core.errors import NetchuError
from netchu.core.files import new_file
from netchu.core.image_files import find_images

if TYPE_CHECKING:
    from netchu.inference.reader import Reader
    from netchu.inference.results import PhotoReading
    from netchu.inference.serializers import ReadResult


class Format(StrEnum):
    """What is written."""

    text = "text"
    json = "json"
    csv = "csv"
    alto = "alto"
    page = "page"
    hocr = "hocr"


DOCUMENT_FORMATS = (Format.alto, Format.page)
"""Formats with a document for each image."""


def read_command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Images, folders (all images in them and below), or - for one image on stdin. "
            "A name that begins with a dash needs ./ in front.",
        ),
    ],
    line: Annotated[
        bool, typer.Option("--line", help="Each image is one line: skip the page segmentation.")
    ] = False,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="json: an object per image, with boxes, characters and alternatives; csv: a row "
            "per line of handwriting; alto, page: an XML document per image; hocr: one for all.",
        ),
    ] = Format.text,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the documents of alto and page, one per image.",
            show_default="one document on stdout",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Short for --format csv.")] = False,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Images read at a time.")] = 16,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A model from netchu train.", show_default="the shipped model"
        ),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Decode greedily, without the language model.")
    ] = False,
) -> None:
    """Read photos of handwriting.

    A photo is cut into lines, and their text is written to stdout in the order
    given; of several photos each has its path above it.

    \b
    Examples:
      netchu read photo.jpg
      netchu read --json scans/ > readings.jsonl
      netchu read --format alto --out xml scans/
      curl -s https://example.org/form.png | netchu read -

    An image that cannot be read does not stop the others: it is named on stderr
    at the end. So is an image with ink that was not read, or without any text.

    \b
    Exit codes:
      0  every image was read (an empty sheet counts as read)
      1  some could not be read
      2  none could be read, or the command was wrong
      130, 143  it was stopped by Ctrl-C, or by SIGTERM
    """
    form = _format(form, as_json, as_csv)
    if out and form not in DOCUMENT_FORMATS:
        raise typer.BadParameter("--out is for --format alto and page; redirect the others")
    exit_on_closed_pipe()
    from netchu.imaging.photos import SUFFIXES
    from netchu.inference import page_formats, serializers
    from netchu.inference.reader import Reader

    failed: list[NetchuError] = []
    done: list[str] = []
    warnings: list[str] = []
    images = [image for path in paths for image in _images(path, SUFFIXES, failed)]
    results = _read(images, done, failed, Reader(model, greedy=greedy), line=line, batch=batch)
    results = _warn_of_losses(results, warnings)
    first = list(islice(results, 1 if form not in DOCUMENT_FORMATS or out else 2))
    if len(first) > 1:
        raise NetchuError(f"--format {form} has a document per image; name a folder with --out DIR")
    headings = len(images) > 1 or any(name != images[0] for name, _ in first)
    results = chain(first, results)
    if form == Format.json:
        blocks = serializers.to_json_lines(results)
    elif form == Format.csv:
        blocks = serializers.to_csv(results)
    elif form == Format.hocr:
        blocks = page_formats.to_hocr(_only_read(results))
    elif form in DOCUMENT_FORMATS:
        blocks = _documents(_only_read(results), page_formats.DOCUMENTS[form], out, failed)
    else:
        blocks = serializers.to_text(results, headings=headings)
    for block in blocks:
        print(block, end="", flush=True)
    for message in (*warnings, *failed):
        print(f"netchu: {' '.join(str(message).split())}", file=sys.stderr)
    if failed:
        raise SystemExit(1 if done else 2)


def _format(form: Format, as_json: bool, as_csv: bool) -> Format:
    named = {Format.json} if as_json else set()
    named |= {Format.csv} if as_csv else set()
    named |= {form} if form != Format.text else set()
    if len(named) > 1:
        raise typer.BadParameter("--json, --csv and --format exclude one another; choose one")
    return named.pop() if named else form


def _warn_of_losses(results: Iterable[ReadResult], warnings: list[str]) -> Iterator[ReadResult]:
    """Yield the results; `warnings` gets a line about photos without text or with unread ink."""
    for path, result in results:
        if isinstance(result, NetchuError):
            pass
        elif boxes := result.unread:
            shown = ", ".join(str(list(box)) for box in boxes[:3])
            more = f" and {len(boxes) - 3} more" if len(boxes) > 3 else ""
            warnings.append(f"{path}: ink that was not read at {shown}{more}; crop it to read it")
        elif not result.lines:
            warnings.append(f"{path}: no writing found; if there is some, crop the photo to it")
        yield path, result


def _only_read(results: Iterable[ReadResult]) -> Iterator[tuple[str, PhotoReading]]:
    return ((path, result) for path, result in results if not isinstance(result, NetchuError))


def _documents(
    readings: Iterable[tuple[str, PhotoReading]],
    write: Callable[[str, PhotoReading], str],
    out: Path | None,
    failed: list[NetchuError],
) -> Iterator[str]:
    """Yield the document of the only image, or write those of all images to `out`.

    Images are named in a document relative to its folder. Two images of the same name are an error.
    """
    written: dict[Path, str] = {}
    for path, reading in readings:
        if not out:
            yield write(path, reading)
            continue
        stem = re.sub(r"\.[^.#]+(?=$|#[0-9]+$)", "", Path(path).name).replace("#", "_")
        file = out / f"{'stdin' if stem == '-' else stem}.xml"
        if file in written:
            failed.append(
                NetchuError(
                    f"{path}: {file} is that of {written[file]}; read it into another --out"
                )
            )
            continue
        written[file] = path
        document = write(os.path.relpath(path, out), reading)
        with _writable(out), new_file(file) as partial:
            partial.write_text(document, encoding="utf-8")


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NetchuError(
            f"{out} cannot be written ({error.strerror}); name another --out"
        ) from None


def _images(path: str, suffixes: Sequence[str], failed: list[NetchuError]) -> list[str]:
    """Return `path` itself, or the images of a folder; what cannot be read is added to `failed`."""
    if path == "-" and sys.stdin is None:
        failed.append(NetchuError("-: stdin is closed; send an image to it, or name a file"))
        return []
    if not path:  # Python takes it for the current folder
        failed.append(NetchuError("'' is an empty path; name an image or a folder"))
        return []
    folder = Path(path)
    if path == "-" or not _is_folder(folder):
        return [path]
    found = find_images(folder, suffixes)
    images = sorted([*found.images, *filter(_may_be_image, found.unknown)])
    others = found.others
    for other in others:
        if _is_folder(other):
            failed.append(NetchuError(f"{other}: this folder cannot be listed; check its rights"))
        else:
            failed.append(NetchuError(f"{other}: not a format that is read; save it as PNG"))
    if not images and not others:
        failed.append(NetchuError(f"{path}: no image in this folder ({', '.join(suffixes)})"))
    return [str(image) for image in images]


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder; one that no file can have or that is forbidden is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _may_be_image(file: Path) -> bool:
    """Return whether a file of unknown type is an image, or in a folder that may not be entered.

    Reading the latter gives the error that names it.
    """
    from netchu.imaging.photos import is_image_file

    try:
        return file.is_file() and is_image_file(file)
    except OSError:
        return True


def _read(
    images: list[str],
    done: list[str],
    failed: list[NetchuError],
    reader: Reader,
    *,
    line: bool,
    batch: int,
) -> Iterator[ReadResult]:
    """Yield each page with its reading or error, in order.

    The names of those that were read are added to `done`, errors to `failed`.
    """
    from netchu.imaging.photos import MAX_BYTES, Page, PhotoSource, list_pages

    names: deque[str] = deque()
    with _progress(len(images)) as advance:

        def sources() -> Iterator[PhotoSource]:
            """Yield the pages of each image when they are needed, and append their names."""
            for path in images:
                source = sys.stdin.buffer.read(MAX_BYTES) if path == "-" else path
                for page in list_pages(source):
                    names.append(f"{path}#{page.number}" if isinstance(page, Page) else path)
                    yield page
                advance()

        for result in reader.read_many(sources(), line=line, batch=batch):
            name = names.popleft()
            if isinstance(result, NetchuError):
                failed.append(result)
            else:
                done.append(name)
            yield name, result


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on stderr if that is a terminal and there are several images."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # rich may move printed text above the bar only if stdout is the same terminal.
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda: bar.advance(task)
