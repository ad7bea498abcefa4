"""What operators and their programs ask: health, readiness, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from logging import ERROR
from typing import Any, Literal

import psycopg
from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from notifier.database.schema_version import known_migrations, version_problem
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.web.database_metrics import METRICS, DatabaseMetrics
from notifier.web.pool import DatabaseAway, Pool
from notifier.web.shared_answers import SharedAnswers

# reset_val is how other sessions of this user begin; this session has been made read-only.
READINESS = """
select
    pg_is_in_recovery()
    or (
        select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only'
    ) as is_read_only,
    pg_has_role('scooters_ops_writer', 'usage') as may_write,
    array(select scooters_ops.applied_migrations()) as migrations,
    to_regclass('scooters_ops.shard_status') is not null as is_router
"""
MISSING_SHARDS = "select name from scooters_ops.shard_status where not is_up order by shard"
# A shard that does not even refuse must not make the process look unready.
SHARDS_SECONDS = 2.0


class Alive(BaseModel):
    """What /healthz answers."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """What /readyz answers."""

    ready: bool
    problems: list[str] = Field(description="Why requests under /v1 are refused; empty: served.")
    warnings: list[str] = Field(description="What needs a person although requests are served.")


def ops_router(
    readiness_pool: Pool, metrics_pool: Pool, metrics: Metrics, api_problem: str | None
) -> APIRouter:
    """Health for a supervisor, readiness for a load balancer, metrics for Prometheus.

    api_problem  why this process refuses everything under /v1; None: it does not
    """
    router = APIRouter(tags=["ops"])

    async def ask_readiness(_: None) -> tuple[list[str], list[str]]:
        return await _ask_database(readiness_pool)

    async def ask_metrics(_: None) -> bytes:
        rows: Sequence[Mapping[str, Any]] | None
        try:
            rows = await metrics_pool.rows(METRICS)
        except DatabaseAway:
            rows = None
        except psycopg.Error as error:
            event(ERROR, "bug", part="metrics", reason=error)
            rows = None
        return generate_latest(metrics.registry) + DatabaseMetrics(rows).text()

    # However many ask, the database answers each question once at a time.
    readiness = SharedAnswers(ask_readiness, 0)
    metrics_text = SharedAnswers(ask_metrics, 0)

    @router.get("/healthz")
    async def healthz() -> Alive:
        """The process answers."""
        return Alive()

    @router.get(
        "/readyz",
        responses={503: {"model": Readiness, "description": "The field problems says why."}},
    )
    async def readyz(response: Response) -> Readiness:
        """Whether this process can serve requests under /v1. It says nothing about detection,
        delivery or the work loop, which status and metrics cover: a load balancer must not cut
        callers off because something else has stopped."""
        of_database, warnings = await readiness.get(None)
        problems = [*of_database]
        if api_problem is not None:
            problems.append(api_problem)
        if problems:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(ready=not problems, problems=problems, warnings=warnings)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def prometheus() -> Response:
        """Metrics for Prometheus. Answers without the database too: scooters_ops_database_up is
        then 0."""
        text = await metrics_text.get(None)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


async def _ask_database(pool: Pool) -> tuple[list[str], list[str]]:
    """Problems and warnings. A version that does not suit is a warning while connections hold:
    otherwise an upgrade would make every process unready at once."""
    try:
        (row,) = await pool.rows(READINESS)
    except DatabaseAway as error:
        return [str(error)], []
    except psycopg.Error as error:
        return [f"the database refuses to say: {error.diag.message_primary}"], []
    problems, warnings = [], []
    if row["is_read_only"]:
        problems.append("the database is read-only")
    if not row["may_write"]:
        problems.append("the database's user lacks the role scooters_ops_writer")
    if problem := version_problem(row["migrations"], known_migrations()):
        warnings.append(f"the database does not suit this program: {problem}")
    if row["is_router"]:
        warnings += await _missing_shards(pool)
    return problems, warnings


async def _missing_shards(pool: Pool) -> list[str]:
    """A warning for each shard of a router that gives no answer: the others are served."""
    try:
        async with asyncio.timeout(SHARDS_SECONDS):
            rows = await pool.rows(MISSING_SHARDS)
    except TimeoutError:
        return ["some shard takes too long to answer"]
    except (DatabaseAway, psycopg.Error) as error:
        return [f"the router cannot say which shards answer: {type(error).__name__}"]
    return [f"shard {row['name']} gives no answer" for row in rows]
