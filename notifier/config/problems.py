"""What is wrong with a config: one line per problem, beginning with the path of the bad key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from notifier.channels import CHANNELS
from notifier.config.models import Config
from notifier.text import UNSAFE_CHARACTERS


class ConfigError(Exception):
    """The config cannot be used. `problems` has one line per problem, with the key's path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def problem(details: ErrorDetails) -> str:
    """pydantic's error as one line: the path of the bad key, and what is wrong with it."""
    path = _path(details["loc"], is_known=details["type"] != "extra_forbidden")
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return f"{path}: missing"
        case "extra_forbidden":
            return f"{path}: unknown key"
        case "union_tag_invalid":
            return f"{path}.type: must be one of {', '.join(sorted(CHANNELS))}"
        case "union_tag_not_found":
            return f"{path}.type: missing; it is one of {', '.join(sorted(CHANNELS))}"
        case "string_pattern_mismatch":
            allowed = _allowed_by_pattern()[context["pattern"]]
            return f"{path}: must be {allowed[0].lower()}{allowed[1:]}"
        case "too_short" if context["field_type"] == "List":
            return f"{path}: must have {context['min_length']} items or more"
        case "too_long" if context["field_type"] == "List":
            return f"{path}: must have {context['max_length']} items or less"
    message = details["msg"].removeprefix("Value error, ")
    return f"{path}: {message.replace('Input should be', 'must be')}"


def _path(location: tuple[int | str, ...], *, is_known: bool) -> str:
    """("routes", 0, "recipients", 1, "telegram", "chat_id") as routes[0].recipients[1].chat_id.

    After a recipient's index pydantic puts the tag that chose its model; the path leaves it out.
    `is_known` says whether the models have the last key.
    """
    path = ""
    for index, step in enumerate(location):
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (index >= 2 and location[index - 2] == "recipients" and step in CHANNELS):
            path = joined(path, key_shown(step, is_known=is_known or index < len(location) - 1))
    return path or "the document"


def joined(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def key_shown(key: str, *, is_known: bool = True) -> str:
    """A key as a path shows it; the database's json_path() does the same.

    An unknown key may be a secret that somebody pasted, so it is shown only if it is a plain word.
    """
    if is_known and len(key) <= 100 and not UNSAFE_CHARACTERS.search(key):
        return key
    return key if re.fullmatch("[A-Za-z][A-Za-z_]{0,38}[0-9]?", key) else "***"


def _allowed_by_pattern() -> Mapping[str, str]:
    """The description of each pattern in the models: what it allows, in words."""

    def nodes(node: Any) -> Iterator[Mapping[str, Any]]:
        if isinstance(node, dict):
            yield node
            node = list(node.values())
        if isinstance(node, list):
            for part in node:
                yield from nodes(part)

    return {
        node["pattern"]: node["description"]
        for node in nodes(Config.model_json_schema())
        if "pattern" in node and "description" in node
    }
