"""`POST /api/read`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import TypeAdapter, ValidationError

from netchu.core.errors import NetchuError
from netchu.imaging.photos import Page, PhotoSource, may_have_pages
from netchu.inference.serializers import to_json
from netchu.serve import schema, tasks
from netchu.serve.access import require_key
from netchu.serve.addresses import address_key
from netchu.serve.model_registry import DEFAULT_MODEL
from netchu.serve.running import run_tasks
from netchu.serve.settings import Limits
from netchu.serve.tasks import encode_json
from netchu.serve.uploads import (
    INLINE_BYTES,
    OPTIONS,
    UploadedImage,
    parse_images,
    receive_body,
    refuse,
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
) -> Response:
    """Read one or more images.

    Each reading is an object as `netchu read --json` writes it. An image that cannot be read has
    an `error` and does not stop the others; if none can be read, the status is 422. Each page of a
    file has a reading. `model` and `line` may also be fields of the body.
    """
    state = request.app.state
    _check_model(state, model)  # before the body is received
    address = address_key(request.client and request.client.host)
    with state.memory_budget.reserve(address) as reservation:
        body = await receive_body(request, reservation, state.settings.limits)
        images, fields = await _parse(request, address, body)
        del body
        model, line = _options(fields, {"model": model, "line": line})
        _check_model(state, model)
        begin = time.perf_counter()
        pages = await _list_pages(state, address, images)
        outcomes: list[bytes | NetchuError] = await run_tasks(
            state, address, tasks.read_photo, [(model, name, page, line) for name, page in pages]
        )
    for outcome in outcomes:
        failed = isinstance(outcome, NetchuError)
        state.metrics.images.labels("failed" if failed else "read").inc()
    readings = [
        encode_json(to_json(name, outcome)) if isinstance(outcome, NetchuError) else outcome
        for (name, _), outcome in zip(pages, outcomes, strict=True)
    ]
    milliseconds = round(1000 * (time.perf_counter() - begin), 1)
    start = encode_json({"model": model, "milliseconds": milliseconds, "readings": []})
    content = start.removesuffix(b"]}") + b",".join(readings) + b"]}"
    all_failed = all(isinstance(outcome, NetchuError) for outcome in outcomes)
    headers = {"Cache-Control": "no-store"}
    return Response(content, 422 if all_failed else 200, headers, "application/json")


async def _parse(
    request: Request, address: str, body: bytes
) -> tuple[list[UploadedImage], Mapping[str, Any]]:
    """Return what `parse_images` does; a worker process parses a large body."""
    state = request.app.state
    arguments = request.headers.get("content-type", ""), body, state.settings.limits
    if len(body) <= INLINE_BYTES:
        return await parse_images(*arguments)
    (parsed,) = await run_tasks(state, address, tasks.parse_body, [arguments])
    if isinstance(parsed, NetchuError):
        refuse(422, str(parsed))
    images, fields = parsed
    return images, fields


def _check_model(state: Any, model: str | None) -> None:
    if (model or DEFAULT_MODEL) not in state.models:
        refuse(404, f"there is no model of that name; choose one of {', '.join(state.models)}")


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


async def _list_pages(
    state: Any, address: str, images: Sequence[UploadedImage]
) -> list[tuple[str, PhotoSource]]:
    """Return the pages of all images with their names."""
    limits: Limits = state.settings.limits
    paged = [image for image in images if may_have_pages(image.content)]
    arguments = [(image.content, limits.images + 1) for image in paged]
    found = iter(await run_tasks(state, address, tasks.find_pages, arguments))
    pages: list[tuple[str, PhotoSource]] = []
    for image in images:
        numbers = next(found) if may_have_pages(image.content) else [None]
        if isinstance(numbers, NetchuError):  # reading the file gives an error, too
            numbers = [None]
        for number in numbers:
            name = f"{image.name}#{number}" if number else image.name
            pages.append((name, Page(image.content, number) if number else image.content))
        if len(pages) > limits.images:
            refuse_too_many(limits)
    return pages
