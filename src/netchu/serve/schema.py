"""What OpenAPI cannot guess: a body that is a form or JSON, and the answers."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def _object(properties: dict[str, Any], *needed: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(needed)}


def _list(items: dict[str, Any], **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": items} | bounds


_CHARACTER = _object(
    {
        "text": _TEXT,
        "confidence": _SHARE,
        "left": {"type": "number", "description": "px of the photo as shown"},
        "right": {"type": "number"},
        "alternatives": _list(_object({"text": _TEXT, "confidence": _SHARE})),
    },
    "text", "confidence", "left", "right", "alternatives",
)  # fmt: skip

_LINE = _object(
    {
        "text": _TEXT,
        "confidence": _SHARE,
        "box": _list({"type": "integer"}, minItems=4, maxItems=4)
        | {"description": "left, top, right, bottom, px of the photo as shown"},
        "characters": _list(_CHARACTER),
    },
    "text", "confidence", "box", "characters",
)  # fmt: skip

_READING = _object(
    {
        "path": _TEXT | {"description": "what the sender called the image"},
        "text": {"type": ["string", "null"]},
        "confidence": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "size": _list({"type": "integer"}, minItems=2, maxItems=2),
        "lines": _list(_LINE),
        "error": _TEXT,
    },
    "path", "text", "confidence",
)  # fmt: skip

_READINGS = _object(
    {"model": _TEXT, "milliseconds": {"type": "number"}, "readings": _list(_READING)},
    "model", "milliseconds", "readings",
)  # fmt: skip

_ERROR = _object({"detail": {"description": "what went wrong, and the way out"}}, "detail")


def _answer(description: str, content: dict[str, Any] = _ERROR) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": content}}}


def _body(**kinds: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {
        _KINDS[kind]: {"schema": schema} for kind, schema in kinds.items()
    }}}  # fmt: skip


_KINDS = {"form": "multipart/form-data", "json": "application/json"}
_BASE64 = {"type": "string", "contentEncoding": "base64"}

READ_BODY = _body(
    form=_object({"images": _list({"type": "string", "format": "binary"}, minItems=1)}, "images"),
    json=_object({"images": _list(_BASE64, minItems=1)}, "images"),
)

CORRECTION_BODY = _body(
    json=_object(
        {
            "image": _BASE64,
            "label": _TEXT | {"minLength": 1, "description": "what is written there"},
            "box": _list({"type": "integer"}, minItems=4, maxItems=4)
            | {"description": "of one line, as it was read; the whole image without"},
        },
        "image",
        "label",
    )
)

REFUSED: dict[int | str, dict[str, Any]] = {
    400: _answer("The body is broken."),
    401: _answer("The key is missing or wrong."),
    404: _answer("There is no such model."),
    408: _answer("The body took too long to arrive."),
    413: _answer("Too much at once."),
    415: _answer("Neither a form nor JSON."),
    429: _answer("No room now; try again after the seconds in `Retry-After`."),
    503: _answer("Reading took too long."),
}

READ_ANSWERS = REFUSED | {
    200: _answer("What was read.", _READINGS),
    422: _answer("Nothing could be read, or a parameter is wrong.", {"anyOf": [_READINGS, _ERROR]}),
}

CORRECTION_ANSWERS = REFUSED | {
    201: _answer("It is kept.", _object({"corrections": {"type": "integer"}}, "corrections")),
    404: _answer("This server keeps no corrections."),
    422: _answer("No image, no such line, no label, or the folder is full."),
}
