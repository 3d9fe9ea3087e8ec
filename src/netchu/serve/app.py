"""The application: what a server is made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from netchu.serve import corrections_route, reading_route, web_page
from netchu.serve.access import Guard
from netchu.serve.corrections import Corrections
from netchu.serve.metrics import Measures
from netchu.serve.model_registry import open_shelf
from netchu.serve.queueing import ReadingQueue
from netchu.serve.samples import Samples
from netchu.serve.settings import Settings
from netchu.serve.uploads import Purse


def create_app(settings: Settings) -> FastAPI:
    """The page and its API. Models are loaded now; threads start with the server.

    Raises:
        NetchuError: a model or the samples are not there.
    """
    measures = Measures()
    app = FastAPI(
        title="netchu",
        description="Reads Vietnamese handwriting.",
        version=version("netchu"),
        docs_url=None,
        redoc_url=None,
        lifespan=_open,
        middleware=_around(settings, measures),
    )
    state = app.state
    state.settings, state.measures = settings, measures
    state.shelf = open_shelf(settings.models)
    state.samples = Samples(settings.samples)
    state.corrections = None
    if settings.collect:
        limits = settings.limits
        state.corrections = Corrections(settings.collect, limits.corrections, limits.label)
    for router in (web_page.router, web_page.guarded, reading_route.router):
        app.include_router(router)
    if settings.collect:
        app.include_router(corrections_route.router)
    return app


def _around(settings: Settings, measures: Measures) -> list[Middleware]:
    """The outermost first."""
    around = [Middleware(Guard, measures=measures)]
    if settings.hosts:
        # Or a strange page could reach a server of this machine under a name of its own.
        around.append(Middleware(TrustedHostMiddleware, allowed_hosts=[*settings.hosts]))
    if settings.origins:
        around.append(
            Middleware(
                CORSMiddleware,
                allow_origins=[*settings.origins],
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    return around


@asynccontextmanager
async def _open(app: FastAPI) -> AsyncIterator[None]:
    """From the first request to the last answer."""
    state, limits = app.state, app.state.settings.limits
    with ExitStack() as stack:
        if state.corrections:
            stack.enter_context(state.corrections.opened())
        state.purse = Purse(limits.held)
        state.one_at_a_time = asyncio.Lock()
        state.queue = ReadingQueue(_cores(), limits.places, state.measures.together.observe)
        stack.callback(state.queue.close)
        state.measures.watch_held(lambda: state.queue.held)
        yield


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
