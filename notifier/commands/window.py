"""--since and --until: from when until when a command looks."""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifier.config import ConfigError
from notifier.silences import duration_of

if TYPE_CHECKING:
    from notifier.database.statements import Database

DEFAULT_SINCE: Final = "7d"


def add_window(parser: argparse._ActionsContainer) -> None:
    """The options --since and --until, for window() and window_by()."""
    parser.add_argument(
        "--since",
        type=_bound,
        default=DEFAULT_SINCE,
        metavar="TIME",
        help="from when: 7d, 12h or 90m before now, or 2026-01-31 or 2026-01-31T23:00+03:00;"
        " default: %(default)s",
    )
    parser.add_argument(
        "--until", type=_bound, metavar="TIME", help="until when, exclusive; default: now"
    )


async def window_by(database: Database, options: argparse.Namespace) -> tuple[datetime, datetime]:
    """window(), with dates by the time zone of the config in force, as its days are.

    Raises ConfigError.
    """
    return window(options, await time_zone_of(database))


async def time_zone_of(database: Database) -> str:
    """The time zone of the config in force."""
    in_force = await database.config()
    return "UTC" if in_force is None else str(in_force[1]["notifier"]["time_zone"])


def window(
    options: argparse.Namespace, time_zone: str = "UTC", now: datetime | None = None
) -> tuple[datetime, datetime]:
    """(since, until) in UTC: from since, inclusive, until until, exclusive. A date, or a time
    without an offset, is by this time zone.

    Raises ConfigError if since is not before until.
    """
    now = datetime.now(UTC) if now is None else now
    since = _time(options.since, time_zone, now)
    until = now if options.until is None else _time(options.until, time_zone, now)
    if since >= until:
        shown = [time.isoformat(timespec="seconds") for time in (since, until)]
        raise ConfigError([f"--since: {shown[0]} is not before --until, {shown[1]}"])
    return since, until


def _time(bound: datetime | timedelta, time_zone: str, now: datetime) -> datetime:
    try:
        if isinstance(bound, timedelta):
            return now - bound
        aware = bound if bound.tzinfo else bound.replace(tzinfo=_zone(time_zone))
        return aware.astimezone(UTC)
    except OverflowError:
        raise ConfigError([f"--since, --until: {bound} is out of range"]) from None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            [f"notifier.time_zone: this machine does not know {name!r}: give times an offset"]
        ) from None


def _bound(text: str) -> Any:
    """A duration before now, or a time, which has a time zone only if the text names one."""
    with suppress(ValueError):
        return duration_of(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "must be a duration before now such as 7d, 12h or 90m, at most a year, or a date or a"
            " time such as 2026-01-31 or 2026-01-31T23:00+03:00"
        ) from None
