"""From the facts of one notification to the texts that a channel sends.

Texts live in `templates/<locale>/<notification type>/<channel>.<part>.j2`; what several of them
share, in `templates/<locale>/_macros.j2`. Whoever edits them may use these facts. A missing one
fails the rendering with a `TemplateError`, so that no message ever has a hole in it.

    always                  token, type, mission_id, point_id, performer_id: str
                            job_id: str, None for a timeout
                            attributes: whatever the mission was created with, may be empty. Write
                            `attributes.get("city")`, which is None where there is no city
                            point_position: int from 1, None when the plan no longer has the point
                            points_total: int
    timeout_in_point,       started_at: datetime; finished_at: datetime, None while it still goes on
    timeout_between_points  eta, limit: timedelta, limit being the greater of eta * factor and the
                            configured minimum; factor: float
                            elapsed, over: timedelta as of detection, over being elapsed - limit
    job_skipped             job_type: str or None; skipped_at: datetime

and these filters, which speak the locale's language:

    duration     timedelta -> "1 h 12 min": at most two units; "<1 s" for anything shorter
    clock        datetime -> "14:05 24 Nov UTC+3" in the configured zone; `b | clock(after=a)` is
                 only "14:18" where `a`, just read, has the same date and offset
    number       float -> "1.5", in Russian "1,5"
    one_line     any text -> a single line of at most 250 characters, for subjects
    code         any text -> `any text`, so that Tracker shows it as it is, whatever markup is in it

Identifiers and attributes come from outside. Each text among them is put on one line, without
control characters and the like (notifier.text), and cut at 200 characters, counted as HTML escapes
them; the parts that a channel reads as HTML are escaped. So a message stays below Telegram's 4,096
characters whatever the facts hold, and no cut splits a tag.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from notifier import text as texts
from notifier.channels.base import Channel

NOTIFICATION_TYPES: Final = ("timeout_in_point", "timeout_between_points", "job_skipped")

FACT_CHARACTERS: Final = 200
LINE_CHARACTERS: Final = 250


class TemplateError(Exception):
    """A text could not be made. `reason` names the template, the line and what went wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Locale:
    """How a language writes what the filters print."""

    day: str
    hour: str
    minute: str
    second: str
    decimal_point: str
    months: str  # twelve words, as they stand after the day


LOCALES: Final[Mapping[str, Locale]] = {
    "en": Locale(
        day="d",
        hour="h",
        minute="min",
        second="s",
        decimal_point=".",
        months="Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    ),
    "ru": Locale(
        day="д",
        hour="ч",
        minute="мин",
        second="с",
        decimal_point=",",
        months="января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    ),
}


class Renderer:
    """The templates of one locale.

    The facts of a notification and the filters are described at the top of this module.
    """

    def __init__(self, templates_dir: Path, locale: str, time_zone: tzinfo) -> None:
        """`time_zone` is the one that times are written in.

        Raises TemplateError when `locale` is unknown.
        """
        if locale not in LOCALES:
            raise TemplateError(f"unknown locale {locale!r}; known: {', '.join(LOCALES)}")
        self._templates_dir = templates_dir.resolve()
        self._locale = locale
        plain = _environment(self._templates_dir / locale, LOCALES[locale], time_zone)
        # A macro file serves both, so each has to compile it with its own escaping.
        self._plain, self._html = plain, plain.overlay(autoescape=True)

    def render(self, type: str, channel: type[Channel], facts: Mapping[str, Any]) -> dict[str, str]:
        """The text of each of the channel's parts for a notification of that type.

        Raises TemplateError, and nothing else.
        """
        texts = {}
        for part in channel.parts:
            name = _template_name(type, channel, part)
            environment = self._html if part in channel.html_parts else self._plain
            try:
                template = environment.get_template(name)
                texts[part] = template.render(_presentable_facts(facts)).strip()
            except Exception as error:
                raise TemplateError(self._reason(name, error)) from error
        return texts

    def preload(self) -> None:
        """Reads every template, so that rendering opens no file unless one has changed. What is
        wrong with one is said when it is rendered."""
        for environment in (self._plain, self._html):
            for name in environment.list_templates():
                with suppress(jinja2.TemplateError, OSError, UnicodeError):
                    environment.get_template(name)

    def missing(self, channels: Collection[type[Channel]]) -> list[str]:
        """Which templates of these channels do not exist: paths within the directory."""
        paths = (
            f"{self._locale}/{_template_name(type, channel, part)}"
            for type in NOTIFICATION_TYPES
            for channel in channels
            for part in channel.parts
        )
        return [path for path in paths if not (self._templates_dir / path).is_file()]

    def _reason(self, name: str, error: Exception) -> str:
        asked = f"{self._locale}/{name}"
        if isinstance(error, jinja2.TemplateNotFound):
            problem = f"there is no template {self._locale}/{error.name}"
        elif isinstance(error, jinja2.TemplateError):
            problem = error.message or type(error).__name__
        else:
            problem = f"{type(error).__name__}: {error}"
        place = self._place(error)
        where = ": ".join((asked, place.removeprefix(f"{asked}, "))) if place else asked
        return f"template {where}: {_shorten(problem)}"

    def _place(self, error: Exception) -> str | None:
        """`<template>, line <n>` where the error arose; None outside of any template."""
        if isinstance(error, jinja2.TemplateSyntaxError) and error.name:
            return f"{self._locale}/{error.name}, line {error.lineno}"
        place = None
        step = error.__traceback__
        while step:  # Jinja puts the template's own path and line into the traceback.
            path = Path(step.tb_frame.f_code.co_filename)
            if path.is_relative_to(self._templates_dir):
                relative = path.relative_to(self._templates_dir).as_posix()
                place = f"{relative}, line {step.tb_lineno}"
            step = step.tb_next
        return place


def duration(value: timedelta, *, locale: Locale) -> str:
    """The two greatest units: `1 h 12 min`, `45 s`, `2 d 3 h`; `<1 s` for less, even zero."""
    seconds = round(value.total_seconds())
    if seconds < 1:
        return f"<1 {locale.second}"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    counts = [
        (days, locale.day),
        (hours, locale.hour),
        (minutes, locale.minute),
        (seconds, locale.second),
    ]
    while not counts[0][0]:
        del counts[0]
    return " ".join(f"{count} {unit}" for count, unit in counts[:2] if count)


def clock(
    value: datetime, after: datetime | None = None, *, locale: Locale, time_zone: tzinfo
) -> str:
    """Wall time with its date and offset: `14:05 24 Nov UTC+3`.

    Only the time, `14:18`, where date and offset are those of `after`, which was just read.
    Raises ValueError for a time without a zone.
    """
    local = _localized(value, time_zone)
    if after is not None:
        before = _localized(after, time_zone)
        if (before.date(), before.utcoffset()) == (local.date(), local.utcoffset()):
            return f"{local:%H:%M}"
    month = locale.months.split()[local.month - 1]
    return f"{local:%H:%M} {local.day} {month} {_offset(local.utcoffset() or timedelta())}"


def number(value: float, *, locale: Locale) -> str:
    """At most six digits, with the locale's decimal point: `1.5`, `1,5`, `2`."""
    return f"{value:.6g}".replace(".", locale.decimal_point)


def one_line(text: str) -> str:
    """The text on a single line, cut at a length that a list of tickets can show."""
    return _shorten(text, LINE_CHARACTERS)


def code(text: str) -> str:
    """The text as inline code, which nothing inside can end or format."""
    return "`" + text.replace("`", "'") + "`"


def _environment(
    directory: Path, locale: Locale, time_zone: tzinfo
) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(directory),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=partial(duration, locale=locale),
        clock=partial(clock, locale=locale, time_zone=time_zone),
        number=partial(number, locale=locale),
        one_line=one_line,
        code=code,
    )
    return environment


def _template_name(type: str, channel: type[Channel], part: str) -> str:
    return f"{type}/{channel.name}.{part}.j2"


def _presentable_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which nothing that comes from outside is long or has a line break."""
    return {
        name: {key: _presentable(each) for key, each in value.items()}
        if name == "attributes"
        else _presentable(value)
        for name, value in facts.items()
    }


def _presentable(value: object) -> object:
    match value:
        case None | bool() | float() | datetime() | timedelta():
            return value
        case int() if abs(value) < 2**63:
            return value
        case str():
            return _shorten(value)
        case _:
            return _shorten(json.dumps(value, ensure_ascii=False, default=str))


def _shorten(text: str, limit: int = FACT_CHARACTERS) -> str:
    """The text on one line, cut with an ellipsis so that even its HTML keeps within `limit`."""
    text = texts.one_line(text)
    if len(escape(text)) <= limit:
        return text
    costs = accumulate(len(escape(character)) for character in text)
    end = sum(1 for _ in takewhile(lambda cost: cost < limit, costs))
    return text[:end].rstrip() + "…"


def _localized(value: datetime, time_zone: tzinfo) -> datetime:
    if value.utcoffset() is None:
        raise ValueError(f"the time {value} has no zone")
    return value.astimezone(time_zone)


def _offset(offset: timedelta) -> str:
    """`UTC`, `UTC+3`, `UTC-3:30`."""
    minutes = round(offset.total_seconds() / 60)
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02}" if rest else "")
