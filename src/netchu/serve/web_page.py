"""Routes of the web page, of models and samples, and of monitoring."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter
from prometheus_client import CONTENT_TYPE_LATEST

import netchu
from netchu.serve.access import require_key
from netchu.serve.model_registry import DEFAULT_MODEL
from netchu.serve.samples import Sample
from netchu.serve.schema import REFUSALS
from netchu.serve.uploads import refuse

public_router = APIRouter()
api_router = APIRouter(dependencies=[Depends(require_key)], responses={401: REFUSALS[401]})

STATIC = Path(str(files("netchu"))) / "serve" / "static"
"""Folder of the page's files."""


@dataclass(frozen=True)
class Asset:
    """A file of the page; its `etag` changes with its content."""

    content: bytes
    content_type: str
    etag: str


def _load_assets() -> dict[str, Asset]:
    """Load all files of the page, so that no request path is ever looked up on the disk."""
    assets = {}
    for path in sorted(STATIC.iterdir()):
        content = path.read_bytes()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        is_text = media_type.startswith("text/") or media_type.endswith(("javascript", "json"))
        assets[path.name] = Asset(
            content,
            f"{media_type}; charset=utf-8" if is_text else media_type,
            f'"{hashlib.sha256(content).hexdigest()[:16]}"',
        )
    return assets


_PAGE = ["GET", "HEAD"]
"""Methods of pages; monitors and proxies send HEAD."""

_ASSETS = _load_assets()


def _asset_response(name: str, request: Request) -> Response:
    asset = _ASSETS.get(name)
    if asset is None:
        refuse(404, "there is no such page; see / and /docs")
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.content_type, headers=headers)


@public_router.api_route("/", methods=_PAGE, include_in_schema=False)
async def index(request: Request) -> Response:
    """Return the page."""
    return _asset_response("index.html", request)


@public_router.api_route("/docs", methods=_PAGE, include_in_schema=False)
async def docs(request: Request) -> Response:
    """Return the documentation of the API."""
    return _asset_response("docs.html", request)


@public_router.api_route("/static/{name}", methods=_PAGE, include_in_schema=False)
async def static(request: Request, name: str) -> Response:
    """Return a file of the page."""
    return _asset_response(name, request)


@api_router.get("/api/models", summary="List the models")
async def models(request: Request) -> dict[str, Any]:
    """Return the models, the default one, and the limits of the server."""
    state = request.app.state
    limits = state.settings.limits
    return {
        "models": [
            {
                "name": name,
                "letters": len(reader.model.alphabet),
                "figures": reader.model.figures,
            }
            for name, reader in state.models.items()
        ],
        "default": DEFAULT_MODEL,
        "collecting": state.corrections is not None,
        "limits": {
            "bytes": limits.body_bytes,
            "images": limits.images,
            "label": limits.label_length,
        },
        "version": netchu.__version__,
    }


@api_router.get("/api/samples", summary="Draw three samples")
async def samples(request: Request) -> dict[str, Any]:
    """Return three random samples."""
    return {
        "samples": [
            {"name": sample.path.name, "url": f"/api/samples/{sample.number}"}
            for sample in request.app.state.samples.draw()
        ]
    }


@api_router.get(
    "/api/samples/{number}",
    summary="Get the image of a sample",
    response_class=Response,
    responses={
        200: {"content": {"image/*": {}}},
        404: REFUSALS[404] | {"description": "There is no such sample."},
    },
)
def sample(request: Request, number: Annotated[int, PathParameter(ge=0)]) -> Response:
    """Return the encoded image."""
    found: Sample | None = request.app.state.samples[number]
    try:
        content = found.path.read_bytes() if found else None
    except OSError:  # it was removed after the server started
        content = None
    if found is None or content is None:
        refuse(404, "there is no such sample; get others from /api/samples")
    return Response(content, media_type=found.media_type, headers={"Cache-Control": "no-cache"})


@public_router.head("/healthz", include_in_schema=False)
@public_router.get("/healthz", summary="Check that the server responds")
async def healthz() -> dict[str, str]:
    """Return status ok."""
    return {"status": "ok"}


@api_router.get("/metrics", summary="Get metrics for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Return metrics of requests, images, batches and the process in Prometheus' text format."""
    return Response(request.app.state.metrics.to_prometheus(), media_type=CONTENT_TYPE_LATEST)
