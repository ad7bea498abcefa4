"""The page: its template, its style and its texts, in every locale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from notifier.locales import LOCALES, Locale, duration
from notifier.report.charts import chart_of
from notifier.report.questions import QUESTIONS, Answer, Question, Row
from notifier.text import escaped
from notifier.web.board import pages as board

FOLDER: Final = Path(__file__).parent
OWN_WORDS: Final = ("type", "resolution", "late_because")
"""Columns whose values are ours, and so have a text."""


@dataclass(frozen=True)
class Head:
    """What the page says above its charts.

    window     the command that asks about the same window again
    questions  the questions that were asked by name
    time_zone  of the config in force, whose days and hours these are
    configs    how many configs were applied within the window
    """

    window: str
    questions: Sequence[str]
    since: datetime
    until: datetime
    made_at: datetime
    time_zone: tzinfo
    config_id: int
    applied_at: datetime
    applied_by: str
    configs: int


def page(head: Head, answers: Sequence[Answer], locale: str) -> str:
    """The whole HTML page."""
    texts = json.loads((FOLDER / "texts" / f"{locale}.json").read_text("utf-8"))
    words = Words(texts, LOCALES[locale], head.time_zone)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = [board.FOLDER / "static" / "board.css", FOLDER / "templates" / "report.css"]
    return environment.get_template("report.html.j2").render(
        t=texts,
        locale=locale,
        head=head,
        words=words,
        answers=[(answer, chart_of(answer)) for answer in answers],
        style=Markup("\n".join(file.read_text("utf-8") for file in style)),  # noqa: S704  # ours
    )


@dataclass(frozen=True)
class Words:
    """How values read in a language."""

    texts: dict[str, str]
    locale: Locale
    time_zone: tzinfo

    def value(self, column: str, value: Any) -> str:
        """A value of a column."""
        match value:
            case None:
                return self.texts.get(f"null_{column}", "–")
            case bool():
                return self.texts["few"] if value else ""
            case timedelta():
                return duration(value, locale=self.locale)
            case Decimal():
                text = f"{value:.1f}".replace(".", self.locale.decimal_point)
                return f"{text}\u00a0%"
            case int() if column == "hour":
                return f"{value:02}:00"
            case int():
                return f"{value:,}".replace(",", self._thousands())
            case datetime():
                return self.time(value)
            case date():
                return f"{value.day} {self.locale.months.split()[value.month - 1]}"
            case str() if column in OWN_WORDS:
                return self.texts.get(f"{column}_{value}", escaped(value))
            case _:
                return escaped(str(value))

    def time(self, value: datetime) -> str:
        """2026-11-23 08:00 UTC+03:00, in the page's time zone."""
        local = value.astimezone(self.time_zone)
        offset = f"{local:%z}"
        return f"{local:%Y-%m-%d %H:%M} UTC" + (
            "" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
        )

    def label(self, question: Question, row: Row) -> str:
        """What a bar is about. A second name that is missing is left out."""
        first, *more = question.labels
        names = [self.value(first, row[first])]
        names += [
            self.value(name, row[name])
            for name in more
            if row[name] is not None or f"null_{name}" in self.texts
        ]
        return " · ".join(names)

    def tick(self, question: Question, row: Row) -> str:
        """The label below a column: an hour is a number here, since there are many."""
        column = question.labels[0]
        return f"{row[column]:02}" if column == "hour" else self.value(column, row[column])

    def result(self, question: Question, row: Row) -> str:
        """What a bar says: its value, of how many, and whether these are few."""
        said = [self.value(question.value, row[question.value])]
        if question.value != question.counted:
            said.append(f"n\u00a0=\u00a0{self.value(question.counted, row[question.counted])}")
        if row["is_few"]:
            said.append(self.texts["few"])
        return " · ".join(said)

    def is_number(self, question: Question, column: str) -> bool:
        """Whether a column's values stand to the right."""
        return column not in question.labels and column != "is_few"

    def _thousands(self) -> str:
        return "," if self.locale.decimal_point == "." else "\u00a0"


def require_questions(names: Sequence[str]) -> list[Question]:
    """The questions of these names; all of them if there are none."""
    return [QUESTIONS[name] for name in names] if names else list(QUESTIONS.values())
