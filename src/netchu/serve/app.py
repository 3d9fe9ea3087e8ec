"""The application of `netchu serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

import netchu
from netchu.core.cores import available_cores
from netchu.serve import corrections_route, reading_route, web_page
from netchu.serve.access import ResponseMiddleware
from netchu.serve.corrections import CorrectionStore
from netchu.serve.metrics import ServerMetrics
from netchu.serve.model_registry import load_models
from netchu.serve.queueing import TaskQueue
from netchu.serve.samples import Samples
from netchu.serve.settings import Settings
from netchu.serve.unread_bodies import UnreadBodyMiddleware
from netchu.serve.uploads import MemoryBudget
from netchu.serve.worker_process import WorkerProcess


def create_app(settings: Settings) -> FastAPI:
    """Create the application of the web page and its API.

    Models are loaded at once; processes that read with them start with the server.

    Raises:
        NetchuError: a model or the samples are missing.
    """
    metrics = ServerMetrics()
    app = FastAPI(
        title="netchu",
        description="Reads Vietnamese handwriting.",
        version=netchu.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        middleware=_middleware(settings, metrics),
    )
    state = app.state
    state.settings, state.metrics = settings, metrics
    state.models = load_models(settings.models)
    state.samples = Samples(settings.samples)
    state.corrections = None
    if settings.collect:
        limits = settings.limits
        state.corrections = CorrectionStore(
            settings.collect, limits.corrections, limits.label_length
        )
    for router in (web_page.public_router, web_page.api_router, reading_route.router):
        app.include_router(router)
    if settings.collect:
        app.include_router(corrections_route.router)
    return app


def _middleware(settings: Settings, metrics: ServerMetrics) -> list[Middleware]:
    """Return the middleware, the outermost first."""
    middleware = [
        Middleware(UnreadBodyMiddleware, limits=settings.limits),
        Middleware(ResponseMiddleware, metrics=metrics),
    ]
    if settings.hosts:
        # Against DNS rebinding, by which a foreign page could reach a server of this machine.
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=[*settings.hosts]))
    if settings.origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=[*settings.origins],
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    return middleware


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what requests need, and close it after the last response."""
    state, limits = app.state, app.state.settings.limits
    with ExitStack() as stack:
        if state.corrections:
            stack.enter_context(state.corrections.open())
        state.memory_budget = MemoryBudget(limits.total_body_bytes, limits.body_bytes_per_address)
        state.correction_lock = asyncio.Lock()
        state.queue = TaskQueue(
            partial(WorkerProcess, state.models, limits.worker_bytes, state.metrics.replaced.inc),
            available_cores() + 1,  # one more, since no address may occupy all of them
            limits.pending_images,
            limits.pending_images_per_address,
            limits.image_seconds,
        )
        stack.callback(state.queue.close)
        state.metrics.track_pending(lambda: state.queue.pending)
        yield
