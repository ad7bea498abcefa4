"""Renders the facts of one notification as the texts that a channel sends.

The templates are `templates/<locale>/<notification type>/<channel>.<part>.j2`. They share macros in
`templates/<locale>/_macros.j2`. Templates may use the facts below. A missing fact raises
`TemplateError`, so that no message is sent with a gap in it.

    always                  token, type, mission_id, point_id, performer_id: str
                            job_id: str, None for a timeout
                            attributes: those that the mission was created with; may be empty.
                            Write `attributes.get("city")`, which is None if there is no city
                            point_position: int from 1, None if the plan no longer has the point
                            points_total: int
    timeout_in_point,       started_at: datetime; finished_at: datetime, None if it is still open
    timeout_between_points  eta, limit: timedelta; limit is the greater of eta * factor and the
                            configured minimum; factor: float
                            rule: str, the override that decided; None: the default rule
                            elapsed, over: timedelta at detection; over is elapsed - limit
    job_skipped             job_type: str or None; skipped_at: datetime
    test                    asked_by, asked_from: the user and the host that asked for it: str;
                            asked_at: datetime; sent_by: the host that sends it: str. Of the facts
                            above it has token and type alone
    digest                  of the facts above and below it has token (of the oldest alert), type
                            and step alone, and instead
                            alerts: int, how many it tells of; settled: int, those acknowledged or
                            resolved by now; resolved: int; silenced: int, those that a silence held
                            since: datetime at which the first was noticed
                            types: list of {type, alerts}, the most frequent first
                            cities: list of {city, alerts}, the five biggest; elsewhere: int, alerts
                            in other cities; without_city: int
                            worst: list of {type, mission_id, point_id, performer_id,
                            performer_name, city, over}, at most ten, those that go on first; over:
                            timedelta by now; each may be None except type and mission_id
                            board_url: str, the board with its filters set; None if config does not
                            say where the board is
    always, about the step  step: alert, escalation, reminder, acknowledged or resolved
                            level: int from 1, of an escalation or reminder; otherwise None
                            told: list of str, who was told before an escalation
                            resolution: str, None if nothing has resolved it: moved_on, ended (the
                            mission is over) or withdrawn (the interval never was)
                            acknowledged_by: str, acknowledged_at: datetime; None if nobody has
                            silenced_until: datetime, silenced_by, silenced_because: str; the
                            silence that held the alert, None if none did
                            mission_url: str, the mission's page on the board; None if config does
                            not say where the board is

A message that is edited is rendered again, by the same template as when it was new. elapsed and
over are at detection in an alert; in an escalation or reminder they are now, and once the interval
has ended they are final. What is said about an earlier message has parts of its own if the channel
says so: Tracker's comment.

and these filters, which write in the locale's language:

    duration     timedelta -> "1 h 12 min": at most two units; "<1 s" for anything shorter
    clock        datetime -> "14:05 24 Nov UTC+3" in the configured zone; `b | clock(after=a)` is
                 only "14:18" if `a`, printed just before, has the same date and offset
    number       float -> "1.5", in Russian "1,5"
    one_line     any text -> a single line of at most 250 characters, for subjects
    code         any text -> `any text`, so that Tracker shows it without interpreting markup

Identifiers and attributes come from other systems. Each text among them is put on one line without
control characters (notifier.text) and cut at 200 characters, counted after HTML escaping. Parts
that a channel reads as HTML are escaped. So a message stays below Telegram's 4,096 characters
whatever the facts hold, and no cut splits a tag. In the lists of a digest each text is cut at 36
characters.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
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
from notifier.locales import LOCALES, Locale, clock, duration, number
from notifier.notification_types import DIGEST_TYPE, NOTIFICATION_TYPES, TEST_TYPE, steps_of

FACT_CHARACTERS: Final = 200
LISTED_CHARACTERS: Final = 36
"""Of a text in a list of a digest: ten of the worst and five cities fit into a message."""
LINE_CHARACTERS: Final = 250


class TemplateError(Exception):
    """A text could not be rendered. `reason` names the template, the line and the problem."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Renderer:
    """The templates of one locale.

    The facts of a notification and the filters are described at the top of this module.
    """

    def __init__(self, templates_dir: Path, locale: str, time_zone: tzinfo) -> None:
        """`time_zone` is the zone of the times in texts.

        Raises TemplateError if `locale` is unknown.
        """
        if locale not in LOCALES:
            raise TemplateError(f"unknown locale {locale!r}; known: {', '.join(LOCALES)}")
        self._templates_dir = templates_dir.resolve()
        self._locale = locale
        plain = _environment(self._templates_dir / locale, LOCALES[locale], time_zone)
        # Both use the macros, and each compiles them with its own escaping.
        self._plain, self._html = plain, plain.overlay(autoescape=True)

    def render(self, type: str, channel: type[Channel], facts: Mapping[str, Any]) -> dict[str, str]:
        """The text of each part of the channel, for a notification of this type.

        Raises TemplateError and no other exception.
        """
        texts = {}
        for part in channel.parts_of(facts.get("step", "alert")):
            name = _template_name(type, channel, part)
            environment = self._html if part in channel.html_parts else self._plain
            try:
                template = environment.get_template(name)
                texts[part] = template.render(_presentable_facts(facts)).strip()
            except Exception as error:
                raise TemplateError(self._reason(name, error)) from error
        return texts

    def preload(self) -> None:
        """Reads every template, so that rendering opens no file unless it has changed. A broken
        template raises its error when it is rendered."""
        for environment in (self._plain, self._html):
            for name in environment.list_templates():
                with suppress(jinja2.TemplateError, OSError, UnicodeError):
                    environment.get_template(name)

    def missing(
        self,
        channels: Collection[type[Channel]],
        digest_channels: Collection[type[Channel]] = (),
    ) -> list[str]:
        """The templates of these channels that do not exist, as paths within the directory; those
        of digests for digest_channels alone."""
        wanted = dict.fromkeys(
            [(type, channel) for type in (*NOTIFICATION_TYPES, TEST_TYPE) for channel in channels]
            + [(DIGEST_TYPE, channel) for channel in digest_channels]
        )
        paths = dict.fromkeys(
            f"{self._locale}/{_template_name(type, channel, part)}"
            for type, channel in wanted
            for step in steps_of(type)
            for part in channel.parts_of(step)
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
        """`<template>, line <n>` where the error occurred; None if outside any template."""
        if isinstance(error, jinja2.TemplateSyntaxError) and error.name:
            return f"{self._locale}/{error.name}, line {error.lineno}"
        place = None
        step = error.__traceback__
        while step:  # Jinja puts the template's path and line into the traceback
            path = Path(step.tb_frame.f_code.co_filename)
            if path.is_relative_to(self._templates_dir):
                relative = path.relative_to(self._templates_dir).as_posix()
                place = f"{relative}, line {step.tb_lineno}"
            step = step.tb_next
        return place


def one_line(text: str) -> str:
    """The text on one line, cut to a length that a list of tickets can show."""
    return _shorten(text, LINE_CHARACTERS)


def code(text: str) -> str:
    """The text as inline code, which nothing in it can end or format."""
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
    """A copy in which each text from other systems is short and on one line."""
    return {name: _presentable_fact(name, value) for name, value in facts.items()}


def _presentable_fact(name: str, value: Any) -> object:
    match name:
        case "attributes":
            return {key: _presentable(each) for key, each in value.items()}
        case "told":
            return [_shorten(each) for each in value]
        case "types" | "cities" | "worst":
            return [
                {key: _presentable(each, LISTED_CHARACTERS) for key, each in listed.items()}
                for listed in value
            ]
        case "mission_url" | "board_url":  # our own, and useless if it were cut
            return value
        case _:
            return _presentable(value)


def _presentable(value: object, limit: int = FACT_CHARACTERS) -> object:
    match value:
        case None | bool() | float() | datetime() | timedelta():
            return value
        case int() if abs(value) < 2**63:
            return value
        case str():
            return _shorten(value, limit)
        case _:
            return _shorten(json.dumps(value, ensure_ascii=False, default=str), limit)


def _shorten(text: str, limit: int = FACT_CHARACTERS) -> str:
    """The text on one line, cut with an ellipsis so that even its HTML fits into `limit`."""
    text = texts.one_line(text)
    if len(escape(text)) <= limit:
        return text
    costs = accumulate(len(escape(character)) for character in text)
    end = sum(1 for _ in takewhile(lambda cost: cost < limit, costs))
    return text[:end].rstrip() + "…"
