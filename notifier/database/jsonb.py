"""Reads jsonb that others wrote, whatever it holds.

PostgreSQL's jsonb can hold numbers and nesting depths that Python's reader refuses or turns into
infinity. One such value in one mission's attributes must not make the others unreadable.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Context, Decimal
from typing import Any, Final

MAX_DEPTH: Final = 64
"""Levels of arrays and objects; deeper ones are left out."""
MAX_INTEGER_DIGITS: Final = 308
"""Digits of an integer that is kept as a number; a float cannot hold more either."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def loads(text: str | bytes) -> Any:
    """The value of valid JSON. A number that a float cannot hold becomes text such as "1E+5000",
    and anything nested more than MAX_DEPTH levels deep becomes the text "…"."""
    if isinstance(text, bytes):
        text = text.decode()
    return json.loads(_shallow(text), parse_int=_integer, parse_float=_float)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else _rounded(digits)


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else _rounded(digits)


def _rounded(digits: str) -> str:
    return str(Decimal(digits).normalize(Context(prec=6)))


def _shallow(text: str) -> str:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text
    parts = []
    kept_from, depth = 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts.append(text[kept_from : token.start()] + '"…"')
        elif token[0] in ("]", "}"):
            if depth == MAX_DEPTH + 1:
                kept_from = token.end()
            depth -= 1
    return "".join(parts) + text[kept_from:]
