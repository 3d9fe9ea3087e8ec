"""Reading the archives of the data sources: members of a tar file, texts, labels.

Used by the modules that fetch and by those that parse, so it knows neither.
"""

from __future__ import annotations

import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from netchu.core.errors import NetchuError

MAX_MEMBER_BYTES = 2**28
"""Largest file in an archive; those of the sources have a few MB at most."""

MAX_ARCHIVE_BYTES = 2**32
"""Largest archive, unpacked."""

MAX_HEADER_BYTES = 2**20
"""Largest header that tarfile reads for the name and attributes of one file."""

_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip

TAR_ERRORS = (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError, TypeError)
"""What tarfile raises for a damaged archive; TypeError where a gzip header is cut off."""


class _StrictTarInfo(tarfile.TarInfo):
    """Raises at a damaged or incomplete header, which tarfile takes for the end of the archive.

    It also raises at a header that is too large, which tarfile would read into memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # a block of zeros is the regular end
            raise tarfile.ReadError(str(error)) from None
        if member.type in _HEADERS and member.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        return member


def tar_members(path: Path, source: str, suffix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in a tar archive, in the archive's order.

    Args:
        path: the archive, compressed or not.
        source: name of the data source, for error messages.
        suffix: only files whose names end in it.

    Yields:
        The name without a leading './', and the bytes.

    Raises:
        NetchuError: the archive is missing, damaged or truncated, or it or a file in it is too
            large.
    """
    total = 0
    try:
        if path.exists() and not path.is_file():
            raise NetchuError(f"{source}: {path} is not a regular file; replace it by the archive")
        with tarfile.open(path, "r|*", tarinfo=_StrictTarInfo) as archive:
            for member in archive:
                total += member.size
                if member.size > MAX_MEMBER_BYTES or total > MAX_ARCHIVE_BYTES:
                    raise NetchuError(_too_large(path, source, member))
                wanted = member.isfile() and member.name.endswith(suffix)
                if wanted and (file := archive.extractfile(member)):
                    yield member.name.removeprefix("./"), file.read()
    except FileNotFoundError:
        raise NetchuError(
            f"{source}: {path} does not exist; run 'dvc repro download@{source}'"
        ) from None
    except TAR_ERRORS as error:
        raise NetchuError(
            f"{source}: {path.name} is truncated or not an archive ({error}); "
            "download it again, or replace the copy in the mirror"
        ) from None


def _too_large(path: Path, source: str, member: tarfile.TarInfo) -> str:
    name = f"{member.name:.80}"
    what = (
        f"{name!r} has {member.size} bytes, more than {MAX_MEMBER_BYTES}"
        if member.size > MAX_MEMBER_BYTES
        else f"with {name!r} it has more than {MAX_ARCHIVE_BYTES} bytes unpacked"
    )
    return f"{source}: {path.name} is no archive of this source ({what}); download it again"


def read_text(content: bytes, member: str, source: str) -> str:
    """Decode a member of an archive as UTF-8, with or without a byte order mark.

    Raises:
        NetchuError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NetchuError(
            f"{source}: {member} is not UTF-8 ({error}); download the archive again"
        ) from None


def read_labels(content: bytes, member: str, source: str) -> dict[str, str]:
    """Decode a JSON object {file: text}; a label that is not a string becomes ''.

    Raises:
        NetchuError: it is not such an object.
    """
    try:
        labels = json.loads(read_text(content, member, source))
    except (json.JSONDecodeError, RecursionError) as error:
        raise NetchuError(
            f"{source}: {member} is not JSON ({error}); download the archive again"
        ) from None
    if not isinstance(labels, dict):
        raise NetchuError(
            f"{source}: {member} is not a JSON object {{file: text}}; download the archive again"
        )
    return {file: text if isinstance(text, str) else "" for file, text in labels.items()}
