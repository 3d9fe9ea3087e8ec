"""Request and response schemas of the API.

Readings are described in `netchu.inference.serializers`. Request bodies are described by hand,
since routes parse them themselves: they may be a form or JSON, and are bounded in memory.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from netchu.inference.serializers import FailedPhotoJson, PhotoJson


class ReadResponse(BaseModel):
    """What was read."""

    model: str = Field(description="name of the model")
    milliseconds: float = Field(
        description="time until all images were read, the wait in the queue included"
    )
    readings: list[PhotoJson | FailedPhotoJson] = Field(description="in the order of the images")


class CorrectionResponse(BaseModel):
    """The correction is stored."""

    corrections: int = Field(description="number of corrections that the server has stored")


class ErrorResponse(BaseModel):
    """The request was refused."""

    detail: str | list[dict[str, Any]] = Field(
        description="what went wrong and what to do; a list for invalid parameters"
    )


Responses = dict[int | str, dict[str, Any]]


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "model": ErrorResponse}


REFUSALS: Responses = {
    400: _error("The body is malformed."),
    401: _error("The API key is missing or wrong."),
    404: _error("There is no such model."),
    408: _error("The body took too long to arrive."),
    413: _error("The body is too large, or has too many images."),
    415: _error("The body is neither a form nor JSON."),
    429: _error("The server is busy; try again after the seconds in `Retry-After`."),
    503: _error("Reading took too long."),
}

READ_RESPONSES: Responses = REFUSALS | {
    200: {"description": "The readings.", "model": ReadResponse},
    422: {
        "description": "No image could be read, or a parameter is invalid.",
        "model": ReadResponse | ErrorResponse,
    },
}

CORRECTION_RESPONSES: Responses = REFUSALS | {
    201: {"description": "The correction is stored.", "model": CorrectionResponse},
    404: _error("This server does not collect corrections."),
    422: _error("The image, the box or the label is invalid, or the folder is full."),
    507: _error("The disk of the server is full, or cannot be written."),
}


def _body(media_types: dict[str, dict[str, Any]]) -> dict[str, Any]:
    content = {media_type: {"schema": schema} for media_type, schema in media_types.items()}
    return {"requestBody": {"required": True, "content": content}}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _images(encoding: dict[str, Any]) -> dict[str, Any]:
    images = {"type": "array", "items": {"type": "string"} | encoding, "minItems": 1}
    options = {
        "model": {"type": "string", "description": "as the query parameter"},
        "line": {"type": "boolean", "description": "as the query parameter"},
    }
    return _object({"images": images} | options, ["images"])


_BASE64 = {"contentEncoding": "base64"}

READ_BODY = _body(
    {
        "multipart/form-data": _images({"format": "binary"}),
        "application/json": _images(_BASE64),
    }
)

CORRECTION_BODY = _body(
    {
        "application/json": _object(
            {
                "image": {"type": "string"} | _BASE64,
                "label": {"type": "string", "minLength": 1, "description": "text of the line"},
                "box": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "minItems": 4,
                    "maxItems": 4,
                    "description": "box of the line, as it was read; without it the whole image "
                    "is the line",
                },
                "turns": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 3,
                    "description": "`turns` of the reading, 0 without it",
                },
            },
            ["image", "label"],
        )
    }
)
