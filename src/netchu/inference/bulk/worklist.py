"""The files to read: each once, and none that was read before."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import fsspec

from netchu.core.errors import NetchuError
from netchu.core.image_files import Kind, kind_of
from netchu.imaging.photos import SUFFIXES
from netchu.inference.listing import OTHER_FORMAT, Listed, is_folder, list_folder

LIST_SUFFIX = ".txt"
"""Of a file with a path or an address on each line."""


class Worklist:
    """The files of several sources, on the disk: any number of them needs the same memory.

    The table is a temporary file of SQLite (in SQLITE_TMPDIR, TMPDIR or /var/tmp), which needs some
    200 bytes for each path and is gone when the process ends.
    """

    def __init__(self, read_before: Iterable[str], sources: Iterable[str]) -> None:
        """List the sources.

        Args:
            read_before: files that are left out.
            sources: images, folders, lists, addresses of these, and - for a list on stdin.

        Raises:
            NetchuError: a source does not exist or cannot be listed.
        """
        self._table = sqlite3.connect("")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE files (path TEXT UNIQUE, error TEXT, is_new INTEGER)")
        self._insert((path, "", False) for path in read_before)
        listed = (entry for source in sources for entry in list_source(source))
        self._insert((*_named_in_utf8(entry), True) for entry in listed)

    def __len__(self) -> int:
        (number,) = self._table.execute("SELECT sum(is_new) FROM files").fetchone()
        return number or 0

    def files(self) -> Iterator[str]:
        """Yield the files to read, in the order in which they were listed."""
        rows = self._table.execute(
            "SELECT path FROM files WHERE is_new AND error = '' ORDER BY rowid"
        )
        yield from (path for (path,) in rows)

    def refused(self) -> Iterator[Listed]:
        """Yield what cannot be read, with the reasons."""
        rows = self._table.execute(
            "SELECT path, error FROM files WHERE is_new AND error != '' ORDER BY rowid"
        )
        yield from (Listed(*row) for row in rows)

    def _insert(self, rows: Iterable[tuple[str, str, bool]]) -> None:
        try:
            with self._table:
                self._table.executemany("INSERT OR IGNORE INTO files VALUES (?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise NetchuError(
                f"the list of files does not fit the temporary folder ({error}); name another in "
                "SQLITE_TMPDIR"
            ) from None


def list_source(source: str) -> Iterator[Listed]:
    """Yield the files of a source.

    Raises:
        NetchuError: the source does not exist or cannot be listed.
    """
    if source == "-":
        if sys.stdin is None:
            raise NetchuError("-: stdin is closed; send a list to it, or name a file")
        yield from _lines(sys.stdin.buffer)
    elif is_address(source):
        yield from _list_address(source)
    elif source and is_folder(Path(source)):
        yield from list_folder(Path(source))
    elif not Path(source).is_file() and not Path(source.rpartition("#")[0]).is_file():
        raise NetchuError(f"{source!r} is no file and no folder; check the path")
    elif source.lower().endswith(LIST_SUFFIX):
        with Path(source).open("rb") as file:
            yield from _lines(file)
    else:
        yield Listed(source)


def is_address(path: str) -> bool:
    """Return whether a path is an address for fsspec, such as s3://bucket/page.jpg."""
    return "://" in path


@contextmanager
def address_errors(address: str) -> Iterator[None]:
    """Turn what a file system of fsspec raises into an error that names the address."""
    try:
        yield
    except NetchuError:
        raise
    except ImportError as error:  # "Install s3fs to access S3"
        raise NetchuError(f"{address}: {error}") from None
    except Exception as error:  # each file system has exceptions of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NetchuError(
            f"{address} cannot be read ({reason}); check the address and your credentials"
        ) from None


def _list_address(address: str) -> Iterator[Listed]:
    """Yield the files at an address and below it, chosen by their suffix."""
    with address_errors(address):
        # The entries of a folder are held while it is listed, and not for longer.
        system, root = fsspec.url_to_fs(address, use_listings_cache=False)
        if not system.exists(root):
            raise NetchuError(f"{address}: there is nothing at this address; check it")
        if system.isfile(root):
            if not address.lower().endswith(LIST_SUFFIX):
                yield Listed(address)
                return
            with system.open(root, "rb") as file:
                yield from _lines(file)
            return
        folders = [root.rstrip("/")]
        while folders:
            folder = folders.pop()
            for entry in system.ls(folder, detail=True):
                path = entry["name"].rstrip("/")
                name = path.rpartition("/")[2]
                if path == folder or name.startswith("."):  # an object may be named like a folder
                    continue
                if entry["type"] == "directory":
                    folders.append(path)
                elif (kind := kind_of(name, SUFFIXES)) in (Kind.image, Kind.other):
                    error = OTHER_FORMAT if kind == Kind.other else ""
                    yield Listed(system.unstrip_protocol(path), error)


def _lines(file: IO[bytes]) -> Iterator[Listed]:
    for line in file:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield Listed(path)


def _named_in_utf8(entry: Listed) -> Listed:
    """Return the entry; one whose name is not UTF-8, as tables need it, with an error."""
    path = entry.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if path == entry.path:
        return entry
    return Listed(path, "its name is not UTF-8; rename it")
