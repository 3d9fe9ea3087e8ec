"""`POST /api/corrections`, which exists only if the server collects corrections."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from netchu.core.errors import NetchuError
from netchu.inference.results import Box
from netchu.serve import schema, tasks
from netchu.serve.access import require_key
from netchu.serve.addresses import address_key
from netchu.serve.running import run_tasks
from netchu.serve.uploads import decode_base64, parse_json_object, receive_body, refuse

router = APIRouter(dependencies=[Depends(require_key)])


@router.post(
    "/api/corrections",
    status_code=201,
    openapi_extra=schema.CORRECTION_BODY,
    responses=schema.CORRECTION_RESPONSES,
    summary="Store a corrected line",
)
async def add_correction(request: Request) -> JSONResponse:
    """Store the image of a line and its text, to train with.

    The response is sent after both are on the disk.
    """
    state = request.app.state
    # Browsers let other sites post forms without a preflight request, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        refuse(415, "send application/json")
    address = address_key(request.client and request.client.host)
    with state.memory_budget.reserve(address) as reservation:
        content = parse_json_object(await receive_body(request, reservation, state.settings.limits))
        image = decode_base64(content.get("image"), "image")
        box, label = _parse_box(content.get("box")), content.get("label")
        turns = _parse_turns(content.get("turns", 0))
        if not isinstance(label, str):
            refuse(422, "'label' is not a string; send the text of the line")
        try:
            label = state.corrections.normalise_label(label)
            (crop,) = await run_tasks(state, address, tasks.crop_line, [(image, box, turns)])
            if isinstance(crop, NetchuError):
                raise crop
            async with state.correction_lock:
                number = await run_in_threadpool(state.corrections.add, crop, label)
        except NetchuError as error:
            refuse(422, str(error))
        except OSError as error:
            refuse(507, f"the server cannot store it ({error.strerror}); free some space there")
    return JSONResponse({"corrections": number}, 201)


def _parse_box(value: object) -> Box | None:
    if value is None:
        return None
    # type() and not isinstance(): true is an int as well
    if isinstance(value, list) and len(value) == 4 and all(type(edge) is int for edge in value):
        left, top, right, bottom = value
        return left, top, right, bottom
    refuse(422, "'box' is not [left, top, right, bottom]; send the box of a line that was read")


def _parse_turns(value: object) -> int:
    if type(value) is int and 0 <= value <= 3:
        return value
    refuse(422, "'turns' is not 0, 1, 2 or 3; send that of the reading")
