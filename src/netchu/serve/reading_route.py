"""`POST /api/read`: images in, readings out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from netchu.core.errors import NetchuError
from netchu.inference import serializers
from netchu.inference.reader import Reader
from netchu.serve import schema
from netchu.serve.access import with_key
from netchu.serve.model_registry import OWN
from netchu.serve.queueing import Answer, FullError, ReadingQueue
from netchu.serve.uploads import PATIENCE, Picture, pictures, receive, refuse, refuse_for_now

router = APIRouter(dependencies=[Depends(with_key)])


@router.post(
    "/api/read",
    openapi_extra=schema.READ_BODY,
    responses=schema.READ_ANSWERS,
    summary="Read images",
)
async def read(
    request: Request,
    model: Annotated[str, Query(description="One of `/api/models`.")] = OWN,
    line: Annotated[bool, Query(description="Each image is one line of handwriting.")] = False,
) -> JSONResponse:
    """Read one or many images.

    Each reading is an object as `netchu read --json` writes it. An image that cannot be read has
    an `error` and stops nothing; where that befalls all of them, the status is 422.
    """
    state = request.app.state
    reader = state.shelf.get(model)
    if reader is None:
        refuse(404, f"there is no model of that name; choose one of {', '.join(state.shelf)}")
    with state.purse.open() as holding:
        body = await receive(request, holding, state.settings.limits)
        images = await pictures(request, body, state.settings.limits)
        del body
        begin = time.perf_counter()
        answers = await _answers(state, reader, images, line)
    for answer in answers:
        failed = isinstance(answer, NetchuError)
        state.measures.images.labels("failed" if failed else "read").inc()
    told = {
        "model": model,
        "milliseconds": round(1000 * (time.perf_counter() - begin), 1),
        "readings": [
            serializers.to_json(image.name, answer)
            for image, answer in zip(images, answers, strict=True)
        ],
    }
    bad = all(isinstance(answer, NetchuError) for answer in answers)
    return JSONResponse(told, 422 if bad else 200, {"Cache-Control": "no-store"})


async def _answers(
    state: Any, reader: Reader, images: Sequence[Picture], line: bool
) -> Sequence[Answer]:
    queue: ReadingQueue = state.queue
    try:
        futures = queue.submit(reader, [image.content for image in images], line)
    except FullError:
        refuse_for_now()
    seconds: float = state.settings.limits.answer
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
    except TimeoutError:
        refuse(503, f"reading took longer than {seconds:g} seconds; send less", PATIENCE)
