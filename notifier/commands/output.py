"""What commands print. Other systems' texts may hold control characters, which are escaped."""

from __future__ import annotations

import json
import sys

from notifier.text import escaped_lines


def say(text: str) -> None:
    """Prints text that may hold control characters from other systems, such as identifiers."""
    print(escaped_lines(text))


def say_json(document: object) -> None:
    print(escaped_lines(json.dumps(document, indent=2, ensure_ascii=False)))


def complain(problem: str) -> None:
    print(f"notifier: {escaped_lines(problem)}", file=sys.stderr)
