"""Where the bars of a chart are. Positions and lengths are in percent of the chart's size, so that
one picture fits a phone, a screen and paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from notifier.report.questions import Answer, Question, Row

MOST_BARS: Final = 20
MOST_DAYS: Final = 62
MOST_TICKS: Final = 8


@dataclass(frozen=True)
class Bar:
    """One bar. row: what it shows; length: of the longest possible; place, breadth: of a column."""

    row: Row
    length: float
    place: float = 0.0
    breadth: float = 0.0
    counted_length: float = 0.0
    has_tick: bool = False


@dataclass(frozen=True)
class Chart:
    """The bars, what their full length stands for, and what is left out.

    full    the greatest value; null: there is none
    most    the greatest number of rows behind a bar
    shown    the rows of the bars
    others   how many rows are left out
    rest     these rows as one: its counts, and its share; null if none is left out
    """

    bars: Sequence[Bar]
    full: Any
    most: int
    shown: Sequence[Row]
    others: int
    rest: Row | None

    @property
    def has_few(self) -> bool:
        """Whether a bar has only few rows behind it."""
        return any(row["is_few"] for row in self.shown)


def chart_of(answer: Answer) -> Chart:
    """The first rows as bars; of days the last ones."""
    question = answer.question
    rows = list(answer.rows)
    match question.chart:
        case "days":
            last = max((row["day"] for row in rows), default=date.min)
            shown = [row for row in rows if (last - row["day"]).days < MOST_DAYS]
        case "hours":
            shown = rows
        case _:
            shown = rows[:MOST_BARS]
    kept = {id(row) for row in shown}
    left_out = [row for row in rows if id(row) not in kept]
    full = max((row[question.value] for row in shown if row[question.value]), default=None)
    most = max((row[question.counted] for row in shown), default=0)
    return Chart(
        _bars(question, shown, full, most),
        full,
        most,
        shown,
        len(left_out),
        _together(answer, left_out) if left_out else None,
    )


def _bars(question: Question, rows: Sequence[Row], full: Any, most: int) -> list[Bar]:
    if question.chart == "bars":
        return [Bar(row, _share(row[question.value], full)) for row in rows]
    place: Callable[[Row], int]
    if question.chart == "hours":
        slots, place = 24, lambda row: int(row["hour"])
    else:
        first = min((row["day"] for row in rows), default=date.min)
        place = lambda row: int((row["day"] - first).days)  # noqa: E731
        slots = max((place(row) for row in rows), default=0) + 1
    step = next(n for n in (1, 2, 3, 7, 14) if slots / n <= MOST_TICKS)
    return [
        Bar(
            row,
            _share(row[question.value], full),
            round(100 * place(row) / slots, 3),
            round(100 / slots, 3),
            _share(row[question.counted], most),
            place(row) % step == 0,
        )
        for row in rows
    ]


def _share(value: Any, full: Any) -> float:
    """How much of the full length, in percent; nothing for a value that is null or negative."""
    if not value or not full:
        return 0.0
    if isinstance(value, timedelta):
        value, full = value.total_seconds(), full.total_seconds()
    return round(min(max(float(100 * value / full), 0.0), 100.0), 2)


def _together(answer: Answer, rows: Sequence[Row]) -> dict[str, Any]:
    """Several rows as one. Counts add up; what does not is null."""
    together: dict[str, Any] = dict.fromkeys(answer.columns)
    for name in answer.columns:
        values = [row[name] for row in rows]
        if name not in answer.question.labels and all(type(value) is int for value in values):
            together[name] = sum(values)
    if answer.question.part:
        part, whole = together[answer.question.part], together[answer.question.counted]
        together[answer.question.value] = round(Decimal(100 * part) / whole, 1)
    return together
