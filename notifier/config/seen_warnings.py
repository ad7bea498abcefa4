"""Values of matches that no mission had lately: a city's spelling, a number in place of text."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from notifier.config.problems import joined, key_shown
from notifier.config.route_warnings import TEXT_KEYS
from notifier.database.values import SeenValue

NOT_COMPARED = frozenset({"type", "at", "mission_id", "point_id"})
"""Keys of a match that name no lasting property of a mission, or are checked without it."""
MAX_SHOWN = 60
"""Characters of a value in a warning."""


def wanted_values(document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Every value that a valid config's routes and overrides want, by its key, as seen_values()
    takes them."""
    wanted: defaultdict[str, list[Any]] = defaultdict(list)
    for _, key, value in _wanted(document):
        if value not in wanted[key]:
            wanted[key].append(value)
    return dict(wanted)


def zone_attributes(document: Mapping[str, Any]) -> list[str]:
    """The attributes from which calendars take their time zones."""
    return [*dict.fromkeys(attribute for _, attribute in _zones(document))]


def seen_warnings(document: Mapping[str, Any], seen: Sequence[SeenValue]) -> list[str]:
    """One line, with its path, for each wanted value that none of the missions had, and for each
    text that a calendar takes for a time zone and the server does not know. None if there were no
    missions. The rows of several databases are added up."""
    found = _Seen(seen)
    if not found.missions:
        return []
    return [*_unseen(document, found), *_unknown_zones(document, found)]


class _Seen:
    def __init__(self, rows: Sequence[SeenValue]) -> None:
        self.missions = 0
        self.keys: set[str] = set()
        self.values: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        """Of each key the values, by their kind and JSON: 5 and 5.0 are one, 5 and "5" two."""
        self.unknown_zones: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for row in rows:
            if row.key is None:
                self.missions += row.missions
                continue
            self.keys.add(row.key)
            if row.value is not None:
                self.values[row.key][_identity(row.value)] = row.value
                if row.is_time_zone is False:
                    zones = self.unknown_zones[row.key]
                    zones[_shown(row.value)] = zones.get(_shown(row.value), 0) + row.missions


def _unseen(document: Mapping[str, Any], seen: _Seen) -> Iterator[str]:
    of_missions = f"of {seen.missions} missions of the last 30 days"
    for path, key, value in _wanted(document):
        if key not in seen.keys:
            hint = _hint(_close(key, seen.keys))
            yield f"{path}: none {of_missions} has a {key_shown(key)}{hint}"
            continue
        values = seen.values[key]
        if _identity(value) in values:
            continue
        texts = [each for each in values.values() if isinstance(each, str)]
        if isinstance(value, str):
            other = next((each for each in values.values() if _text(each) == value), None)
            close = _close(value, texts)
        else:
            other = _text(value) if _text(value) in texts else None
            close = None
        if other is not None:
            kinds = f"{_kind(other)} {_shown(other)}, which is not the {_kind(value)}"
            yield f"{path}: missions have the {kinds} {_shown(value)}"
        else:
            yield f"{path}: none {of_missions} has {_shown(value)}{_hint(close)}"


def _unknown_zones(document: Mapping[str, Any], seen: _Seen) -> Iterator[str]:
    for path, attribute in _zones(document):
        if attribute not in seen.keys:
            hint = _hint(_close(attribute, seen.keys))
            yield (
                f"{path}: none of {seen.missions} missions of the last 30 days has a"
                f" {key_shown(attribute)}{hint}"
            )
        for zone, missions in seen.unknown_zones[attribute].items():
            yield (
                f"{path}: {zone} is not a time zone such as Europe/Moscow that the server knows:"
                f" for {missions} of {seen.missions} missions of the last 30 days"
                " notifier.time_zone counts"
            )


def _wanted(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The path, the key and the value of everything that a match wants a mission to have."""
    detection = document["detection"]
    for name, listed in (
        ("routes", document["routes"]),
        ("detection.overrides", detection.get("overrides", [])),
    ):
        for n, each in enumerate(listed):
            for key, wanted in each["match"].items():
                path = joined(f"{name}[{n}].match", key_shown(key))
                for place, value in enumerate(wanted if isinstance(wanted, list) else [wanted]):
                    # warnings() says of a number that it is never text.
                    if key in NOT_COMPARED or (key in TEXT_KEYS and not isinstance(value, str)):
                        continue
                    yield (f"{path}[{place}]" if isinstance(wanted, list) else path), key, value


def _zones(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The path and the attribute of each calendar's time zone that an attribute names."""
    for name, calendar in document.get("calendars", {}).items():
        zone = calendar.get("time_zone")
        if isinstance(zone, Mapping):
            path = joined("calendars", key_shown(name))
            yield f"{path}.time_zone.attribute", zone["attribute"]


def _close(text: str, seen: Collection[str]) -> str | None:
    """What was probably meant: the same but for case, or almost the same."""
    same = (each for each in seen if each.casefold() == text.casefold())
    return next(same, None) or next(iter(get_close_matches(text, seen, n=1, cutoff=0.75)), None)


def _hint(close: str | None) -> str:
    return "" if close is None else f"; did you mean {_shown(close)}?"


def _identity(value: Any) -> str:
    """The same for what JSON calls equal."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _text(value) if not isinstance(value, str) else f'"{value}"'


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return "truth value" if isinstance(value, bool) else "number"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
