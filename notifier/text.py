"""Makes text that others wrote safe to show.

Identifiers, attributes, server responses and config files may hold characters that do harm unseen:
control characters and escape sequences control a terminal, bidirectional overrides change the order
in which text is shown, others are invisible. Letters of every script stay as they are, and so do
the joiners within emoji and Persian words.
"""

from __future__ import annotations

import json
import re
from typing import Final

UNSAFE_CHARACTERS: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: line breaks, and ESC, which begins a sequence
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks and overrides
    "\u2028\u2029"  # line and paragraph separators
    "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # invisible
    "\ud800-\udfff"  # surrogates, which no encoding can write
    "]"
)


def escaped(text: str) -> str:
    """The text for a terminal or a log: each such character is escaped as in JSON, such as \\u001b.
    JSON stays JSON with the same meaning."""
    return UNSAFE_CHARACTERS.sub(lambda found: _escape(found[0]), text)


def escaped_lines(text: str) -> str:
    """The same for text of several lines, keeping its line breaks."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def one_line(text: str) -> str:
    """The text on one line for people to read: a space replaces each such character and each run of
    white space."""
    return " ".join(UNSAFE_CHARACTERS.sub(" ", text).split())


def _escape(character: str) -> str:
    escape = json.dumps(character)[1:-1]
    return escape if escape != character else f"\\u{ord(character):04x}"  # DEL
