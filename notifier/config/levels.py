"""Levels of escalate that can never come. The database's level_problem() says the same in the same
words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from notifier.config.models import Config, Level, Timeout
from notifier.config.route_warnings import matched_types
from notifier.notification_types import TIMEOUT_TYPES


def level_problems(config: Config) -> Iterator[str]:
    """One line for each level that can never come, with its path."""
    rules: Mapping[str, Timeout] = {
        type: getattr(config.detection.timeouts, type) for type in TIMEOUT_TYPES
    }
    for r, route in enumerate(config.routes):
        reachable = {type: rule for type, rule in rules.items() if type in matched_types(route)}
        for n, level in enumerate(route.escalate):
            earlier = _last_alike(route.escalate[:n], level)
            problem = _problem(level, reachable)
            if problem is None and earlier is not None and not _is_later(level, earlier[1]):
                key = "after_seconds" if level.at_factor is None else "at_factor"
                problem = f".{key}: must be more than that of routes[{r}].escalate[{earlier[0]}]"
            if problem is not None:
                yield f"routes[{r}].escalate[{n}]{problem}"


def _problem(level: Level, reachable: Mapping[str, Timeout]) -> str | None:
    """What is wrong with a level by itself, in a route that can match these timeout types."""
    if level.after_seconds is None and level.at_factor is None:
        return ": must have after_seconds or at_factor"
    if level.at_factor is None:
        return None
    if not reachable:
        return (
            ".at_factor: this route matches no timeout, and nothing else has an eta: use"
            " after_seconds"
        )
    factors = sorted((rule.factor, type) for type, rule in reachable.items() if rule.enabled)
    if factors and level.at_factor <= factors[0][0]:
        return f".at_factor: must be more than the factor of detection.timeouts.{factors[0][1]}"
    return None


def _last_alike(earlier: list[Level], level: Level) -> tuple[int, Level] | None:
    """The last of the earlier levels whose time is of the same kind, and its place."""
    alike = [
        (place, other)
        for place, other in enumerate(earlier)
        if (other.at_factor is None) == (level.at_factor is None)
    ]
    return alike[-1] if alike else None


def _is_later(level: Level, earlier: Level) -> bool:
    if level.at_factor is not None and earlier.at_factor is not None:
        return level.at_factor > earlier.at_factor
    if level.after_seconds is None or earlier.after_seconds is None:
        return True  # a level without any time is a problem of its own
    return level.after_seconds > earlier.after_seconds
