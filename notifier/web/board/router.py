"""The board: which couriers are late or about to be, who was told of what, and why.

    /                             leads to the board
    /board                        the worst few hundred active missions and the latest notifications
    /board/missions/MISSION       everything about one of them: "why was I paged?"
    /board/static/FILE            the style, the script and the icon

The pages take `fragment=1` for the part that changes, which the script fetches every few
seconds, and `lang`. What they show comes from
scooters_ops.board() and scooters_ops.board_mission(). Whoever asks the same question while an
answer is fresh gets the same answer: a hundred open boards cost the database one query a refresh.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import partial
from logging import ERROR
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeAlias
from urllib.parse import quote, unquote, urlencode
from zoneinfo import ZoneInfo

import jinja2
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from notifier.logs import event
from notifier.templates import LOCALES, NOTIFICATION_TYPES, Locale, clock, duration, number
from notifier.web.pool import DatabaseAway, RightLacking
from notifier.web.shared_answers import Found, SharedAnswers

Rows: TypeAlias = Callable[..., Awaitable[list[dict[str, Any]]]]
"""(query, parameters) -> rows. Raises DatabaseAway where there is no answer."""

REFRESH_SECONDS: Final = 3
"""How often an open board asks for a new picture, and for how long an answer serves everybody."""

BOARD: Final = (
    "select scooters_ops.board(of_type => %s::text::scooters_ops.monitoring_notification_type,"
    " of_city => %s, of_performer => %s, only_overdue => %s) as answer"
)
MISSION: Final = "select scooters_ops.board_mission(%s) as answer"

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "connect", "img")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
STATIC_TYPES: Final = {
    "board.css": "text/css; charset=utf-8",
    "board.js": "text/javascript; charset=utf-8",
    "board.svg": "image/svg+xml",
}
FOLDER: Final = Path(__file__).parent
MISSIONS: Final = "/board/missions/"
LONGEST_FILTER: Final = 200


# --- What the database answers ------------------------------------------------------------------


class Answer(BaseModel):
    """A part of what the database answers: durations are seconds there, moments ISO 8601."""

    model_config = ConfigDict(frozen=True)


def _readable(model: type[Answer]) -> BeforeValidator:
    """Of a list, those that can be shown: one that cannot be is logged, and does not keep anybody
    from seeing the others."""

    def readable(rows: list[dict[str, Any]]) -> list[Answer]:
        answers = []
        for row in rows:
            try:
                answers.append(model.model_validate(row))
            except ValidationError as error:
                reason = "; ".join(f"{each['loc']}: {each['msg']}" for each in error.errors())
                event(ERROR, "left_out", mission=row.get("mission_id"), reason=reason)
        return answers

    return BeforeValidator(readable)


class Interval(Answer):
    """Time at a point, or on the way to it."""

    type: str
    point_id: str
    position: int | None
    started_at: datetime
    finished_at: datetime | None
    eta: timedelta | None
    factor: float | None
    limit: timedelta | None
    deadline: datetime | None
    elapsed: timedelta
    is_overdue: bool

    @property
    def over(self) -> timedelta | None:
        """By how much it is over its limit; negative: so much is left; None: it has no limit."""
        return None if self.limit is None else self.elapsed - self.limit


class Mission(Answer):
    """A mission, and where its courier is and was."""

    mission_id: str
    performer_id: str
    attributes: dict[str, Any]
    intervals: list[Interval]

    @property
    def current(self) -> Interval | None:
        """The interval that still goes on."""
        last = self.intervals[-1] if self.intervals else None
        return last if last and last.finished_at is None else None


class BoardMission(Mission):
    """A mission as the board shows it."""

    points_total: int


class Recipient(Answer):
    """Who is to be told, and how far that is."""

    channel: str
    address: str
    state: str
    attempts: int
    error: str | None
    reference: str | None
    since: datetime
    sent_at: datetime | None


class Facts(Answer):
    """What a notification remembers of its detection; see detect_timeouts_of and skip_job. What is
    not of the form expected, be it a newer version's, is left out."""

    performer_id: str | None = None
    attributes: dict[str, Any] = {}
    started_at: datetime | None = None
    eta: timedelta | None = Field(None, alias="eta_seconds")
    factor: float | None = None
    minimum: timedelta | None = Field(None, alias="minimum_seconds")
    limit: timedelta | None = Field(None, alias="limit_seconds")
    elapsed: timedelta | None = Field(None, alias="elapsed_seconds")
    job_type: str | None = None

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_nothing(
        cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """What cannot be shown is left out, and takes no other notification off the board."""
        try:
            return validate(value)
        except ValidationError:
            return cls.model_fields[info.field_name or ""].get_default()


class Notification(Answer):
    """What was noticed."""

    token: str
    type: str
    mission_id: str
    point_id: str | None
    job_id: str | None
    created_at: datetime
    is_planned: bool
    is_unrouted: bool
    details: Facts
    recipients: list[Recipient]


class Detection(Answer):
    """The row of the view detection_status, as far as it is shown."""

    is_enabled: bool
    is_stalled: bool
    last_pass_at: datetime | None


class Delivery(Answer):
    """A row of the view delivery_status, as far as it is shown."""

    channel: str | None
    state: str
    recipients: int
    oldest_created_at: datetime
    is_stuck: bool
    is_lower_bound: bool


class Hold(Answer):
    """A channel that refuses us as a whole."""

    channel: str
    reason: str | None


class Board(Answer):
    """What scooters_ops.board() returns."""

    as_of: datetime
    active: int
    matching: int
    overdue: int
    may_be_late: int
    missions: Annotated[list[BoardMission], _readable(BoardMission)]
    notifications: Annotated[list[Notification], _readable(Notification)]
    detection: Detection
    delivery: list[Delivery]
    holds: list[Hold]


class Event(Answer):
    """A row of the history."""

    type: str
    point_id: str | None
    occurred_at: datetime


class Job(Answer):
    """What is to be done at a point."""

    job_id: str
    type: str
    status: str


class Point(Answer):
    """A stop of the plan; eta is the way to it."""

    point_id: str
    position: int
    eta: timedelta
    jobs: list[Job]


class MissionStory(Mission):
    """What scooters_ops.board_mission() returns."""

    as_of: datetime
    status: str
    events: list[Event]
    points: list[Point]
    notifications: Annotated[list[Notification], _readable(Notification)]


# --- The common axis of time --------------------------------------------------------------------

SPANS: Final = tuple(timedelta(minutes=minutes) for minutes in (30, 60, 120, 240, 480, 1440))
TICKS: Final = tuple(timedelta(minutes=m) for m in (5, 10, 15, 30, 60, 120, 240, 480, 1440))


@dataclass(frozen=True)
class Axis:
    """Moments become places from 0 to 100, percent of the width."""

    start: datetime
    now: datetime
    end: datetime

    def x(self, moment: datetime) -> float:
        """Where a moment lies; what is beyond an end is at that end."""
        share = (moment - self.start) / (self.end - self.start)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def width(self, since: datetime, until: datetime) -> float:
        """How wide a stretch of time is."""
        return round(max(self.x(until) - self.x(since), 0.0), 2)

    def holds(self, moment: datetime | None) -> bool:
        """Whether a moment can be shown."""
        return moment is not None and self.start <= moment <= self.end

    def ticks(self, time_zone: tzinfo) -> list[datetime]:
        """At most six round moments, by the zone's clock."""
        length = self.end - self.start
        step = next((tick for tick in TICKS if length / tick <= 6), length / 6)
        midnight = self.start.astimezone(time_zone).replace(hour=0, minute=0, second=0)
        midnight = midnight.replace(microsecond=0)
        first = math.ceil((self.start - midnight) / step)
        ticks = (midnight + step * n for n in range(first, first + 8))
        margin = length / 40
        return [tick for tick in ticks if self.start + margin <= tick <= self.end - margin]


def common_axis(missions: Iterable[Mission], now: datetime) -> Axis:
    """The shortest of a few spans in which nine of ten present intervals have begun."""
    ages = sorted(now - mission.current.started_at for mission in missions if mission.current)
    typical = ages[(len(ages) - 1) * 9 // 10] if ages else SPANS[0]
    span = next((span for span in SPANS if typical <= span), SPANS[-1])
    return Axis(now - span, now, now + span / 4)


def own_axis(mission: MissionStory) -> Axis:
    """The whole of a mission: to its end, or a little beyond now and its limit."""
    now = mission.as_of
    if not mission.intervals:
        return common_axis((), now)
    current = mission.current
    start = mission.intervals[0].started_at
    end = max(interval.finished_at or now for interval in mission.intervals)
    if current and current.deadline:
        # A limit far away would leave nothing to see of what has happened.
        end = max(end, min(current.deadline, now + (now - start)))
    margin = max((end - start) / 20, timedelta(minutes=1))
    return Axis(start - margin, now, end + margin)


# --- Pages --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filters:
    """Which missions and notifications are asked for; empty: all."""

    type: str = ""
    city: str = ""
    performer: str = ""
    is_overdue: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Filters:
        """Those of a URL's query. What is no filter counts for nothing."""
        texts = {
            name: asked.get(name, "").replace("\0", "").strip()[:LONGEST_FILTER]
            for name in ("type", "city", "performer")
        }
        if texts["type"] not in NOTIFICATION_TYPES:
            texts["type"] = ""
        return cls(**texts, is_overdue=asked.get("overdue") == "1")

    def parameters(self) -> tuple[Any, ...]:
        """In the order of BOARD."""
        return (self.type or None, self.city or None, self.performer or None, self.is_overdue)

    def query(self, **others: str) -> str:
        """The query of a URL with these filters and whatever else."""
        own = {"type": self.type, "city": self.city, "performer": self.performer}
        own["overdue"] = "1" if self.is_overdue else ""
        return urlencode({key: value for key, value in (own | others).items() if value})


@dataclass(frozen=True)
class Live:
    """The part of a page that changes; compressed once for all who fetch it."""

    html: Markup
    compressed: bytes

    @classmethod
    def of(cls, html: Markup) -> Live:
        return cls(html, gzip.compress(html.encode(), compresslevel=5))


@dataclass(frozen=True)
class Picture(Generic[Found]):
    """An answer, and what shows it in each locale, made once for all who ask."""

    answer: Found
    _parts: dict[str, Live] = field(default_factory=dict)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def live(self, locale: str, render: Callable[[], Markup]) -> Live:
        """That part in a locale; `render` makes it, beside whatever else the process does."""
        async with self._making:
            if locale not in self._parts:
                self._parts[locale] = await asyncio.to_thread(lambda: Live.of(render()))
        return self._parts[locale]


class Pages:
    """The templates of the board, in every locale.

    Raises OSError or a ValueError where their texts cannot be read.
    """

    def __init__(self, time_zone: tzinfo, refresh_seconds: float) -> None:
        self.texts: dict[str, dict[str, str]] = {
            locale: json.loads((FOLDER / "texts" / f"{locale}.json").read_text("utf-8"))
            for locale in LOCALES
        }
        self.static = {name: (FOLDER / "static" / name).read_bytes() for name in STATIC_TYPES}
        version = hashlib.sha256(b"".join(self.static.values())).hexdigest()[:12]
        self._environments = {locale: self._environment(locale, time_zone) for locale in LOCALES}
        for environment in self._environments.values():
            environment.globals.update(version=version, refresh_seconds=refresh_seconds)

    def _environment(self, locale: str, time_zone: tzinfo) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        words = LOCALES[locale]
        environment.filters.update(
            duration=partial(duration, locale=words),
            number=partial(number, locale=words),
            count=partial(_count, locale=words),
            clock=partial(_clock, locale=words, time_zone=time_zone),
            segment=partial(quote, safe=""),
        )
        environment.globals.update(
            t=self.texts[locale],
            locale=locale,
            locales=list(LOCALES),
            time_zone=time_zone,
            types=NOTIFICATION_TYPES,
        )
        # Read once: this process may outlive an upgrade of its files.
        for name in environment.list_templates(["j2"]):
            environment.get_template(name)
        return environment

    def render(self, locale: str, template: str, **facts: Any) -> Markup:
        """A template's text, which is HTML."""
        found = self._environments[locale].get_template(f"{template}.html.j2")
        return Markup(found.render(facts))  # noqa: S704  # Autoescape has done its work.


def _count(value: int, *, locale: Locale) -> str:
    """`100,000`, in Russian `100 000`."""
    return f"{value:,}".replace(",", "," if locale.decimal_point == "." else "\u00a0")


def _clock(
    value: datetime,
    after: datetime | None = None,
    *,
    seconds: bool = False,
    locale: Locale,
    time_zone: tzinfo,
) -> str:
    """Wall time with date and offset, or without where they are those of `after`; see clock."""
    try:
        text = clock(value, after, locale=locale, time_zone=time_zone)
        local = value.astimezone(time_zone)
    except OverflowError:  # The last hours of the year 9999: phones' clocks are known for such.
        return value.isoformat()
    return text.replace(f"{local:%H:%M}", f"{local:%H:%M:%S}", 1) if seconds else text


def preferred_locale(header: str, known: Iterable[str], default: str) -> str:
    """What an Accept-Language header likes best of the known ones."""
    choices = set(known)
    liked = []
    for part in header.split(","):
        tag, _, parameters = part.strip().partition(";")
        language = tag.partition("-")[0].lower()
        weight = parameters.strip().removeprefix("q=") or "1"
        try:
            liked.append((float(weight), default if language == "*" else language))
        except ValueError:
            continue
    liked = [(weight, language) for weight, language in liked if weight > 0]
    liked.sort(key=lambda each: -each[0])
    return next((language for _, language in liked if language in choices), default)


def board_router(
    rows: Rows,
    locale: str,
    time_zone: ZoneInfo,
    *,
    refresh_seconds: float = REFRESH_SECONDS,
) -> APIRouter:
    """The board's pages. `rows` asks the database, as a member of scooters_ops_analyst; `locale` is
    that of whoever asks for none."""
    pages = Pages(time_zone, refresh_seconds)

    async def ask_board(filters: Filters) -> Picture[Board]:
        (row,) = await rows(BOARD, filters.parameters())
        return Picture(Board.model_validate(row["answer"]))

    async def ask_mission(mission_id: str) -> Picture[MissionStory] | None:
        (row,) = await rows(MISSION, (mission_id,))
        found = row["answer"]
        return Picture(MissionStory.model_validate(found)) if found else None

    boards = SharedAnswers(ask_board, refresh_seconds)
    stories = SharedAnswers(ask_mission, refresh_seconds)

    def locale_of(request: Request) -> str:
        asked = request.query_params.get("lang")
        if asked in pages.texts:
            return str(asked)
        header = request.headers.get("accept-language", "")
        return preferred_locale(header, pages.texts, locale)

    def respond(request: Request, live: Live, status: int = 200, **facts: Any) -> Response:
        """The page around the part that changes, or that part alone."""
        spoken = locale_of(request)
        headers = HEADERS | {
            "Cache-Control": "no-store",
            "Content-Language": spoken,
            "Vary": "Accept-Language, Accept-Encoding",
        }
        text: str | bytes = live.html
        if request.query_params.get("fragment") == "1":
            if "gzip" in request.headers.get("accept-encoding", ""):
                text = live.compressed
                headers["Content-Encoding"] = "gzip"
        else:
            filters = Filters.of(request.query_params)
            text = pages.render(
                spoken,
                "page",
                live=live.html,
                filters=filters,
                path=request.url.path,
                others={
                    other: filters.query(lang=other) for other in pages.texts if other != spoken
                },
                **{"cities": (), "is_board": False, "title": None, **facts},
            )
        return HTMLResponse(text, status, headers)

    def away(request: Request, reason: str, *, is_board: bool) -> Response:
        live = pages.render(locale_of(request), "away", reason=reason)
        response = respond(request, Live.of(live), 503, is_board=is_board)
        response.headers["Retry-After"] = str(math.ceil(refresh_seconds))
        return response

    async def answered(request: Request, answer: Awaitable[Found], *, is_board: bool) -> Any:
        """The answer, or the page that says why there is none."""
        try:
            return await answer
        except RightLacking:
            return away(request, "role", is_board=is_board)
        except DatabaseAway:
            return away(request, "database", is_board=is_board)

    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def lead_to_board() -> Response:
        return RedirectResponse("/board", headers=HEADERS)

    @router.get("/board")
    async def show_board(request: Request) -> Response:
        filters = Filters.of(request.query_params)
        picture = await answered(request, boards.get(filters), is_board=True)
        if isinstance(picture, Response):
            return picture
        board: Board = picture.answer
        spoken = locale_of(request)
        live = await picture.live(
            spoken,
            lambda: pages.render(
                spoken,
                "board",
                board=board,
                axis=common_axis(board.missions, board.as_of),
                now=board.as_of,
                filters=filters,
            ),
        )
        cities = {str(each.attributes.get("city") or "") for each in board.missions} - {""}
        return respond(request, live, is_board=True, cities=sorted(cities))

    @router.get(MISSIONS + "{mission_id:path}")
    async def show_mission(request: Request) -> Response:
        # As it was sent, whoever has decoded the path that was routed by.
        mission_id = unquote(request.scope["raw_path"].decode().removeprefix(MISSIONS))
        spoken = locale_of(request)
        picture = None
        if "\0" not in mission_id:
            picture = await answered(request, stories.get(mission_id), is_board=False)
        if isinstance(picture, Response):
            return picture
        if picture is None:
            unknown = pages.render(spoken, "unknown", mission_id=mission_id)
            return respond(request, Live.of(unknown), 404)
        story: MissionStory = picture.answer
        live = await picture.live(
            spoken,
            lambda: pages.render(
                spoken, "mission", mission=story, axis=own_axis(story), now=story.as_of
            ),
        )
        title = str(story.attributes.get("performer_name") or story.performer_id)
        return respond(request, live, title=title)

    @router.get("/board/static/{name}")
    async def show_static(name: str) -> Response:
        if name not in pages.static:
            return Response(status_code=404, headers=HEADERS)
        headers = HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(pages.static[name], media_type=STATIC_TYPES[name], headers=headers)

    return router
