"""What other services call over HTTP: an endpoint for each of their SQL functions."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Security
from fastapi.security import HTTPBearer
from psycopg.types.json import Jsonb
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import ClientDisconnect

from notifier.config.models import YEAR_SECONDS
from notifier.history import EVENT_TYPES
from notifier.resources import ROOT
from notifier.web.guard import PREFIX
from notifier.web.pool import Pool
from notifier.web.problems import Problem, described
from notifier.web.timestamps import parse_timestamp


def _mission_schema() -> dict[str, Any]:
    """The schema that this version's scooters_ops.mission_schema() returns."""
    source = (ROOT / "sql" / "missions" / "mission_schema.sql").read_text("utf-8")
    (schema,) = re.findall(r"return jsonb '(.*?)';", source, re.DOTALL)
    return dict(json.loads(schema))


Identifier = Annotated[
    str,
    Path(
        description="Any characters, percent-encoded where a URL needs it; a slash is %2F.",
        min_length=1,
        max_length=255,
    ),
]
Token = Annotated[
    str,
    Path(
        description="The token that the message ends with, percent-encoded where a URL needs it.",
        min_length=1,
        max_length=2000,
    ),
]
SilenceId = Annotated[int, Path(description="The number of a silence.", ge=0, lt=2**63)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Chosen by the sender, a new one for each event of a mission: the event is"
        " recorded once, however often it is sent.",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
    ),
]


async def _text_of(request: Request) -> str:
    """The body as it was sent. PostgreSQL parses the JSON, so that numbers and limits are the same
    here as in psql."""
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not UTF-8") from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off") from None


class Event(BaseModel):
    """Something that happened on a mission."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(min_length=1, max_length=255, strict=True)] = Field(
        description=f"{', '.join(EVENT_TYPES)}; other types are kept and have no effect."
    )
    point_id: Annotated[str, Field(strict=True)] | None = Field(
        default=None, description="The point; null for an event of the whole mission."
    )
    occurred_at: Annotated[datetime, BeforeValidator(parse_timestamp)] | None = Field(
        default=None,
        description="When it happened, with a time zone, in the format of RFC 3339; default: now.",
    )


class Skipped(BaseModel):
    """The answer to a skip."""

    skipped: bool = Field(description="false: the job was skipped already")


class Acknowledgement(BaseModel):
    """Who takes care of a notification."""

    model_config = ConfigDict(extra="forbid")

    by: Annotated[str, Field(min_length=1, max_length=200, strict=True)] = Field(
        description="A name: the messages of the notification show it."
    )


class Acknowledged(BaseModel):
    """The answer to an acknowledgement."""

    acknowledged: bool = Field(description="false: somebody has acknowledged it already")


class NewSilence(BaseModel):
    """Which alerts to hold, for how long, and why."""

    model_config = ConfigDict(extra="forbid")

    match: dict[str, Any] = Field(
        description="As in a route of the config: a value or a list of values for each of type,"
        " job_type, mission_id, point_id, performer_id, at (a calendar) or an attribute of the"
        " mission. Not empty."
    )
    duration_seconds: Annotated[
        float, Field(gt=0, le=YEAR_SECONDS, allow_inf_nan=False, strict=True)
    ] = Field(description="At most silences.longest_seconds of the config in force.")
    comment: Annotated[str, Field(min_length=1, max_length=500, strict=True)] = Field(
        description="Why; the messages say it."
    )
    by: Annotated[str, Field(min_length=1, max_length=200, strict=True)] = Field(
        description="Who silences; the messages say it."
    )


class Silenced(BaseModel):
    """The answer to a new silence."""

    silence_id: int
    ends_at: datetime


class ActiveSilence(BaseModel):
    """A silence that holds alerts now."""

    silence_id: int
    match: dict[str, Any]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    alerts_held: int = Field(description="How many alerts wait for its end, one per recipient.")


class Silences(BaseModel):
    """The active silences, those that end first first."""

    silences: list[ActiveSilence]


class Unsilenced(BaseModel):
    """The answer to the end of a silence."""

    ended: bool = Field(description="false: it was over already")


class Created(BaseModel):
    """The answer to a new mission."""

    mission_id: str


class Recorded(BaseModel):
    """The answer to an event."""

    history_id: int = Field(description="The event's number in the history.")
    counts: bool = Field(
        description="Whether the type opens or closes an interval. false: the event is kept and has"
        " no effect; is the type misspelt?"
    )


def api_router(pool: Pool) -> APIRouter:
    """The endpoints under /v1. notifier.web.guard checks the token before they are called."""
    router = APIRouter(
        prefix=PREFIX.rstrip("/"),
        tags=["missions"],
        dependencies=[
            Security(HTTPBearer(auto_error=False, description="The secret http.token_env names."))
        ],
        responses=described(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )

    @router.post(
        "/missions/{mission_id:identifier}/points/{point_id:identifier}"
        "/jobs/{job_id:identifier}/skip",
        responses=described(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )
    async def skip_job(mission_id: Identifier, point_id: Identifier, job_id: Identifier) -> Skipped:
        """Records that the courier skipped a job. Safe to repeat: there is one notification."""
        (row,) = await pool.rows(
            "select scooters_ops.skip_job(%s, %s, %s) as skipped", (mission_id, point_id, job_id)
        )
        return Skipped(**row)

    @router.post(
        "/missions",
        status_code=HTTPStatus.CREATED,
        responses=described(HTTPStatus.CONFLICT),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _mission_schema()}},
            }
        },
    )
    async def create_mission(mission: Annotated[str, Depends(_text_of)]) -> Created:
        """Creates a mission with its points and jobs, all or nothing. 409: it exists already."""
        (row,) = await pool.rows(
            "select scooters_ops.create_mission(%s::jsonb) as mission_id", (mission,)
        )
        return Created(**row)

    @router.post(
        "/missions/{mission_id:identifier}/events",
        status_code=HTTPStatus.CREATED,
        responses=described(HTTPStatus.NOT_FOUND),
    )
    async def record_event(
        mission_id: Identifier, event: Event, idempotency_key: IdempotencyKey = None
    ) -> Recorded:
        """Records an event of a mission. 404: no such mission or point. 422 also: the idempotency
        key was used for another event."""
        (row,) = await pool.rows(
            "select scooters_ops.record_event_once(%s, %s, %s, %s, %s) as history_id,"
            " scooters_ops.opens_or_closes_interval(%s) as counts",
            (
                *(mission_id, event.type, event.point_id, event.occurred_at, idempotency_key),
                event.type,
            ),
        )
        return Recorded(**row)

    @router.post(
        "/notifications/{token:identifier}/acknowledge",
        tags=["notifications"],
        responses=described(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )
    async def acknowledge(token: Token, acknowledgement: Acknowledgement) -> Acknowledged:
        """Records who takes care of a notification: nobody else is alarmed, and its messages show
        the name. Safe to repeat: the first one stays. 409: it is resolved already."""
        (row,) = await pool.rows(
            "select scooters_ops.acknowledge(%s, %s) as acknowledged",
            (token, acknowledgement.by),
            role="scooters_ops_operator",
        )
        return Acknowledged(**row)

    @router.get("/silences", tags=["silences"])
    async def silences() -> Silences:
        """Who silenced what until when: the silences that hold alerts now."""
        rows = await pool.rows(
            "select silence_id, match, starts_at, ends_at, comment, created_by, alerts_held"
            " from scooters_ops.silence_status where is_active order by ends_at, silence_id",
            role="scooters_ops_operator",
        )
        return Silences(silences=[ActiveSilence(**row) for row in rows])

    @router.post("/silences", tags=["silences"], status_code=HTTPStatus.CREATED)
    async def silence(new: NewSilence) -> Silenced:
        """Holds the alerts that match until the end. What has resolved by then is never sent; the
        rest goes out and says until when it was silenced, by whom and why."""
        duration = timedelta(seconds=new.duration_seconds)
        (row,) = await pool.rows(
            "select scooters_ops.silence(%s, %s, %s, %s) as silence_id, now() + %s as ends_at",
            (Jsonb(new.match), duration, new.comment, new.by, duration),
            role="scooters_ops_operator",
        )
        return Silenced(**row)

    @router.delete(
        "/silences/{silence_id:identifier}",
        tags=["silences"],
        responses=described(HTTPStatus.NOT_FOUND),
    )
    async def unsilence(
        silence_id: SilenceId,
        by: Annotated[str, Query(description="Who ends it.", min_length=1, max_length=200)],
    ) -> Unsilenced:
        """Ends a silence early: what it holds goes out now, unless another silence holds it. Safe
        to repeat."""
        (row,) = await pool.rows(
            "select scooters_ops.unsilence(%s, %s) as ended",
            (silence_id, by),
            role="scooters_ops_operator",
        )
        return Unsilenced(**row)

    return router
