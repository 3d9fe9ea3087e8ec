"""What a data source is, and how its one file is fetched: from the mirror, else from upstream.

A mirror is a folder named by the environment variable NETCHU_MIRROR that holds
`<source>/<file>`. A fetched folder holds that file and `manifest.json`, and it appears whole or
not at all.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from rich.progress import Progress

from netchu.errors import NetchuError

CHUNK = 1 << 20
TIMEOUT = 30


@dataclass(frozen=True)
class Source:
    """Where a source lies.

    file: its name in the mirror and in the fetched folder. url: the pinned upstream copy, whose
    layout may differ from the mirror's; parsers read both. licence: what may be done with it.
    """

    name: str
    file: str
    url: str
    licence: str


def github_archive(repository: str, revision: str) -> str:
    """Address of a whole GitHub repository (a tar.gz) at a pinned revision."""
    return f"https://codeload.github.com/{repository}/tar.gz/{revision}"


def fetch_file(source: Source, folder: Path) -> None:
    """Fill `folder` with the source's file and its manifest.

    Raises:
        NetchuError: the mirror lacks the file, there is neither mirror nor network, or the file
            is a broken archive.
    """
    partial = folder.with_name(folder.name + ".part")
    if mirror := os.environ.get("NETCHU_MIRROR"):
        _copy(Path(mirror) / source.name / source.file, partial, source)
    else:
        _download(source, partial)
    if ".tar" in source.file:
        _check_archive(partial, source)
    write_manifest(partial, source.name, source.licence)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_manifest(folder: Path, name: str, licence: str) -> None:
    """Write `manifest.json`: the size and SHA-256 of every file in `folder`."""
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    content = {"source": name, "licence": licence, "files": files}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def members(path: Path, source: Source, suffix: str = "") -> Iterator[tuple[str, bytes]]:
    """The files of a tar archive whose names end in `suffix`, as (name, content), in its order.

    The archive may be compressed or not. A leading './' is taken off the names.

    Raises:
        NetchuError: the archive is not there, is none, or ends too early.
    """
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                wanted = member.isfile() and member.name.endswith(suffix)
                if wanted and (file := archive.extractfile(member)):
                    yield member.name.removeprefix("./"), file.read()
    except FileNotFoundError:
        raise NetchuError(
            f"{source.name}: {path} is not there; run 'dvc repro' to get it"
        ) from None
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise NetchuError(
            f"{source.name}: {source.file} is truncated or no archive ({error}); "
            "fetch it anew, or mend the copy in the mirror"
        ) from None


def _check_archive(partial: Path, source: Source) -> None:
    """Read an archive to its end; remove `partial` if that fails, so that nothing half remains."""
    try:
        for _ in members(partial / source.file, source):
            pass
    except NetchuError:
        shutil.rmtree(partial)
        raise


def _copy(origin: Path, partial: Path, source: Source) -> None:
    if not origin.is_file():
        raise NetchuError(
            f"{source.name}: the mirror has no {source.name}/{source.file}; put it into "
            "NETCHU_MIRROR, or unset NETCHU_MIRROR to download it"
        )
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with Progress(transient=True) as progress:
        task = progress.add_task(f"copying {source.name}", total=origin.stat().st_size)
        with origin.open("rb") as reader, (partial / source.file).open("wb") as writer:
            while block := reader.read(CHUNK):
                writer.write(block)
                progress.advance(task, len(block))


def _download(source: Source, partial: Path) -> None:
    """Download to `<file>.part`, going on where a former download stopped, then rename."""
    target = partial / source.file
    unfinished = partial / (source.file + ".part")
    if target.exists():  # a former run was stopped after its download
        return
    done = unfinished.stat().st_size if unfinished.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    request = urllib.request.Request(source.url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            partial.mkdir(parents=True, exist_ok=True)
            _receive(answer, unfinished, done if answer.status == 206 else 0, source)
    except (urllib.error.URLError, OSError) as error:
        raise NetchuError(
            f"{source.name}: cannot reach {source.url} ({error}); set NETCHU_MIRROR or connect"
        ) from None
    unfinished.rename(target)


def _receive(answer: HTTPResponse, unfinished: Path, done: int, source: Source) -> None:
    """Append to the first `done` bytes of `unfinished` what the server sends."""
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length else None
    with Progress(transient=True) as progress, unfinished.open("ab" if done else "wb") as writer:
        task = progress.add_task(f"downloading {source.name}", total=total, completed=done)
        while block := answer.read(CHUNK):
            writer.write(block)
            progress.advance(task, len(block))
    if total is not None and unfinished.stat().st_size < total:
        raise NetchuError(f"{source.name}: the download stopped early; run again to go on with it")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
