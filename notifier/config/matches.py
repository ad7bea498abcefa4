"""Calendars, overrides and matches that mean nothing. The database's match_problem() says the same
in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from notifier.config.models import Config, MatchValue, Scalar
from notifier.config.problems import joined, key_shown
from notifier.notification_types import NOTIFICATION_TYPES, TIMEOUT_TYPES


def match_problems(config: Config) -> Iterator[str]:
    """One line for each, with its path."""
    for name in sorted(config.calendars):
        calendar = config.calendars[name]
        if calendar.from_ == calendar.to:
            path = joined("calendars", key_shown(name))
            yield f'{path}.to: must differ from "from"; a whole day is from 00:00 to 24:00'
    names = [override.name for override in config.detection.overrides]
    for n, override in enumerate(config.detection.overrides):
        path = f"detection.overrides[{n}]"
        if (earlier := names.index(override.name)) < n:
            yield f"{path}.name: is that of detection.overrides[{earlier}], too"
        if "job_type" in override.match:
            yield f"{path}.match.job_type: an interval has no job type"
        yield from _bad_choices(config, f"{path}.match", override.match, sorted(TIMEOUT_TYPES))
    for n, route in enumerate(config.routes):
        yield from _bad_choices(config, f"routes[{n}].match", route.match, NOTIFICATION_TYPES)


def _bad_choices(
    config: Config, path: str, match: Mapping[str, MatchValue], types: Sequence[str]
) -> Iterator[str]:
    for place, calendar in _choices(match, "at"):
        if not isinstance(calendar, str) or calendar not in config.calendars:
            yield f"{path}.{place}: must name one of calendars"
    for place, type in _choices(match, "type"):
        if type not in types:
            yield f"{path}.{place}: must be one of {', '.join(types)}"


def _choices(match: Mapping[str, MatchValue], key: str) -> Iterator[tuple[str, Scalar]]:
    """The values of a key of a match, with their places."""
    wanted = match.get(key, [])
    if not isinstance(wanted, list):
        yield key, wanted
        return
    yield from ((f"{key}[{n}]", value) for n, value in enumerate(wanted))
