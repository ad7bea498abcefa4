"""What the mission service calls: a handle for each of its SQL functions."""

from __future__ import annotations

import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from logging import WARNING
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.config import ROOT
from notifier.logs import SeldomEvent
from notifier.metrics import Metrics
from notifier.web.client_connections import AUTHORIZED
from notifier.web.pool import Connections
from notifier.web.problems import Problem, described

PREFIX = "/v1/"
LARGEST_BODY_BYTES = 4 * 1024 * 1024


def _mission_schema() -> dict[str, Any]:
    """The function mission_schema(), the one definition, as this version installs it."""
    source = (ROOT / "sql" / "missions" / "mission_schema.sql").read_text("utf-8")
    (schema,) = re.findall(r"return jsonb '(.*?)';", source, re.DOTALL)
    return dict(json.loads(schema))


_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(?::(\d{2})(\.\d+)?)?"
    r"(?:[Zz]|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)",
    re.ASCII,
)


def _moment(value: Any) -> datetime:
    """A moment as RFC 3339 writes it, or as PostgreSQL prints it: 2026-11-24 12:00:00+03. Not a
    number, not even in quotes: whether it counts seconds or milliseconds would be a guess.

    Raises ValueError."""
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            "must be a date and time with its time zone, such as 2026-11-24T12:00:00+03:00"
        )
    day, minute, second, fraction, hours, minutes = found.groups()
    is_leap_second = second == "60"
    text = f"{day}T{minute}:{'59' if is_leap_second else second or '00'}{(fraction or '')[:7]}"
    zone = f"{hours}:{minutes or '00'}" if hours else "+00:00"
    try:
        moment = datetime.fromisoformat(text + zone).astimezone(UTC)
        return moment + timedelta(seconds=is_leap_second)
    except (OverflowError, ValueError):
        raise ValueError("is not a date and time that exists") from None


Identifier = Annotated[
    str,
    Path(
        description="Any characters, percent-encoded where a URL wants it; a slash is %2F.",
        min_length=1,
        max_length=255,
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Of the sender's choice, a new one for each event of a mission: the event is"
        " recorded once, however often it is sent.",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
    ),
]


async def _text_of(request: Request) -> str:
    """The body as it was sent: PostgreSQL reads JSON itself, and then a number or a depth is the
    same here as in psql."""
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
        description="mission_started, point_arrived, point_completed, mission_completed,"
        " mission_cancelled; others are kept and count for nothing."
    )
    point_id: Annotated[str, Field(strict=True)] | None = Field(
        default=None, description="The point; not for what is of the whole mission."
    )
    occurred_at: Annotated[datetime, BeforeValidator(_moment)] | None = Field(
        default=None,
        description="When, with its time zone, as RFC 3339 writes it; by default now.",
    )


class Skipped(BaseModel):
    """What skip answers."""

    skipped: bool = Field(description="false: it was skipped already")


class Created(BaseModel):
    """What creating a mission answers."""

    mission_id: str


class Recorded(BaseModel):
    """What recording an event answers."""

    history_id: int = Field(description="The event's number in the history.")
    counts: bool = Field(
        description="Whether the type opens or closes an interval. false: the event is kept, and"
        " counts for nothing; is the type misspelt?"
    )


def api_router(connections: Connections) -> APIRouter:
    """The handles under /v1, which Guard stands before."""
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
        """The courier skips a job. Safe to repeat: one notification, however often."""
        (row,) = await connections.rows(
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
        """A planned mission with its points and jobs, all or nothing. 409: it exists already."""
        (row,) = await connections.rows(
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
        """Something happened on a mission. 404: no such mission or point. 422 also: the key was
        used for another event."""
        (row,) = await connections.rows(
            "select scooters_ops.record_event_once(%s, %s, %s, %s, %s) as history_id,"
            " scooters_ops.opens_or_closes_interval(%s) as counts",
            (
                *(mission_id, event.type, event.point_id, event.occurred_at, idempotency_key),
                event.type,
            ),
        )
        return Recorded(**row)

    return router


def no_token(token_env: str) -> str:
    """Why everything under /v1 is refused where the secret of that name is missing."""
    return f"no token is configured: the secret {token_env} is missing"


class Guard:
    """Lets nothing of a request under /v1 be read, not even its body, unless it has the token; and
    of a body that is too large no more than that.

    token  None: the secret is missing, and nobody has it
    """

    def __init__(self, app: ASGIApp, token: str | None, token_env: str, metrics: Metrics) -> None:
        self._app = app
        self._token = token
        self._token_env = token_env
        self._metrics = metrics
        self._unauthorized = SeldomEvent(WARNING, "http_unauthorized")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            headers = [value for name, value in scope["headers"] if name == b"authorization"]
            if (problem := self._problem(headers)) is not None:
                if problem.status == HTTPStatus.UNAUTHORIZED:
                    self._metrics.http_unauthorized.inc()
                    peer, _ = scope.get("client") or (None, None)
                    self._unauthorized.happened(peer=peer)
                await problem.response()(scope, receive, send)
                return
            scope.setdefault("state", {})[AUTHORIZED] = True
            receive = _limited(receive)
        await self._app(scope, receive, send)

    def _problem(self, headers: list[bytes]) -> Problem | None:
        if self._token is None:
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, no_token(self._token_env))
        scheme, _, given = b"".join(headers[:1]).partition(b" ")
        is_known = hmac.compare_digest(given.strip(), self._token.encode())
        if scheme.lower() == b"bearer" and is_known and len(headers) == 1:
            return None
        challenge = 'Bearer realm="scooters-ops"' + (', error="invalid_token"' if given else "")
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "this needs the header Authorization: Bearer TOKEN, and the right token",
            headers={"WWW-Authenticate": challenge},
        )


def _limited(receive: Receive) -> Receive:
    left = LARGEST_BODY_BYTES

    async def receive_limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            # The one exception that FastAPI lets through where it reads a body.
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_BODY_BYTES} bytes"
            )
        return message

    return receive_limited
