"""What commands print. Other systems' texts may hold control characters, which are escaped."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from notifier.text import escaped, escaped_lines


def say(text: str) -> None:
    """Prints text that may hold control characters from other systems, such as identifiers."""
    print(escaped_lines(text))


def say_json(document: object) -> None:
    print(escaped_lines(json.dumps(document, indent=2, ensure_ascii=False)))


def complain(problem: str) -> None:
    print(f"notifier: {escaped_lines(problem)}", file=sys.stderr)


# --- Rows ------------------------------------------------------------------------------------


def say_rows(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    output: str,
    *,
    durations: Collection[str] = (),
    nothing: str = "no rows",
) -> None:
    """Prints these columns of the rows.

    output     text: an aligned table; csv: with a header; json: a list of objects
    durations  columns of intervals, whose keys in JSON end in _seconds even if all are null
    nothing    what the text says instead of an empty table

    Timestamps are in ISO 8601. Intervals are as psql shows them, and seconds in JSON.
    """
    match output:
        case "json":
            say_json(json_rows(columns, rows, durations))
        case "csv":
            sys.stdout.write(csv_rows(columns, rows))
        case _:
            say("\n".join(table(columns, rows)) if rows else nothing)


def json_rows(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], durations: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The rows as JSON has them."""
    keys = {
        name: f"{name}_seconds"
        if name in durations or any(isinstance(row[name], timedelta) for row in rows)
        else name
        for name in columns
    }
    return [{key: _json(row[name]) for name, key in keys.items()} for row in rows]


def csv_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV with a header; null is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return escaped_lines(file.getvalue())


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows as lines of aligned columns below their names, numbers to the right."""
    cells = [[escaped(_cell(row[name])) for name in columns] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    is_right = [
        any(_is_number(row[name]) for row in rows)
        and all(row[name] is None or _is_number(row[name]) for row in rows)
        for name in columns
    ]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_right, strict=True)
        ).rstrip()
        for line in lines
    ]


def psql_interval(duration: timedelta) -> str:
    """An interval as psql shows it: 00:12:07, 1 day 02:00:00, -00:00:01.5."""
    is_negative = duration < timedelta(0)
    rest = -duration if is_negative and duration != timedelta.min else duration
    sign = "-" if is_negative else ""
    minutes, seconds = divmod(rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{sign}{hours:02}:{minutes:02}:{seconds:02}"
    if rest.microseconds:
        clock += f".{rest.microseconds:06}".rstrip("0")
    if not rest.days:
        return clock
    days = f"{sign}{abs(rest.days)} {'day' if rest.days == 1 and not sign else 'days'}"
    return f"{days} {clock}" if rest.seconds or rest.microseconds else days


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    """A value as text."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case timedelta():
            return psql_interval(value)
        case date():  # and datetime
            return value.isoformat()
        case dict() | list():
            return json.dumps(_json(value), ensure_ascii=False)
        case _:
            return str(value)


def _json(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case timedelta():
            return value.total_seconds()
        case date() | datetime():
            return value.isoformat()
        case Decimal():
            if not value.is_finite():
                return None
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {key: _json(field) for key, field in value.items()}
        case list():
            return [_json(field) for field in value]
        case _:
            return value
