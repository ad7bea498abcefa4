"""Reads JSON files strictly, and finds values that the database could not store as written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from notifier.config.problems import ConfigError, joined, key_shown

# The size of numbers other than 0 with which both Python and the database calculate exactly alike.
SMALLEST, LARGEST = Decimal("1e-300"), Decimal("1e300")
# jsonb keeps this many decimal places, and reads a zero with an exponent up to this.
MAX_DECIMAL_PLACES, MAX_EXPONENT = 16383, 10**9
OUT_OF_RANGE = "must be 0, or from 1e-300 to 1e300 in size"


def read_json(path: Path) -> Any:
    """The JSON document in a file. Raises ConfigError if the file is missing or broken."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{path}: not UTF-8 text: {error.reason} at byte {error.start}"]
        ) from None
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise ConfigError(
            [f"{path}: broken JSON at line {error.lineno}, column {error.colno}: {error.msg}"]
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: broken JSON: {error}"]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{key_shown(repeated)}' is listed twice in one object")
    return mapping


def _number(digits: str) -> int | float:
    """A number with a decimal point or an exponent, as jsonb reads it: an integer if no decimal
    places remain, as in 1e3 and 1.5e1."""
    try:
        number = Decimal(digits)
    except ArithmeticError:  # the exponent is too large for Decimal
        raise ValueError(f"a number {OUT_OF_RANGE}") from None
    exponent = int(number.as_tuple().exponent)  # "n" and "F" are for NaN and infinity
    if not _is_in_range(number) or exponent < -MAX_DECIMAL_PLACES or exponent > MAX_EXPONENT:
        raise ValueError(f"a number {OUT_OF_RANGE}")
    if exponent < 0:
        return float(number)
    return int(number) if number else 0


def _is_in_range(number: Decimal) -> bool:
    return not number or SMALLEST <= number.copy_abs() <= LARGEST


def unstorable(document: Any) -> Iterator[str]:
    """One line, with its path, for each key or value that jsonb or a float cannot hold."""
    remaining: list[tuple[str, Any]] = [("", document)]
    while remaining:
        path, value = remaining.pop()
        match value:
            case str() if not _is_storable(value):
                yield f"{path or 'the document'}: holds a character that cannot be stored"
            case float() if not _is_in_range(Decimal(repr(value))):  # as JSON writes it
                yield f"{path or 'the document'}: {OUT_OF_RANGE}"
            case int() if not _is_in_range(Decimal(value)):
                yield f"{path or 'the document'}: {OUT_OF_RANGE}"
            case list():
                remaining += [(f"{path}[{n}]", each) for n, each in enumerate(value)]
            case dict():
                for key, each in value.items():
                    remaining.append((joined(path, key_shown(key)), each))
                    if not _is_storable(key):
                        yield f"{remaining[-1][0]}: holds a character that cannot be stored"


def _is_storable(text: str) -> bool:
    return not re.search("[\0\ud800-\udfff]", text)


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")
