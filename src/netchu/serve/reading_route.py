"""`POST /api/read`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError

from netchu.core.errors import NetchuError
from netchu.imaging.photos import Page, PhotoSource, list_pages
from netchu.inference.reader import Reader
from netchu.inference.serializers import to_json
from netchu.serve import schema
from netchu.serve.access import require_key
from netchu.serve.model_registry import DEFAULT_MODEL
from netchu.serve.queueing import FullError, Outcome, ReadingQueue
from netchu.serve.settings import Limits
from netchu.serve.uploads import (
    OPTIONS,
    RETRY_AFTER,
    UploadedImage,
    parse_images,
    receive_body,
    refuse,
    refuse_busy,
    refuse_too_many,
)

_BOOL = TypeAdapter(bool)

router = APIRouter(dependencies=[Depends(require_key)])


@router.post(
    "/api/read",
    openapi_extra=schema.READ_BODY,
    responses=schema.READ_RESPONSES,
    summary="Read images",
)
async def read(
    request: Request,
    model: Annotated[str | None, Query(description="One of `/api/models`.")] = None,
    line: Annotated[
        bool | None, Query(description="Each image is one line of handwriting.")
    ] = None,
) -> JSONResponse:
    """Read one or more images.

    Each reading is an object as `netchu read --json` writes it. An image that cannot be read has
    an `error` and does not stop the others; if none can be read, the status is 422. Each page of a
    file has a reading. `model` and `line` may also be fields of the body.
    """
    state = request.app.state
    _find_reader(state, model)  # before the body is received
    with state.memory_budget.reserve() as reservation:
        body = await receive_body(request, reservation, state.settings.limits)
        images, fields = await parse_images(request, body, state.settings.limits)
        del body
        model, line = _options(fields, {"model": model, "line": line})
        reader = _find_reader(state, model)
        pages = await asyncio.to_thread(_list_pages, images, state.settings.limits)
        begin = time.perf_counter()
        outcomes = await _read(state, reader, [page for _, page in pages], line)
    for outcome in outcomes:
        failed = isinstance(outcome, NetchuError)
        state.metrics.images.labels("failed" if failed else "read").inc()
    content = {
        "model": model,
        "milliseconds": round(1000 * (time.perf_counter() - begin), 1),
        "readings": [
            to_json(name, outcome) for (name, _), outcome in zip(pages, outcomes, strict=True)
        ],
    }
    all_failed = all(isinstance(outcome, NetchuError) for outcome in outcomes)
    return JSONResponse(content, 422 if all_failed else 200, {"Cache-Control": "no-store"})


def _find_reader(state: Any, model: str | None) -> Reader:
    reader: Reader | None = state.models.get(model or DEFAULT_MODEL)
    if reader is None:
        refuse(404, f"there is no model of that name; choose one of {', '.join(state.models)}")
    return reader


def _options(fields: Mapping[str, Any], query: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the name of the model and whether images are lines, from the body or the query."""
    for name in fields:
        if query[name] is not None:
            refuse(422, f"{name!r} is in the query and in the body; send it once")
    model, line = (fields.get(name, query[name]) for name in OPTIONS)
    if model is not None and not isinstance(model, str):
        refuse(422, "'model' is not a name; send one of /api/models")
    try:
        return model or DEFAULT_MODEL, _BOOL.validate_python(line or False)
    except ValidationError:
        refuse(422, "'line' is neither true nor false")


def _list_pages(images: Sequence[UploadedImage], limits: Limits) -> list[tuple[str, PhotoSource]]:
    """Return the pages of all images with their names."""
    pages: list[tuple[str, PhotoSource]] = []
    for image in images:
        for page in list_pages(image.content, limits.images + 1):
            number = f"#{page.number}" if isinstance(page, Page) else ""
            pages.append((f"{image.name}{number}", page))
        if len(pages) > limits.images:
            refuse_too_many(limits)
    return pages


async def _read(
    state: Any, reader: Reader, images: Sequence[PhotoSource], line: bool
) -> Sequence[Outcome]:
    queue: ReadingQueue = state.queue
    try:
        futures = queue.submit(reader, images, line)
    except FullError:
        refuse_busy()
    seconds: float = state.settings.limits.read_seconds
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
    except TimeoutError:
        refuse(503, f"reading took longer than {seconds:g} seconds; send fewer images", RETRY_AFTER)
