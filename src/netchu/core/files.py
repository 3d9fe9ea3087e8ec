"""Files and folders that are written whole or not at all, JSON, and hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError

PART = ".part"
"""Suffix of what is being written; a killed process may leave it behind."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` when the block ends without an error.

    After an error `folder` is unchanged and the new one is removed. Only one process may write
    the same folder at a time (see `locks.exclusive_lock`).
    """
    partial = folder.with_name(folder.name + PART)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        replace_folder(folder, partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
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


def read_json(path: Path, remedy: str) -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        remedy: what the user does where the file is missing or damaged, as the end of the message.

    Raises:
        NetchuError: the file is missing or is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetchuError(f"{path} is not here; {remedy}") from None
    except ValueError as error:
        raise NetchuError(f"{path} is damaged ({error}); {remedy}") from None


def write_json(content: Any, path: Path) -> None:
    """Write `content` as JSON, whole or not at all; equal content gives equal bytes."""
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True)
    with new_file(path) as partial:
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
