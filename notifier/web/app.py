"""The application: its parts, put together."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from notifier.metrics import Metrics
from notifier.web import problems
from notifier.web.api import Guard, api_router, no_token
from notifier.web.middleware import EncodedPaths, Heads
from notifier.web.ops import ops_router
from notifier.web.pool import Connections, Reads


def make_app(
    writes: Connections,
    readiness_reads: Reads,
    metrics_reads: Reads,
    board: APIRouter,
    metrics: Metrics,
    *,
    token: str | None,
    token_env: str,
) -> FastAPI:
    """The whole HTTP face.

    board  the pages of notifier.web.board
    token  what callers under /v1 must send; None: the secret token_env is missing, and everything
           under /v1 is refused
    """
    app = FastAPI(
        title="scooters-ops",
        summary="Late couriers and skipped jobs, told once.",
        version="1",
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(api_router(writes))
    api_problem = no_token(token_env) if token is None else None
    app.include_router(ops_router(readiness_reads, metrics_reads, metrics, api_problem))
    app.include_router(board)
    app.add_middleware(Guard, token=token, token_env=token_env, metrics=metrics)
    app.add_middleware(Heads)
    app.add_middleware(EncodedPaths)  # the last one added is the first one asked
    return app
