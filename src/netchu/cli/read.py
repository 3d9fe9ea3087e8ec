"""The command `netchu read`."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.cli.pipes import exit_on_closed_pipe
from netchu.cli.progress import progress
from netchu.cli.read_table import TABLE_SUFFIX, Executor, read_into_table
from netchu.core.errors import NetchuError
from netchu.core.files import new_file

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
    parquet = "parquet"


DOCUMENT_FORMATS = (Format.alto, Format.page)
"""Formats with a document for each image."""

_ADDRESS = re.compile(r"[\w+.-]{2,}:/")
"""Beginning of a path that was an address: a `Path` keeps one of several slashes."""


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
            "per line of handwriting; alto, page: an XML document per image; hocr: one for all; "
            "parquet: a table with a row per page, for many files.",
        ),
    ] = Format.text,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the documents of alto and page, one per image, or for the shards of "
            "a table: NAME.parquet.",
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
    executor: Annotated[
        Executor | None,
        typer.Option(
            help="What reads into a table: processes of this machine, or a Ray cluster "
            "(RAY_ADDRESS=host:port).",
            show_default="local",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processes that read into a table.",
            show_default="one for each core",
        ),
    ] = None,
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
      netchu read --out readings.parquet scans/ more.txt s3://bucket/scans

    An image that cannot be read does not stop the others: it is named on stderr
    at the end. So is an image with ink that was not read, or without any text.

    A table is for any number of files: NAME.parquet is a folder of Parquet
    shards, NAME.errors.parquet one of what could not be read. A PATH may be an
    address such as s3://bucket/scans, a .txt file with a path or address on
    each line, or - for such a list on stdin. The same command, after it was
    stopped or with more files, reads only what is not in the tables. Exit codes
    are about all pages in them.

    \b
    Exit codes:
      0  every image was read (an empty sheet counts as read)
      1  some could not be read
      2  none could be read, or the command was wrong
      130, 143  it was stopped by Ctrl-C, or by SIGTERM
    """
    if out and _ADDRESS.match(out.as_posix()):
        raise typer.BadParameter("--out is a folder of this machine; copy it to the address later")
    form = _format(form, as_json, as_csv, to_table=_is_table(form, out) or bool(executor))
    if form == Format.parquet:
        if not out or out.suffix != TABLE_SUFFIX:
            raise typer.BadParameter("a table needs a name: --out readings.parquet")
        read_into_table(
            paths, out, executor or Executor.local, workers,
            model=model, greedy=greedy, line=line, batch=batch,
        )  # fmt: skip
        return
    if workers:
        raise typer.BadParameter("--workers is for a table: --out readings.parquet")
    if out and form not in DOCUMENT_FORMATS:
        raise typer.BadParameter("--out is for --format alto and page; redirect the others")
    exit_on_closed_pipe()
    from netchu.inference import page_formats, serializers
    from netchu.inference.reader import Reader

    failed: list[NetchuError] = []
    done: list[str] = []
    warnings: list[str] = []
    images = [image for path in paths for image in _images(path, failed)]
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


def _is_table(form: Format, out: Path | None) -> bool:
    return bool(out and out.suffix == TABLE_SUFFIX and form not in DOCUMENT_FORMATS)


def _format(form: Format, as_json: bool, as_csv: bool, to_table: bool) -> Format:
    named = {Format.json} if as_json else set()
    named |= {Format.csv} if as_csv else set()
    named |= {Format.parquet} if to_table else set()
    named |= {form} if form != Format.text else set()
    if len(named) > 1:
        raise typer.BadParameter(
            "--json, --csv, --format and tables exclude one another; choose one"
        )
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


def _images(path: str, failed: list[NetchuError]) -> list[str]:
    """Return `path` itself, or the images of a folder; what cannot be read is added to `failed`."""
    from netchu.imaging.photos import SUFFIXES
    from netchu.inference.listing import is_address, is_folder, list_folder

    if path == "-" and sys.stdin is None:
        failed.append(NetchuError("-: stdin is closed; send an image to it, or name a file"))
        return []
    if not path:  # Python takes it for the current folder
        failed.append(NetchuError("'' is an empty path; name an image or a folder"))
        return []
    if is_address(path):
        failed.append(
            NetchuError(f"{path}: an address is read into a table; add --out readings.parquet")
        )
        return []
    folder = Path(path)
    if path == "-" or not is_folder(folder):
        return [path]
    listed = sorted(list_folder(folder), key=lambda entry: Path(entry.path))
    failed += [NetchuError(f"{entry.path}: {entry.error}") for entry in listed if entry.error]
    if not listed:
        failed.append(NetchuError(f"{path}: no image in this folder ({', '.join(SUFFIXES)})"))
    return [entry.path for entry in listed if not entry.error]


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
    with progress(len(images)) as advance:

        def sources() -> Iterator[PhotoSource]:
            """Yield the pages of each image when they are needed, and append their names."""
            for path in images:
                source = sys.stdin.buffer.read(MAX_BYTES) if path == "-" else path
                for page in list_pages(source):
                    names.append(f"{path}#{page.number}" if isinstance(page, Page) else path)
                    yield page
                advance(1)

        for result in reader.read_many(sources(), line=line, batch=batch):
            name = names.popleft()
            if isinstance(result, NetchuError):
                failed.append(result)
            else:
                done.append(name)
            yield name, result
