"""Routes, overrides and calendars that are valid but probably not what was meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from notifier.config.models import Config, MatchValue, Override, Route, Scalar
from notifier.config.problems import joined, key_shown
from notifier.notification_types import JOB_TYPES, NOTIFICATION_TYPES, TIMEOUT_TYPES

Match: TypeAlias = Mapping[str, MatchValue]
TEXT_KEYS = ("job_type", "mission_id", "point_id", "performer_id")
"""Keys of a match whose values are always text."""


def warnings(config: Config) -> list[str]:
    """One line for each route, override, calendar, level or value that never has an effect, with
    its path, and one for the types whose notifications may match no route."""
    matches = [*_matches(config)]
    found = [*_unreachable([match for match in matches if match.is_route])]
    of_every = [matched_types(route) for route in config.routes if route.match.keys() <= {"type"}]
    if missed := set(NOTIFICATION_TYPES).difference(*of_every):
        found.append(
            f"routes: no route matches every {', '.join(sorted(missed))}: a notification that"
            " matches no route reaches nobody and needs a person; end the routes with"
            ' {"match": {}, "recipients": [...]}'
        )
    found += _unreachable([match for match in matches if not match.is_route])
    found += _levels_with_the_alert(config)
    found += _values_that_are_no_text(matches)
    found += _unused_calendars(config, matches)
    return found


@dataclass(frozen=True)
class _Placed:
    """The match of a route or an override.

    types      the notification types that it can match
    is_final   nothing after it is asked if it matches
    """

    path: str
    match: Match
    types: Collection[Scalar]
    is_final: bool
    is_route: bool


def _matches(config: Config) -> Iterator[_Placed]:
    for n, route in enumerate(config.routes):
        types = matched_types(route)
        yield _Placed(f"routes[{n}]", route.match, types, not route.continue_, is_route=True)
    for n, override in enumerate(config.detection.overrides):
        types = _types(override.match, TIMEOUT_TYPES)
        path = f"detection.overrides[{n}]"
        yield _Placed(path, override.match, types, is_final=True, is_route=False)


def _unreachable(matches: Sequence[_Placed]) -> Iterator[str]:
    for n, match in enumerate(matches):
        deciding = {type: _first_deciding(matches[:n], match, type) for type in match.types}
        if not deciding:
            yield f"{match.path}: never matches: only {', '.join(sorted(JOB_TYPES))} has a job_type"
        elif None not in deciding.values():
            earlier = sorted({place for place in deciding.values() if place is not None})
            paths = " and ".join(matches[place].path for place in earlier)
            decide = "decides" if len(earlier) == 1 else "decide"
            yield f"{match.path}: never reached: {paths} {decide} everything it matches"


def _first_deciding(earlier: Sequence[_Placed], match: _Placed, type: Scalar) -> int | None:
    """The index of the first of the earlier matches that decides everything of this type that
    `match` holds for; None if there is none."""
    for place, other in enumerate(earlier):
        if other.is_final and type in other.types and _implies(match.match, other.match):
            return place
    return None


def _implies(match: Match, other: Match) -> bool:
    """Whether `other` holds wherever `match` does, types aside. A calendar is only known to cover
    itself."""
    return all(
        key in match and _choices(match[key]) <= _choices(wanted)
        for key, wanted in other.items()
        if key != "type"
    )


def _exclude(match: Match, other: Match) -> bool:
    """Whether the two surely never hold together, types aside. Calendars may overlap."""
    return any(
        key in match and _choices(match[key]).isdisjoint(_choices(wanted))
        for key, wanted in other.items()
        if key not in ("type", "at")
    )


def matched_types(route: Route) -> set[Scalar]:
    """The notification types that the route can match."""
    types = _types(route.match, NOTIFICATION_TYPES)
    return types & JOB_TYPES if "job_type" in route.match else types


def _types(match: Match, possible: Collection[Scalar]) -> set[Scalar]:
    if "type" not in match:
        return set(possible)
    return {type for _, type in _choices(match["type"])}


def _choices(wanted: MatchValue) -> set[tuple[bool, Scalar]]:
    """The values of a match. As in JSON, true and 1 are different."""
    return {(isinstance(value, bool), value) for value in _listed(wanted)}


def _listed(wanted: MatchValue) -> Sequence[Scalar]:
    return wanted if isinstance(wanted, list) else [wanted]


def _levels_with_the_alert(config: Config) -> Iterator[str]:
    """Levels at a factor that some override's limit reaches or exceeds."""
    for r, route in enumerate(config.routes):
        for m, level in enumerate(route.escalate):
            if level.at_factor is None:
                continue
            path = f"routes[{r}].escalate[{m}].at_factor"
            for n, override in enumerate(config.detection.overrides):
                types = _types_with_factor_from(level.at_factor, override, config)
                both = types & matched_types(route) & _types(override.match, TIMEOUT_TYPES)
                if both and not _exclude(route.match, override.match):
                    factors = " and ".join(
                        f"detection.overrides[{n}].timeouts.{type}.factor"
                        for type in sorted(map(str, both))
                    )
                    yield (
                        f"{path}: is not more than {factors}: where that override holds, this"
                        " level comes together with the alert"
                    )


def _types_with_factor_from(factor: float, override: Override, config: Config) -> set[Scalar]:
    """The enabled types for which the override sets at least this factor."""
    found: set[Scalar] = set()
    for type in TIMEOUT_TYPES:
        changed = getattr(override.timeouts, type)
        if (
            getattr(config.detection.timeouts, type).enabled
            and changed is not None
            and changed.factor is not None
            and changed.factor >= factor
        ):
            found.add(type)
    return found


def _values_that_are_no_text(matches: Sequence[_Placed]) -> Iterator[str]:
    for match in matches:
        for key in TEXT_KEYS:
            wanted = match.match.get(key, [])
            for n, value in enumerate(_listed(wanted)):
                if not isinstance(value, str):
                    place = f"{key}[{n}]" if isinstance(wanted, list) else key
                    yield f"{match.path}.match.{place}: never matches: a {key} is text, in quotes"


def _unused_calendars(config: Config, matches: Sequence[_Placed]) -> Iterator[str]:
    used = {name for match in matches for name in _listed(match.match.get("at", []))}
    for name in config.calendars:
        if name not in used:
            yield f"{joined('calendars', key_shown(name))}: no route and no override uses it"
