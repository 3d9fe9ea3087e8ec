"""Fetching one file of a data source, from the mirror or from upstream.

A mirror is a folder, named by the environment variable NETCHU_MIRROR, that holds `<source>/<file>`.
A fetched folder holds that file and `manifest.json`; it is written completely or not at all.
"""

from __future__ import annotations

import json
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from rich.progress import Progress

from netchu.core.errors import NetchuError
from netchu.core.files import PART, hash_file, new_file, new_folder, replace_folder
from netchu.core.locks import exclusive_lock
from netchu.data.archives import tar_members

CHUNK = 1 << 20
"""Bytes read at a time."""
TIMEOUT = 30
"""Seconds to wait for a server."""


@dataclass(frozen=True)
class Source:
    """Where a source comes from.

    Attributes:
        name: as in params.yaml.
        file: name of the file in the mirror and in the fetched folder.
        url: the pinned upstream copy. Its layout may differ from the mirror's; parsers read both.
        licence: what may be done with the data.
        by_hand: for a source without a URL that can be pinned, what the user does instead.
        parts: for a source of several files, the pinned URL of each by its name in the archive
            `file`; `url` is then empty.
    """

    name: str
    file: str
    url: str
    licence: str
    by_hand: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)


def github_archive(repository: str, revision: str) -> str:
    """Return the URL of a GitHub repository as a tar.gz, at a pinned revision."""
    return f"https://codeload.github.com/{repository}/tar.gz/{revision}"


def github_file(repository: str, revision: str, path: str) -> str:
    """Return the URL of one file of a GitHub repository, at a pinned revision."""
    return f"https://raw.githubusercontent.com/{repository}/{revision}/{path}"


def fetch_file(source: Source, folder: Path) -> None:
    """Fetch the file of a source into `folder` and write its manifest.

    An interrupted download is resumed by the next call.

    Raises:
        NetchuError: the mirror does not hold the file, there is neither a mirror nor a network, the
            file is a damaged archive, the folder cannot be written, or another process is writing
            it.
    """
    mirror = os.environ.get("NETCHU_MIRROR")
    with download_folder(folder, source.name, resume=not mirror) as partial:
        if mirror:
            _copy(Path(mirror) / source.name / source.file, partial, source)
        else:
            _download(source, partial)
        if ".tar" in source.file:
            _check_archive(partial / source.file, source.name)
        write_manifest(partial, source.name, source.licence)


@contextmanager
def download_folder(folder: Path, source: str, *, resume: bool = False) -> Iterator[Path]:
    """Yield a folder that replaces `folder` when the block ends without an error.

    Args:
        folder: the final folder; it is locked while the block runs.
        source: name of the data source, for error messages.
        resume: keep the content after an error, and yield it again the next time.

    Raises:
        NetchuError: another process is writing the folder, or it cannot be written.
    """
    try:
        with _resumable_folder(folder) if resume else new_folder(folder) as partial:
            yield partial
    except OSError as error:
        raise NetchuError(
            f"{source}: cannot write {folder} ({error}); free space or correct the permissions, "
            "then run again"
        ) from None


@contextmanager
def _resumable_folder(folder: Path) -> Iterator[Path]:
    partial = folder.with_name(folder.name + ".download")
    with exclusive_lock(folder):
        partial.mkdir(exist_ok=True)
        try:
            yield partial
            replace_folder(folder, partial)
        except BaseException:
            if not any(partial.iterdir()):
                partial.rmdir()
            raise


def write_manifest(folder: Path, name: str, licence: str) -> None:
    """Write `manifest.json`: source, licence, and size and SHA-256 of every file in `folder`."""
    files = {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": hash_file(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    content = {"source": name, "licence": licence, "files": files}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _check_archive(archive: Path, source: str) -> None:
    """Read an archive to its end; remove a damaged one, so that the next run does not resume it."""
    try:
        for _ in tar_members(archive, source):
            pass
    except NetchuError:
        archive.unlink()
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
    """Download the file, or its parts and pack them; an earlier download is resumed."""
    if source.by_hand:
        raise NetchuError(f"{source.name}: {source.by_hand}")
    target = partial / source.file
    if target.exists():  # an earlier run was stopped after its download
        return
    if not source.parts:
        _download_url(source.url, target, source)
        return
    for name, url in source.parts.items():
        _download_url(url, partial / name, source)
    with new_file(target) as unfinished, tarfile.open(unfinished, "w:xz") as archive:
        for name in source.parts:
            member = tarfile.TarInfo(name)  # without times and owners: equal files, equal bytes
            member.size = (partial / name).stat().st_size
            with (partial / name).open("rb") as file:
                archive.addfile(member, file)
    for name in source.parts:
        (partial / name).unlink()


def _download_url(url: str, target: Path, source: Source) -> None:
    """Download to `<target>.part` from where an earlier download stopped, then rename."""
    unfinished = target.with_name(target.name + PART)
    if target.exists():
        return
    done = unfinished.stat().st_size if unfinished.exists() else 0
    try:
        response = _request(url, done)
    except (HTTPException, OSError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == 416 and done:
            unfinished.unlink()  # at least as long as the file upstream
            return _download_url(url, target, source)
        raise NetchuError(
            f"{source.name}: cannot reach {url} ({error}); set NETCHU_MIRROR or connect"
        ) from None
    with response:
        _receive(response, unfinished, done if response.status == 206 else 0, source)
    unfinished.rename(target)


def _request(url: str, done: int) -> HTTPResponse:
    """Request what follows the first `done` bytes."""
    headers = {"Range": f"bytes={done}-"} if done else {}
    response: HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT
    )
    return response


def _receive(response: HTTPResponse, unfinished: Path, done: int, source: Source) -> None:
    """Append the response to the first `done` bytes of `unfinished`."""
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else None
    with Progress(transient=True) as progress, unfinished.open("ab" if done else "wb") as writer:
        task = progress.add_task(f"downloading {source.name}", total=total, completed=done)
        for block in _blocks(response, source):
            writer.write(block)
            progress.advance(task, len(block))
    if total is not None and unfinished.stat().st_size < total:
        raise _interrupted(source)


def _blocks(response: HTTPResponse, source: Source) -> Iterator[bytes]:
    try:
        while block := response.read(CHUNK):
            yield block
    except (HTTPException, OSError):
        raise _interrupted(source) from None


def _interrupted(source: Source) -> NetchuError:
    return NetchuError(f"{source.name}: the download was interrupted; run again to resume it")
