"""Puts the HTTP API, the operators' pages and the board together."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from notifier.metrics import Metrics
from notifier.web import problems
from notifier.web.api import api_router
from notifier.web.guard import Guard, no_token
from notifier.web.middleware import EncodedPaths, HeadAsGet
from notifier.web.ops import ops_router
from notifier.web.pool import Pool


def make_app(
    api_pool: Pool,
    readiness_pool: Pool,
    metrics_pool: Pool,
    board: APIRouter,
    metrics: Metrics,
    *,
    token: str | None,
    token_env: str,
) -> FastAPI:
    """The whole application.

    board  the pages of notifier.web.board
    token  what callers under /v1 must send; None: the secret token_env is missing, and everything
           under /v1 is refused
    """
    app = FastAPI(
        title="scooters-ops",
        summary="Late couriers and skipped jobs, each reported once.",
        version="1",
        docs_url=None,  # these pages load their scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(api_router(api_pool))
    api_problem = no_token(token_env) if token is None else None
    app.include_router(ops_router(readiness_pool, metrics_pool, metrics, api_problem))
    app.include_router(board)
    # The last one that is added sees a request first.
    app.add_middleware(Guard, token=token, token_env=token_env, metrics=metrics)
    app.add_middleware(HeadAsGet)
    app.add_middleware(EncodedPaths)
    return app
