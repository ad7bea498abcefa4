"""What differs between two configs: the paths, and the values before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from notifier.config.models import Config

_ABSENT: Final = object()

WHAT_DECIDES: Final = ("detection", "calendars", "routes", "notifier.time_zone")
"""The settings that decide what is reported, and to whom."""


@dataclass(frozen=True)
class Difference:
    """A path that differs. An element of a list that has moved is removed and added; its path has
    the index that it has in the new config, or, if it was removed, in the old one."""

    path: str
    change: Literal["changed", "added", "removed"]
    old: Any
    new: Any

    def line(self) -> str:
        """detection.default_job_eta_seconds: 300 -> 420"""
        old = "(none)" if self.change == "added" else _shown(self.old)
        new = "(none)" if self.change == "removed" else _shown(self.new)
        return f"{self.path}: {old} -> {new}"


def differences(old: Config, new: Config) -> list[Difference]:
    """What differs, in the order of the settings. What a config leaves out is compared by its
    default."""
    return [
        *_between("", *(config.model_dump(mode="json", by_alias=True) for config in (old, new)))
    ]


def decides(found: Sequence[Difference]) -> bool:
    """Whether any of them can change what is reported, or to whom."""
    return any(_is_under(difference.path, root) for difference in found for root in WHAT_DECIDES)


def _is_under(path: str, root: str) -> bool:
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", ".", "[")


def _between(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if old is _ABSENT:
        yield Difference(path, "added", None, new)
    elif new is _ABSENT:
        yield Difference(path, "removed", old, None)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _between(
                f"{path}.{key}" if path else key, old.get(key, _ABSENT), new.get(key, _ABSENT)
            )
    elif _is_list_of_objects(old) and _is_list_of_objects(new):
        yield from _between_lists(path, old, new)
    elif old != new:
        yield Difference(path, "changed", old, new)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, dict) for element in value)


def _between_lists(path: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    """Elements that are equal belong together; between them, those at the same place."""
    before, after = ([json.dumps(each, sort_keys=True) for each in texts] for texts in (old, new))
    matched = SequenceMatcher(None, before, after, autojunk=False)
    for tag, a, a_end, b, b_end in matched.get_opcodes():
        if tag == "equal":
            continue
        for n in range(max(a_end - a, b_end - b)):
            one = old[a + n] if a + n < a_end else _ABSENT
            other = new[b + n] if b + n < b_end else _ABSENT
            index = a + n if other is _ABSENT else b + n
            yield from _between(f"{path}[{index}]", one, other)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
