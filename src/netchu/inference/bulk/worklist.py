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
from fsspec import AbstractFileSystem

from netchu.core.errors import NetchuError
from netchu.core.image_files import Kind, kind_of
from netchu.imaging.photos import SUFFIXES
from netchu.inference.listing import OTHER_FORMAT, Listed, is_address, is_folder, list_folder

LIST_SUFFIX = ".txt"
"""Of a file with a path or an address on each line."""


class MissingPackageError(NetchuError):
    """The file system of an address is not installed, so that no file there can be read."""


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


@contextmanager
def address_errors(address: str) -> Iterator[None]:
    """Turn what a file system of fsspec raises into an error that names the address.

    Raises:
        MissingPackageError: its package is not installed.
        NetchuError: anything else.
    """
    try:
        yield
    except NetchuError:
        raise
    except ImportError as error:  # "Install s3fs to access S3"
        raise MissingPackageError(
            f"{address}: {error} (with pip, on every machine that reads)"
        ) from None
    except FileNotFoundError:  # its message is the address, or a part of it
        raise _nothing_at(address) from None
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
            raise _nothing_at(address)
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
                is_directory = entry["type"] == "directory"
                if path == folder:  # an object that stands for the folder, or a nameless folder
                    if is_directory:
                        yield from _list_nameless(system, folder)
                elif not is_directory:
                    yield from _listed(system, path)
                elif not _name(path).startswith("."):
                    folders.append(path)


def _list_nameless(system: AbstractFileSystem, folder: str) -> Iterator[Listed]:
    """Yield the files of an object store below two slashes in a row, which `ls` cannot list."""
    for path in system.find(folder, prefix="/"):
        if path.startswith(f"{folder}//"):
            yield from _listed(system, path)


def _listed(system: AbstractFileSystem, path: str) -> Iterator[Listed]:
    """Yield a file that is named like an image: with a reason if its format is not read."""
    name = _name(path)
    if not name.startswith(".") and (kind := kind_of(name, SUFFIXES)) in (Kind.image, Kind.other):
        yield Listed(system.unstrip_protocol(path), OTHER_FORMAT if kind == Kind.other else "")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _nothing_at(address: str) -> NetchuError:
    return NetchuError(f"{address}: there is nothing at this address; check it")


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
