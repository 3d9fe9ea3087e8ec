"""`POST /api/read`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from netchu.core.errors import NetchuError
from netchu.inference.reader import Reader
from netchu.inference.serializers import to_json
from netchu.serve import schema
from netchu.serve.access import require_key
from netchu.serve.model_registry import DEFAULT_MODEL
from netchu.serve.queueing import FullError, Outcome, ReadingQueue
from netchu.serve.uploads import (
    RETRY_AFTER,
    UploadedImage,
    parse_images,
    receive_body,
    refuse,
    refuse_busy,
)

router = APIRouter(dependencies=[Depends(require_key)])


@router.post(
    "/api/read",
    openapi_extra=schema.READ_BODY,
    responses=schema.READ_RESPONSES,
    summary="Read images",
)
async def read(
    request: Request,
    model: Annotated[str, Query(description="One of `/api/models`.")] = DEFAULT_MODEL,
    line: Annotated[bool, Query(description="Each image is one line of handwriting.")] = False,
) -> JSONResponse:
    """Read one or more images.

    Each reading is an object as `netchu read --json` writes it. An image that cannot be read has
    an `error` and does not stop the others; if none can be read, the status is 422.
    """
    state = request.app.state
    reader = state.models.get(model)
    if reader is None:
        refuse(404, f"there is no model of that name; choose one of {', '.join(state.models)}")
    with state.memory_budget.reserve() as reservation:
        body = await receive_body(request, reservation, state.settings.limits)
        images = await parse_images(request, body, state.settings.limits)
        del body
        begin = time.perf_counter()
        outcomes = await _read(state, reader, images, line)
    for outcome in outcomes:
        failed = isinstance(outcome, NetchuError)
        state.metrics.images.labels("failed" if failed else "read").inc()
    content = {
        "model": model,
        "milliseconds": round(1000 * (time.perf_counter() - begin), 1),
        "readings": [
            to_json(image.name, outcome) for image, outcome in zip(images, outcomes, strict=True)
        ],
    }
    all_failed = all(isinstance(outcome, NetchuError) for outcome in outcomes)
    return JSONResponse(content, 422 if all_failed else 200, {"Cache-Control": "no-store"})


async def _read(
    state: Any, reader: Reader, images: Sequence[UploadedImage], line: bool
) -> Sequence[Outcome]:
    queue: ReadingQueue = state.queue
    try:
        futures = queue.submit(reader, [image.content for image in images], line)
    except FullError:
        refuse_busy()
    seconds: float = state.settings.limits.read_seconds
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
    except TimeoutError:
        refuse(503, f"reading took longer than {seconds:g} seconds; send fewer images", RETRY_AFTER)
