"""Texts that others wrote, made safe to show.

Identifiers, attributes, answers of servers and config files may hold characters that nobody sees
but that do something: control characters and escape sequences steer a terminal, bidirectional
overrides show a text in another order than it has, others are invisible. Letters of every script
stay as they are, and so do the joiners within emoji and Persian words.
"""

from __future__ import annotations

import json
import re
from typing import Final

STEERING: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: line breaks, and what begins an escape sequence
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks and overrides of direction
    "\u2028\u2029"  # line and paragraph separators
    "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # invisible
    "\ud800-\udfff"  # halves of characters, which no encoding can write
    "]"
)


def escaped(text: str) -> str:
    """The text for a terminal or a log: each such character as JSON escapes it, \\u001b for
    example. JSON remains JSON of the same meaning."""
    return STEERING.sub(lambda found: _escape(found[0]), text)


def escaped_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def one_line(text: str) -> str:
    """The text for people to read, on one line: a space for each such character and for any white
    space."""
    return " ".join(STEERING.sub(" ", text).split())


def _escape(character: str) -> str:
    escape = json.dumps(character)[1:-1]
    return escape if escape != character else f"\\u{ord(character):04x}"  # DEL
