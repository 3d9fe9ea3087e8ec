"""`POST /api/corrections`: only where the server was told to collect them."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from netchu.core.errors import NetchuError
from netchu.inference.results import Box
from netchu.serve import schema
from netchu.serve.access import with_key
from netchu.serve.uploads import from_base64, json_object, receive, refuse

router = APIRouter(dependencies=[Depends(with_key)])


@router.post(
    "/api/corrections",
    status_code=201,
    openapi_extra=schema.CORRECTION_BODY,
    responses=schema.CORRECTION_ANSWERS,
    summary="Keep a corrected reading",
)
async def keep(request: Request) -> JSONResponse:
    """Keep a line and what is written there, to train with.

    The answer comes when both are on the disk.
    """
    state = request.app.state
    # A page of another site may post a form without asking, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        refuse(415, "send application/json")
    with state.purse.open() as holding:
        told = json_object(await receive(request, holding, state.settings.limits))
        image = from_base64(told.get("image"), "image")
        box, label = _box(told.get("box")), told.get("label")
        if not isinstance(label, str):
            refuse(422, "'label' is no string; write what stands in the line")
        async with state.one_at_a_time:
            try:
                number = await run_in_threadpool(state.corrections.keep, image, box, label)
            except NetchuError as error:
                refuse(422, str(error))
    return JSONResponse({"corrections": number}, 201)


def _box(told: object) -> Box | None:
    if told is None:
        return None
    # type() and not isinstance(): true is an int as well
    if isinstance(told, list) and len(told) == 4 and all(type(edge) is int for edge in told):
        left, top, right, bottom = told
        return left, top, right, bottom
    refuse(422, "'box' is not [left, top, right, bottom]; give a line's own")
