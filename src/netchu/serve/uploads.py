"""What comes in a request's body: bounded in bytes and seconds, and never put on disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from netchu.serve.settings import Limits

PATIENCE = {"Retry-After": "1"}
"""Seconds after which whoever was refused may try again."""

_CHARSET = re.compile(r";\s*charset=[^;]*", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """An image as it came, and what its sender calls it."""

    name: str
    content: bytes


def refuse(status: int, reason: str, headers: dict[str, str] | None = None) -> NoReturn:
    """Answer with an error that says what to do."""
    raise HTTPException(status, reason, headers)


def refuse_for_now() -> NoReturn:
    """Answer that there is no room at the moment."""
    refuse(429, "the server is busy; try again in a second", PATIENCE)


@dataclass
class Purse:
    """Bytes of all bodies that are held at one time. Belongs to one event loop."""

    most: int
    spent: int = 0

    @contextmanager
    def open(self) -> Iterator[Holding]:
        """What one request holds, given back at the end of it."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            self.spent -= holding.size


@dataclass
class Holding:
    """The bytes that one request holds."""

    purse: Purse
    size: int = 0
    chunks: list[bytes] = field(default_factory=list)

    def take(self, chunk: bytes) -> bool:
        """Hold the chunk, too, if there is room for it."""
        if self.purse.spent + len(chunk) > self.purse.most:
            return False
        self.purse.spent += len(chunk)
        self.size += len(chunk)
        self.chunks.append(chunk)
        return True

    def drop(self) -> None:
        """Let go of everything."""
        self.purse.spent -= self.size
        self.size = 0
        self.chunks.clear()


async def receive(request: Request, holding: Holding, limits: Limits) -> bytes:
    """The body.

    One that is refused is still taken in, and thrown away, within the same seconds: a client that
    is cut off while it sends would not see why.

    Raises:
        HTTPException: 413 it is too large, 429 there is no room now, 408 it comes too slowly.
    """
    size, refused = 0, False
    try:
        async with asyncio.timeout(limits.upload):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body or refused or not holding.take(chunk):
                    refused = True
                    holding.drop()
    except TimeoutError:
        refuse(408, f"the request took longer than {limits.upload:g} seconds to arrive; shrink it")
    except ClientDisconnect:
        refuse(400, "the request ended early; send it again")
    if size > limits.body:
        refuse(413, f"more than {limits.body >> 20} MB; shrink the image or send fewer at a time")
    if refused:
        refuse_for_now()
    return b"".join(holding.chunks)


async def pictures(request: Request, body: bytes, limits: Limits) -> list[Picture]:
    """The images of a multipart or JSON body.

    Raises:
        HTTPException: 415 it is neither, 400 it is broken, 413 too many images, 422 none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        found = await _from_form(request, body, limits)
    elif kind == "application/json":
        found = _from_json(body)
    else:
        refuse(415, "send multipart/form-data with a field 'images', or application/json")
    if len(found) > limits.images:
        refuse(413, f"more than {limits.images} images; send fewer at a time")
    if not found:
        refuse(422, "no image came; put at least one into 'images'")
    return found


async def _from_form(request: Request, body: bytes, limits: Limits) -> list[Picture]:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    # Names of files are UTF-8; a client that asks for another codec could break them.
    kind = _CHARSET.sub("", request.headers["content-type"])
    parser = MultiPartParser(
        Headers({"content-type": kind}),
        stream(),  # type: ignore[arg-type]
        max_files=limits.images + 1,
        max_fields=limits.images,
    )
    parser.spool_max_size = limits.body + 1  # in memory, where the body is already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            refuse(413, f"more than {limits.images} images; send fewer at a time")
        refuse(400, f"no multipart form ({error.message}); send a field 'images' with files in it")
    found = []
    for number, file in enumerate(form.getlist("images"), start=1):
        if not isinstance(file, UploadFile):
            refuse(422, "'images' holds text; send files in it")
        found.append(Picture(file.filename or f"image {number}", await file.read()))
    return found


def _from_json(body: bytes) -> list[Picture]:
    images = json_object(body).get("images")
    if isinstance(images, str):
        images = [images]
    if not isinstance(images, list):
        refuse(422, "'images' is missing; give base64 in it, a string or a list of strings")
    return [
        Picture(f"image {number}", from_base64(image, f"images[{number - 1}]"))
        for number, image in enumerate(images, start=1)
    ]


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        HTTPException: 400 it is none.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        refuse(400, "the body is no JSON; send an object")
    if not isinstance(told, dict):
        refuse(422, "the body is no JSON object; send one")
    return told


def from_base64(text: Any, where: str) -> bytes:
    """The bytes that a value of a JSON body stands for.

    Raises:
        HTTPException: 422 it is not base64.
    """
    if not isinstance(text, str):
        refuse(422, f"'{where}' is no string; give the image's bytes in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        refuse(422, f"'{where}' is not base64; encode the image's bytes")
