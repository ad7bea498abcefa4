"""Routes that are valid but probably not what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from notifier.config.models import Config, Route, Scalar
from notifier.notification_types import JOB_TYPES, NOTIFICATION_TYPES


def warnings(config: Config) -> list[str]:
    """One line for the types whose notifications may match no route, and one line, with its path,
    for each route that never decides anything."""
    found = [*_unreachable(config.routes)]
    of_every = [matched_types(route) for route in config.routes if route.match.keys() <= {"type"}]
    if missed := set(NOTIFICATION_TYPES).difference(*of_every):
        found.append(
            f"routes: no route matches every {', '.join(sorted(missed))}: a notification that"
            " matches no route reaches nobody and needs a person; end the routes with"
            ' {"match": {}, "recipients": [...]}'
        )
    return found


def _unreachable(routes: Sequence[Route]) -> Iterator[str]:
    for n, route in enumerate(routes):
        deciding = {type: _first_deciding(routes[:n], route, type) for type in matched_types(route)}
        if not deciding:
            yield f"routes[{n}]: never matches: only {', '.join(sorted(JOB_TYPES))} has a job_type"
        elif None not in deciding.values():
            earlier = sorted({place for place in deciding.values() if place is not None})
            paths = " and ".join(f"routes[{place}]" for place in earlier)
            decide = "decides" if len(earlier) == 1 else "decide"
            yield f"routes[{n}]: never reached: {paths} {decide} everything it matches"


def _first_deciding(earlier: Sequence[Route], route: Route, type: Scalar) -> int | None:
    """The index of the first of the earlier routes that decides every notification of this type
    that `route` matches; None if there is none."""
    for place, other in enumerate(earlier):
        if not other.continue_ and type in matched_types(other) and _implies(route, other):
            return place
    return None


def _implies(route: Route, other: Route) -> bool:
    """Whether `other` matches everything that `route` matches, types aside."""
    return all(
        key in route.match and _choices(route.match[key]) <= _choices(wanted)
        for key, wanted in other.match.items()
        if key != "type"
    )


def matched_types(route: Route) -> set[Scalar]:
    """The notification types that the route can match."""
    types: set[Scalar] = set(NOTIFICATION_TYPES)
    if "type" in route.match:
        types = {type for _, type in _choices(route.match["type"])}
    return types & JOB_TYPES if "job_type" in route.match else types


def _choices(wanted: Scalar | list[Scalar]) -> set[tuple[bool, Scalar]]:
    """The values of a match. As in JSON, true and 1 are different."""
    values = wanted if isinstance(wanted, list) else [wanted]
    return {(isinstance(value, bool), value) for value in values}
