"""What operators and their programs ask: health, readiness, metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from logging import ERROR
from typing import Any, Literal

import psycopg
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from notifier.database import known_migrations, version_problem
from notifier.logs import event
from notifier.metrics import PREFIX, Metrics
from notifier.web.pool import DatabaseAway, Reads
from notifier.web.shared_answers import SharedAnswers

# reset_val is what other sessions of this user begin with; this one has been set to only read.
READINESS = """
select
    pg_is_in_recovery()
    or (
        select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only'
    ) as is_read_only,
    pg_has_role('scooters_ops_writer', 'usage') as may_write,
    array(select scooters_ops.applied_migrations()) as migrations
"""
METRICS = "select name, labels, value from scooters_ops.metrics"

FAMILIES: Mapping[str, tuple[str, Sequence[str]]] = {
    "detection_enabled": ("Whether the config in force has detection enabled.", ()),
    "detection_stalled": ("Whether detection is enabled, and yet passes have stopped.", ()),
    "detection_passes_total": ("Passes of detection, ever.", ()),
    "detection_pass_seconds_total": ("How long all passes took.", ()),
    "detection_inserted_total": ("Notifications that passes inserted.", ()),
    "detection_last_pass_age_seconds": ("How long ago the last pass started.", ()),
    "detection_last_pass_duration_seconds": ("How long the last pass took.", ()),
    "detection_last_pass_missions": ("Missions that the last pass looked at.", ()),
    "detection_last_pass_inserted": ("Notifications that the last pass inserted.", ()),
    "detection_still_due_missions": ("Missions that the last pass left to the next one.", ()),
    "notifications_total": ("Notifications whose recipients were decided, ever.", ("type",)),
    "unplanned_notifications": (
        "Notifications whose recipients nobody has decided yet; 10000: so many or more.",
        (),
    ),
    "unrouted_notifications": (
        "Notifications that no route matched, so that nobody is told; 10000: so many or more.",
        (),
    ),
    "unplanned_oldest_age_seconds": ("Since when the oldest of them waits; 0: none does.", ()),
    "recipients": (
        "Recipients that are not sent yet, by state; sending is leased, blocked needs a person;"
        " 10000: so many or more.",
        ("channel", "state"),
    ),
    "recipients_oldest_age_seconds": (
        "Since when the oldest of them waits; 0: none does.",
        ("channel", "state"),
    ),
    "delivery_stuck": (
        "Whether something has been due for notifier.stuck_after_seconds, and nobody takes it.",
        ("channel",),
    ),
    "long_holds": (
        "Chats and queues that are held for longer than notifier.stuck_after_seconds from now on.",
        ("channel",),
    ),
    "channel_paused": ("Whether the channel refuses us as a whole.", ("channel",)),
    "notifiers": ("Notifiers, by whether they were seen lately.", ("state",)),
}
"""What the view metrics says, by its names: help, and labels. What a newer version's view says
besides, or with other labels, is left to that version."""


class Alive(BaseModel):
    """What /healthz answers."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """What /readyz answers."""

    ready: bool
    problems: list[str] = Field(description="Why callers of /v1 are refused; empty: they are not.")
    warnings: list[str] = Field(description="What needs a person, though callers are served.")


@dataclass(frozen=True, eq=False)  # the registry wants it hashable
class DatabaseMetrics:
    """The rows of the view metrics as Prometheus' families; None: the database gave none."""

    rows: Sequence[Mapping[str, Any]] | None

    def collect(self) -> Iterable[Metric]:
        is_up = self.rows is not None
        help_ = "Whether the database answered this scrape; if not, what it knows is missing."
        yield GaugeMetricFamily(f"{PREFIX}database_up", help_, value=float(is_up))
        values = defaultdict(list)
        for row in self.rows or ():
            if (known := FAMILIES.get(row["name"])) and row["labels"].keys() == set(known[1]):
                values[row["name"]].append(row)
        for name, rows in values.items():
            help_, labels = FAMILIES[name]
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(f"{PREFIX}{name}", help_, labels=labels)
            for row in rows:
                family.add_metric([row["labels"][label] for label in labels], row["value"])
            yield family


def ops_router(
    readiness_reads: Reads, metrics_reads: Reads, metrics: Metrics, api_problem: str | None
) -> APIRouter:
    """Health for those who restart, readiness for those who route, metrics for those who watch.

    api_problem  why this process refuses everything under /v1; None: it does not
    """
    router = APIRouter(tags=["ops"])

    # However many ask, each question is on its way to the database once at a time.
    async def ask_readiness(_: None) -> tuple[list[str], list[str]]:
        return await _of_database(readiness_reads)

    async def ask_metrics(_: None) -> bytes:
        rows: Sequence[Mapping[str, Any]] | None
        try:
            rows = await metrics_reads.rows(METRICS)
        except DatabaseAway:
            rows = None
        except psycopg.Error as error:
            event(ERROR, "bug", part="metrics", reason=error)
            rows = None
        of_database = CollectorRegistry()
        of_database.register(DatabaseMetrics(rows))
        return generate_latest(metrics.registry) + generate_latest(of_database)

    readiness = SharedAnswers(ask_readiness, 0)
    metrics_text = SharedAnswers(ask_metrics, 0)

    @router.get("/healthz")
    async def healthz() -> Alive:
        """The process answers."""
        return Alive()

    @router.get(
        "/readyz",
        responses={503: {"model": Readiness, "description": "problems says what is wrong"}},
    )
    async def readyz(response: Response) -> Readiness:
        """Whether this process can serve the callers of /v1, and nothing else. Detection, delivery
        and the work loop are the business of status and metrics: whoever routes requests must not
        cut callers off because something else has stopped."""
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
        """For Prometheus. Answers without the database too, and says so."""
        text = await metrics_text.get(None)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


async def _of_database(reads: Reads) -> tuple[list[str], list[str]]:
    """Problems and warnings. A database that another version has migrated serves for as long as the
    connections hold, so that an upgrade does not make every process unready at once."""
    try:
        (row,) = await reads.rows(READINESS)
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
    return problems, warnings
