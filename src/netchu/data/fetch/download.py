"""What a data source is, and how its one file is fetched: from the mirror, else from upstream.

A mirror is a folder named by the environment variable NETCHU_MIRROR that holds
`<source>/<file>`. A fetched folder holds that file and `manifest.json`, and it appears whole or
not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from rich.progress import Progress

from netchu.core.errors import NetchuError
from netchu.core.locks import exclusive_lock
from netchu.data.archives import tar_members

CHUNK = 1 << 20
TIMEOUT = 30


@dataclass(frozen=True)
class Source:
    """Where a source lies.

    file: its name in the mirror and in the fetched folder. url: the pinned upstream copy, whose
    layout may differ from the mirror's; parsers read both. licence: what may be done with it.
    by_hand: for a source without an address that can be pinned, what the user does instead.
    """

    name: str
    file: str
    url: str
    licence: str
    by_hand: str = ""


def github_archive(repository: str, revision: str) -> str:
    """Address of a whole GitHub repository (a tar.gz) at a pinned revision."""
    return f"https://codeload.github.com/{repository}/tar.gz/{revision}"


def fetch_file(source: Source, folder: Path) -> None:
    """Fill `folder` with the source's file and its manifest.

    Raises:
        NetchuError: the mirror lacks the file, there is neither mirror nor network, the file is a
            broken archive, the disk is full, or another run is fetching into `folder`.
    """
    mirror = os.environ.get("NETCHU_MIRROR")
    with filling(folder, source.name, resume=not mirror) as partial:
        if mirror:
            _copy(Path(mirror) / source.name / source.file, partial, source)
        else:
            _download(source, partial)
        if ".tar" in source.file:
            _check_archive(partial, source)
        write_manifest(partial, source.name, source.licence)


@contextmanager
def filling(folder: Path, name: str, resume: bool = False) -> Iterator[Path]:
    """A folder to fill, for this process alone; it becomes `folder` if the block ends well.

    resume: it keeps what a former run left there, and is kept if this one fails.

    Raises:
        NetchuError: another process is filling it, or the disk is full or cannot be written.
    """
    partial = folder.with_name(folder.name + (".download" if resume else ".part"))
    try:
        with exclusive_lock(folder):
            if not resume:
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(exist_ok=True)
            try:
                yield partial
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
            except BaseException:
                if not resume or not any(partial.iterdir()):
                    shutil.rmtree(partial, ignore_errors=True)
                raise
    except OSError as error:
        raise NetchuError(
            f"{name}: cannot fill {folder} ({error}); mend that and run again"
        ) from None


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


def _check_archive(partial: Path, source: Source) -> None:
    """Read an archive to its end; a broken one is removed, so that it is not taken up again."""
    try:
        for _ in tar_members(partial / source.file, source.name):
            pass
    except NetchuError:
        (partial / source.file).unlink()
        raise


def _copy(origin: Path, partial: Path, source: Source) -> None:
    if not origin.is_file():
        raise NetchuError(
            f"{source.name}: the mirror has no {source.name}/{source.file}; put it into "
            "NETCHU_MIRROR, or unset NETCHU_MIRROR to download it"
        )
    with Progress(transient=True) as progress:
        task = progress.add_task(f"copying {source.name}", total=origin.stat().st_size)
        with origin.open("rb") as reader, (partial / source.file).open("wb") as writer:
            while block := reader.read(CHUNK):
                writer.write(block)
                progress.advance(task, len(block))


def _download(source: Source, partial: Path) -> None:
    """Download to `<file>.part`, going on where a former download stopped, then rename."""
    if source.by_hand:
        raise NetchuError(f"{source.name}: {source.by_hand}")
    target = partial / source.file
    unfinished = partial / (source.file + ".part")
    if target.exists():  # a former run was stopped after its download
        return
    done = unfinished.stat().st_size if unfinished.exists() else 0
    try:
        answer = _ask(source.url, done)
    except (HTTPException, OSError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == 416 and done:
            unfinished.unlink()  # it is longer than what lies upstream, or just as long
            return _download(source, partial)
        raise NetchuError(
            f"{source.name}: cannot reach {source.url} ({error}); set NETCHU_MIRROR or connect"
        ) from None
    with answer:
        _receive(answer, unfinished, done if answer.status == 206 else 0, source)
    unfinished.rename(target)


def _ask(url: str, done: int) -> HTTPResponse:
    """Ask for what follows the first `done` bytes."""
    headers = {"Range": f"bytes={done}-"} if done else {}
    answer: HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT
    )
    return answer


def _receive(answer: HTTPResponse, unfinished: Path, done: int, source: Source) -> None:
    """Append to the first `done` bytes of `unfinished` what the server sends."""
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length else None
    with Progress(transient=True) as progress, unfinished.open("ab" if done else "wb") as writer:
        task = progress.add_task(f"downloading {source.name}", total=total, completed=done)
        for block in _blocks(answer, source):
            writer.write(block)
            progress.advance(task, len(block))
    if total is not None and unfinished.stat().st_size < total:
        raise _stopped(source)


def _blocks(answer: HTTPResponse, source: Source) -> Iterator[bytes]:
    try:
        while block := answer.read(CHUNK):
            yield block
    except (HTTPException, OSError):
        raise _stopped(source) from None


def _stopped(source: Source) -> NetchuError:
    return NetchuError(f"{source.name}: the download stopped early; run again to go on with it")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
