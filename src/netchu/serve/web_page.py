"""What the page needs: its own files, models and samples; and what watches the server."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as InPath
from prometheus_client import CONTENT_TYPE_LATEST

from netchu.serve.access import with_key
from netchu.serve.model_registry import OWN
from netchu.serve.schema import REFUSED
from netchu.serve.uploads import refuse

router = APIRouter()
guarded = APIRouter(dependencies=[Depends(with_key)], responses={401: REFUSED[401]})

STATIC = Path(str(files("netchu"))) / "serve" / "static"


@dataclass(frozen=True)
class Asset:
    """A file of the page. etag: changes with its content."""

    content: bytes
    kind: str
    etag: str


def _assets() -> dict[str, Asset]:
    """All of them, in memory: no path of a request is ever looked up on the disk."""
    found = {}
    for path in sorted(STATIC.iterdir()):
        content = path.read_bytes()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        text = kind.startswith("text/") or kind.endswith(("javascript", "json"))
        found[path.name] = Asset(
            content,
            f"{kind}; charset=utf-8" if text else kind,
            f'"{hashlib.sha256(content).hexdigest()[:16]}"',
        )
    return found


_ASSETS = _assets()


def _shown(name: str, request: Request) -> Response:
    asset = _ASSETS.get(name)
    if asset is None:
        refuse(404, "there is no such page; look at / or /docs")
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.kind, headers=headers)


@router.get("/", include_in_schema=False)
async def index(request: Request) -> Response:
    """The page."""
    return _shown("index.html", request)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The API, for people."""
    return _shown("docs.html", request)


@router.get("/static/{name}", include_in_schema=False)
async def static(request: Request, name: str) -> Response:
    """A file of the page."""
    return _shown(name, request)


@guarded.get("/api/models", summary="What this server reads with")
async def models(request: Request) -> dict[str, Any]:
    """The models by name, the first choice, and what the server takes and keeps."""
    state = request.app.state
    limits = state.settings.limits
    return {
        "models": [
            {
                "name": name,
                "letters": len(reader.model.alphabet),
                "figures": reader.model.figures,
            }
            for name, reader in state.shelf.items()
        ],
        "default": OWN,
        "collecting": state.corrections is not None,
        "limits": {"bytes": limits.body, "images": limits.images, "label": limits.label},
        "version": version("netchu"),
    }


@guarded.get("/api/samples", summary="Three lines to try")
async def samples(request: Request) -> dict[str, Any]:
    """Three of the samples, drawn by lot."""
    return {
        "samples": [
            {"name": sample.path.name, "url": f"/api/samples/{sample.number}"}
            for sample in request.app.state.samples.draw()
        ]
    }


@guarded.get(
    "/api/samples/{number}",
    summary="The image of a sample",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}}, 404: REFUSED[404]},
)
def sample(request: Request, number: Annotated[int, InPath(ge=0)]) -> Response:
    """Its bytes."""
    found = request.app.state.samples[number]
    try:
        content = found.path.read_bytes() if found else None
    except OSError:  # it went away meanwhile
        content = None
    if content is None:
        refuse(404, "there is no such sample; ask for others")
    return Response(content, media_type=found.kind, headers={"Cache-Control": "no-cache"})


@router.get("/healthz", summary="Whether the server is well")
async def healthz() -> dict[str, str]:
    """It answers: so it is."""
    return {"status": "ok"}


@guarded.get("/metrics", summary="Counters for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Requests, images, batches and the process, in Prometheus' text format."""
    return Response(request.app.state.measures.text(), media_type=CONTENT_TYPE_LATEST)
