"""Files and folders that are written whole or not at all, JSON, and hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.locks import exclusive_lock

PART = ".part"
"""Suffix of what is being written; a killed process may leave it behind."""

MAX_JSON_BYTES = 2**28

ABANDONED_SECONDS = 3600
"""Nobody is writing a file any more that has not changed for so long."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` when the block ends without an error.

    After an error `folder` is unchanged and the new one is removed.

    Raises:
        NetchuError: another process is writing `folder`.
    """
    partial = folder.with_name(folder.name + PART)
    with exclusive_lock(folder), naming(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            replace_folder(folder, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of writing that names no file the name of what was to be written."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = str(path)
        raise


def replace_folder(folder: Path, by: Path) -> None:
    """Give the folder `by` the name of `folder`, which is removed if it exists."""
    shutil.rmtree(folder, ignore_errors=True)
    by.rename(folder)


@contextmanager
def new_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a path to write; the file replaces `path` when the block ends without an error.

    Several processes may write the same path; the last one wins.

    Args:
        path: the final file; its folder is created.
        durable: flush the file and its name to the disk, so that they survive a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        with naming(path):
            yield partial
            if durable:
                _flush(partial)
            partial.replace(path)
            if durable:
                _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Write a file or a folder's list of files to the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # Windows opens no folder
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial_files(folder: Path) -> None:
    """Remove the files in `folder` that killed processes left half-written."""
    for path in folder.glob(f"*{PART}"):
        path.unlink(missing_ok=True)


def remove_abandoned_files(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder` and below, an hour ago or more.

    Other processes may be writing there: what they write is newer.
    """
    for path in folder.rglob(f"*{PART}"):
        with suppress(OSError):  # another process was faster
            if path.is_file() and path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()


def read_regular_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        NetchuError: it is missing, a folder, a pipe, a device, cannot be read, or has more than
            `limit` bytes.
    """
    try:
        status = path.stat()  # a pipe would be waited for, and a device read without an end
        if not stat.S_ISREG(status.st_mode):
            raise NetchuError(f"{path} is not a regular file; name a file")
        if status.st_size > limit:
            raise NetchuError(f"{path} has more than {limit} bytes; split it")
        return path.read_bytes()
    except FileNotFoundError:
        raise NetchuError(f"{path} is missing; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise NetchuError(f"{str(path)!r} cannot be read ({reason}); check the path") from None


def read_json(path: Path, remedy: str) -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        remedy: what the user does where the file is missing or damaged, as the end of the message.

    Raises:
        NetchuError: the file is missing, is no regular file, too large or not JSON in UTF-8.
    """
    try:
        status = path.stat()  # a pipe would be waited for, and a device read without an end
        if not stat.S_ISREG(status.st_mode):
            raise NetchuError(f"{path} is not a regular file; {remedy}")
        if status.st_size > MAX_JSON_BYTES:
            raise NetchuError(f"{path} is larger than {MAX_JSON_BYTES} bytes; {remedy}")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetchuError(f"{path} is not here; {remedy}") from None
    except RecursionError:
        raise NetchuError(f"{path} is damaged (nested too deeply); {remedy}") from None
    except ValueError as error:
        raise NetchuError(f"{path} is damaged ({error}); {remedy}") from None


def write_json(content: Any, path: Path, *, durable: bool = False) -> None:
    """Write `content` as JSON, whole or not at all; equal content gives equal bytes.

    With `durable` the file survives a power cut; see `new_file`.
    """
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True)
    with new_file(path, durable=durable) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """Return a SHA-256 over the names and contents of all files in `folder` and below."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(hash_file(path)))
    return digest.hexdigest()
