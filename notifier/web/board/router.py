"""The board's pages over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, Generic, TypeAlias
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from notifier.web.board.answers import Board, MissionStory
from notifier.web.board.axis import common_axis, own_axis
from notifier.web.board.filters import Filters
from notifier.web.board.links import Links
from notifier.web.board.pages import STATIC_TYPES, Pages
from notifier.web.pool import DatabaseAway, RightLacking
from notifier.web.shared_answers import Found, SharedAnswers

Rows: TypeAlias = Callable[..., Awaitable[list[dict[str, Any]]]]
"""(query, parameters) -> rows. Raises DatabaseAway where the database does not answer."""

REFRESH_SECONDS: Final = 3
"""How often an open board asks for a new snapshot, and how long a snapshot is shared."""

BOARD: Final = (
    "select scooters_ops.board(of_type => %s::text::scooters_ops.monitoring_notification_type,"
    " of_city => %s, of_performer => %s, only_overdue => %s) as answer, "
)
MISSION: Final = (
    "select scooters_ops.board_mission(%s) as answer,"
    " (select coalesce(json_agg(found order by found.subject, found.n), '[]')"
    " from scooters_ops.why_facts(%s) as found) as reasons, "
)
CHANNELS: Final = "(select config -> 'channels' from scooters_ops.config_in_force) as channels"
MISSIONS: Final = "/board/missions/"

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


@dataclass(frozen=True)
class Live:
    """The part of a page that changes; compressed once for everybody who fetches it."""

    html: Markup
    compressed: bytes

    @classmethod
    def of(cls, html: Markup) -> Live:
        return cls(html, gzip.compress(html.encode(), compresslevel=5))


@dataclass(frozen=True)
class Snapshot(Generic[Found]):
    """An answer of the database, and its HTML in each locale, rendered once for everybody."""

    answer: Found
    links: Links
    _parts: dict[str, Live] = field(default_factory=dict)
    _rendering: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def live(self, locale: str, render: Callable[[], Markup]) -> Live:
        """The live part in a locale; `render` runs in a thread, so that the event loop goes on."""
        async with self._rendering:
            if locale not in self._parts:
                self._parts[locale] = await asyncio.to_thread(lambda: Live.of(render()))
        return self._parts[locale]


def preferred_locale(header: str, known: Iterable[str], default: str) -> str:
    """The known locale that an Accept-Language header prefers."""
    choices = set(known)
    preferences = []
    for part in header.split(","):
        tag, _, parameters = part.strip().partition(";")
        language = tag.partition("-")[0].lower()
        weight = parameters.strip().removeprefix("q=") or "1"
        try:
            preferences.append((float(weight), default if language == "*" else language))
        except ValueError:
            continue
    preferences = [(weight, language) for weight, language in preferences if weight > 0]
    preferences.sort(key=lambda each: -each[0])
    return next((language for _, language in preferences if language in choices), default)


def board_router(
    rows: Rows, locale: str, time_zone: tzinfo, *, refresh_seconds: float = REFRESH_SECONDS
) -> APIRouter:
    """The board's pages.

    rows    asks the database, as a member of scooters_ops_analyst
    locale  the language where neither the URL nor the browser asks for one that we have
    """
    pages = Pages(time_zone, refresh_seconds)
    links = Links({})

    def links_by(channels: Mapping[str, Any] | None) -> Links:
        """The links by these settings, which are read again only where they have changed."""
        nonlocal links
        if links.channels != (channels or {}):
            links = Links(channels or {})
        return links

    async def ask_board(filters: Filters) -> Snapshot[Board]:
        (row,) = await rows(BOARD + CHANNELS, filters.parameters())
        return Snapshot(Board.model_validate(row["answer"]), links_by(row.get("channels")))

    async def ask_mission(mission_id: str) -> Snapshot[MissionStory] | None:
        (row,) = await rows(MISSION + CHANNELS, (mission_id, mission_id))
        if not row["answer"]:
            return None
        story = MissionStory.model_validate(row["answer"] | {"reasons": row.get("reasons", [])})
        return Snapshot(story, links_by(row.get("channels")))

    boards = SharedAnswers(ask_board, refresh_seconds)
    stories = SharedAnswers(ask_mission, refresh_seconds)

    def locale_of(request: Request) -> str:
        asked = request.query_params.get("lang")
        if asked in pages.texts:
            return str(asked)
        header = request.headers.get("accept-language", "")
        return preferred_locale(header, pages.texts, locale)

    def respond(request: Request, live: Live, status: int = 200, **facts: Any) -> Response:
        """The live part alone where the request asks for the fragment, otherwise a whole page."""
        chosen = locale_of(request)
        headers = HEADERS | {
            "Cache-Control": "no-store",
            "Content-Language": chosen,
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
                chosen,
                "page",
                live=live.html,
                filters=filters,
                path=request.url.path,
                others={
                    other: filters.query(lang=other) for other in pages.texts if other != chosen
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
    async def redirect_to_board() -> Response:
        return RedirectResponse("/board", headers=HEADERS)

    @router.get("/board")
    async def show_board(request: Request) -> Response:
        filters = Filters.of(request.query_params)
        snapshot = await answered(request, boards.get(filters), is_board=True)
        if isinstance(snapshot, Response):
            return snapshot
        board: Board = snapshot.answer
        chosen = locale_of(request)
        live = await snapshot.live(
            chosen,
            lambda: pages.render(
                chosen,
                "board",
                board=board,
                axis=common_axis(board.missions, board.as_of),
                now=board.as_of,
                filters=filters,
                link=snapshot.links.link,
            ),
        )
        cities = {str(each.attributes.get("city") or "") for each in board.missions} - {""}
        return respond(request, live, is_board=True, cities=sorted(cities))

    @router.get(MISSIONS + "{mission_id:path}")
    async def show_mission(request: Request) -> Response:
        # Not the path parameter: only the raw path tells an encoded slash from a plain one.
        mission_id = unquote(request.scope["raw_path"].decode().removeprefix(MISSIONS))
        chosen = locale_of(request)
        snapshot = None
        if "\0" not in mission_id:
            snapshot = await answered(request, stories.get(mission_id), is_board=False)
        if isinstance(snapshot, Response):
            return snapshot
        if snapshot is None:
            unknown = pages.render(chosen, "unknown", mission_id=mission_id)
            return respond(request, Live.of(unknown), 404)
        story: MissionStory = snapshot.answer
        live = await snapshot.live(
            chosen,
            lambda: pages.render(
                chosen,
                "mission",
                mission=story,
                axis=own_axis(story),
                now=story.as_of,
                link=snapshot.links.link,
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
