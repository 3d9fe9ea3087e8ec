"""Reading the archives of fetched sources: tar members, texts and labels."""

from __future__ import annotations

import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from netchu.core.errors import NetchuError

BROKEN = (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError, TypeError)
"""What tarfile raises at a broken archive; TypeError where the header of a gzip is cut off."""


class _Member(tarfile.TarInfo):
    """A member of an archive whose header, cut off or spoilt, does not pass for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # so an archive ends
            raise tarfile.ReadError(str(error)) from None


def members(path: Path, source: str, suffix: str = "") -> Iterator[tuple[str, bytes]]:
    """The files of a tar archive whose names end in `suffix`, as (name, content), in its order.

    The archive may be compressed or not. A leading './' is taken off the names.

    Raises:
        NetchuError: the archive is not there, is none, or ends too early.
    """
    try:
        with tarfile.open(path, "r|*", tarinfo=_Member) as archive:
            for member in archive:
                wanted = member.isfile() and member.name.endswith(suffix)
                if wanted and (file := archive.extractfile(member)):
                    yield member.name.removeprefix("./"), file.read()
    except FileNotFoundError:
        raise NetchuError(f"{source}: {path} is not there; run 'dvc repro' to get it") from None
    except BROKEN as error:
        raise NetchuError(
            f"{source}: {path.name} is truncated or no archive ({error}); "
            "fetch it anew, or mend the copy in the mirror"
        ) from None


def read_text(content: bytes, path: str, source: str) -> str:
    """The text of a member of an archive.

    Raises:
        NetchuError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NetchuError(f"{source}: {path} is not UTF-8 ({error}); fetch it anew") from None


def read_labels(content: bytes, path: str, source: str) -> dict[str, str]:
    """A JSON {file: text}; a label that is no text counts as an empty one.

    Raises:
        NetchuError: it is no such JSON.
    """
    try:
        labels = json.loads(read_text(content, path, source))
    except json.JSONDecodeError as error:
        raise NetchuError(f"{source}: {path} is not JSON ({error}); fetch it anew") from None
    if not isinstance(labels, dict):
        raise NetchuError(f"{source}: {path} is no JSON {{file: text}}; fetch it anew")
    return {file: text if isinstance(text, str) else "" for file, text in labels.items()}
