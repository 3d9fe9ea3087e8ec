"""Request bodies: bounded in bytes and seconds, and never written to disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from netchu.serve.settings import Limits

RETRY_AFTER = {"Retry-After": "1"}
"""Header of responses to requests that may be repeated after a second."""

_CHARSET = re.compile(r";\s*charset=[^;]*", re.IGNORECASE)


_DATA_URL = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)

INLINE_BYTES = 2**18
"""Larger bodies are parsed by a worker process: one of 32 MB takes more than a second."""

MAX_JSON_MARKS = 5_000
"""Commas, colons and brackets of a JSON body, those in its texts included. A value takes up to 100
times as much memory as its text."""

OPTIONS = ("model", "line")
"""Fields of a body that say how its images are read; query parameters do the same."""


@dataclass(frozen=True)
class UploadedImage:
    """An encoded image and the file name that its sender gave it."""

    name: str
    content: bytes


def refuse(status: int, reason: str, headers: dict[str, str] | None = None) -> NoReturn:
    """End the request with an error response whose detail is `reason`."""
    raise HTTPException(status, reason, headers)


def refuse_busy() -> NoReturn:
    """End the request with status 429."""
    refuse(429, "the server is busy; try again in a second", RETRY_AFTER)


@dataclass
class MemoryBudget:
    """Bytes of all request bodies in memory. Belongs to one event loop.

    Attributes:
        capacity: largest number of bytes.
        capacity_per_address: largest number of bytes of the requests of one address.
        used: bytes that requests have reserved, by address.
    """

    capacity: int
    capacity_per_address: int
    used: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def reserve(self, address: str) -> Iterator[Reservation]:
        """Yield the reservation of one request; its bytes are released at the end of the block."""
        reservation = Reservation(self, address)
        try:
            yield reservation
        finally:
            reservation.release()


@dataclass
class Reservation:
    """The bytes of one request's body."""

    budget: MemoryBudget
    address: str
    size: int = 0
    chunks: list[bytes] = field(default_factory=list)

    def add(self, chunk: bytes) -> bool:
        """Keep a chunk; return False, and do not keep it, if the budget is exhausted."""
        used, size = self.budget.used, len(chunk)
        if (
            used.total() + size > self.budget.capacity
            or used[self.address] + size > self.budget.capacity_per_address
        ):
            return False
        used[self.address] += size
        self.size += len(chunk)
        self.chunks.append(chunk)
        return True

    def release(self) -> None:
        """Drop all chunks."""
        self.budget.used -= Counter({self.address: self.size})  # leaves out addresses with none
        self.size = 0
        self.chunks.clear()


async def receive_body(request: Request, reservation: Reservation, limits: Limits) -> bytes:
    """Receive the body of a request.

    A body that is refused is still received and thrown away, within the same time limit and up to
    twice the size: a client whose connection is closed while it sends would not see the response.

    Raises:
        HTTPException: 408 it took too long, 413 it is too large, 429 there is no memory for it now.
    """
    size, refused = 0, False
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes or refused or not reservation.add(chunk):
                    refused = True
                    reservation.release()
                if size > 2 * limits.body_bytes:
                    break
    except TimeoutError:
        refuse(
            408,
            f"the body did not arrive within {limits.upload_seconds:g} seconds; "
            "send smaller or fewer images",
        )
    except ClientDisconnect:
        refuse(400, "the request ended early; send it again")
    if size > limits.body_bytes:
        refuse(
            413,
            f"the body has more than {limits.body_bytes >> 20} MB; send smaller or fewer images",
        )
    if refused:
        refuse_busy()
    return b"".join(reservation.chunks)


async def parse_images(
    content_type: str, body: bytes, limits: Limits
) -> tuple[list[UploadedImage], dict[str, Any]]:
    """Return the images of a multipart or JSON body, and those of its fields that are `OPTIONS`.

    A body of more than `INLINE_BYTES` takes too long for an event loop.

    Raises:
        HTTPException: 400 the body is malformed, 413 it has too many images, 415 it is neither a
            form nor JSON, 422 it has no images.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        images, fields = await _from_form(content_type, body, limits)
    elif media_type == "application/json":
        images, fields = _from_json(body)
    else:
        refuse(415, "send multipart/form-data with a field 'images', or application/json")
    if len(images) > limits.images:
        refuse_too_many(limits)
    if not images:
        refuse(422, "there is no image in the request; put at least one into 'images'")
    return images, {name: fields[name] for name in OPTIONS if name in fields}


def refuse_too_many(limits: Limits) -> NoReturn:
    """End the request with status 413."""
    refuse(413, f"the request has more than {limits.images} images; send fewer at a time")


async def _from_form(
    content_type: str, body: bytes, limits: Limits
) -> tuple[list[UploadedImage], Mapping[str, Any]]:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    # File names are UTF-8; another charset that a client names could make decoding fail.
    parser = MultiPartParser(
        Headers({"content-type": _CHARSET.sub("", content_type)}),
        stream(),  # type: ignore[arg-type]
        max_files=limits.images + 1,
        max_fields=limits.images,
    )
    parser.spool_max_size = limits.body_bytes + 1  # never on disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            refuse_too_many(limits)
        refuse(
            400,
            f"the body is not a multipart form ({error.message}); send files in a field 'images'",
        )
    images = []
    for number, file in enumerate(form.getlist("images"), start=1):
        if not isinstance(file, UploadFile):
            refuse(422, "'images' has text; send files in it")
        images.append(UploadedImage(file.filename or f"image {number}", await file.read()))
    return images, form


def _from_json(body: bytes) -> tuple[list[UploadedImage], Mapping[str, Any]]:
    content = parse_json_object(body)
    images = content.get("images")
    if isinstance(images, str):
        images = [images]
    if not isinstance(images, list):
        refuse(422, "'images' must be a base64 string or a list of them")
    uploaded = [
        UploadedImage(f"image {number}", decode_base64(image, f"images[{number - 1}]"))
        for number, image in enumerate(images, start=1)
    ]
    return uploaded, content


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        HTTPException: 400 the body is not JSON, 422 it is not an object, or one of too many values.
    """
    if sum(map(body.count, (b",", b"[", b"{", b":"))) > MAX_JSON_MARKS:
        refuse(422, "the body has far more values than images; send an object as /docs shows it")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        refuse(400, "the body is not JSON; send an object")
    if not isinstance(content, dict):
        refuse(422, "the body is not a JSON object; send one")
    return content


def decode_base64(text: Any, name: str) -> bytes:
    """Decode a value of a JSON body; `name` names it in the error.

    Line breaks and the beginning of a `data:` URL are left out.

    Raises:
        HTTPException: 422 the value is not base64.
    """
    if not isinstance(text, str):
        refuse(422, f"'{name}' is not a string; send the image's bytes in base64")
    data_url = _DATA_URL.match(text)
    try:
        encoded = text[data_url.end() if data_url else 0 :].encode("ascii")
        return base64.b64decode(encoded.translate(None, b" \t\n\r\f\v"), validate=True)
    except (ValueError, binascii.Error):  # UnicodeEncodeError is a ValueError
        refuse(422, f"'{name}' is not base64; encode the image's bytes")
