"""The questions of the report, in their order, and how each is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

FOLDER: Final = Path(__file__).parent / "queries"
DURATIONS: Final = frozenset(
    {
        "acknowledged_after",
        "longest",
        "longest_limit",
        "median",
        "median_limit",
        "ninth_decile",
        "over",
        "resolved_after",
        "shortest_limit",
        "told_after",
    }
)
"""Columns of intervals: JSON has them in seconds."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A query, and which of its columns a chart shows.

    chart    bars: horizontal, one for each row; days, hours: columns in the order of time
    labels   the columns that say what a bar is about
    value    the column that says how long the bar is
    counted  the column with the number of rows behind the bar
    part     the column whose share of `counted` the value is; null: it is no share
    """

    name: str
    chart: Literal["bars", "days", "hours"]
    labels: Sequence[str]
    value: str
    counted: str
    part: str | None = None

    def query(self) -> str:
        """Its SQL, with the window as psql's variables :'since' and :'until'."""
        return (FOLDER / f"{self.name}.sql").read_text("utf-8")


@dataclass(frozen=True)
class Answer:
    """The rows of a question's query, in its order."""

    question: Question
    columns: Sequence[str]
    rows: Sequence[Row]

    @property
    def durations(self) -> list[str]:
        """The columns of intervals, even if all of them are null."""
        return [name for name in self.columns if name in DURATIONS]


def for_psycopg(query: str) -> str:
    """The query with psycopg's parameters in place of psql's variables."""
    text = query.replace("%", "%%")
    for name in ("since", "until"):
        text = text.replace(f":'{name}'", f"%({name})s")
    return text


QUESTIONS: Final[Mapping[str, Question]] = {
    question.name: question
    for question in (
        Question("late_by_day", "days", ["day"], "late_percent", "intervals", "late"),
        Question("late_by_hour", "hours", ["hour"], "late_percent", "intervals", "late"),
        Question("late_by_city", "bars", ["city"], "late_percent", "intervals", "late"),
        Question(
            "late_by_courier",
            "bars",
            ["performer_id", "name"],
            "late_percent",
            "intervals",
            "late",
        ),
        Question("late_by_rule", "bars", ["rule", "type"], "late_percent", "intervals", "late"),
        Question("worst_points", "bars", ["point_id", "city"], "over", "intervals"),
        Question("durations", "bars", ["type"], "median", "intervals"),
        Question("skips_by_job_type", "bars", ["type"], "skipped_percent", "jobs", "skipped"),
        Question(
            "skips_by_courier",
            "bars",
            ["performer_id", "name"],
            "skipped_percent",
            "jobs",
            "skipped",
        ),
        Question("noticed_late", "bars", ["late_because"], "notifications", "notifications"),
        Question("told", "bars", ["type"], "told_after", "notifications"),
        Question(
            "reaction_by_route", "bars", ["recipients"], "acknowledged_after", "notifications"
        ),
        Question(
            "reaction_by_person", "bars", ["acknowledged_by"], "notifications", "notifications"
        ),
        Question("endings", "bars", ["type", "resolution"], "notifications", "notifications"),
        Question("least_helpful", "bars", ["type", "rule", "city"], "no_help", "notifications"),
    )
}
"""By name."""
