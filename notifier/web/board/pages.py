"""The board's templates and texts, in every locale."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from notifier.history import EVENT_TYPES
from notifier.locales import LOCALES, Locale, clock, duration, number
from notifier.notification_types import NOTIFICATION_TYPES
from notifier.templates import TemplateError
from notifier.web.board.answers import Reason

FOLDER: Final = Path(__file__).parent
STATIC_TYPES: Final = {
    "board.css": "text/css; charset=utf-8",
    "board.js": "text/javascript; charset=utf-8",
    "board.svg": "image/svg+xml",
}


class Pages:
    """Renders the templates. Files are read once: this process may outlive their upgrade.

    Raises TemplateError where a locale lacks a text, OSError or ValueError where a file cannot be
    read.
    """

    def __init__(self, time_zone: tzinfo, refresh_seconds: float) -> None:
        self.texts: dict[str, dict[str, str]] = {
            locale: json.loads((FOLDER / "texts" / f"{locale}.json").read_text("utf-8"))
            for locale in LOCALES
        }
        require_texts(self.texts)
        self.static = {name: (FOLDER / "static" / name).read_bytes() for name in STATIC_TYPES}
        version = hashlib.sha256(b"".join(self.static.values())).hexdigest()[:12]
        self._environments = {locale: self._environment(locale, time_zone) for locale in LOCALES}
        for environment in self._environments.values():
            environment.globals.update(version=version, refresh_seconds=refresh_seconds)

    def _environment(self, locale: str, time_zone: tzinfo) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        words = LOCALES[locale]
        environment.filters.update(
            duration=partial(duration, locale=words),
            number=partial(number, locale=words),
            count=partial(_count, locale=words),
            clock=partial(_clock, locale=words, time_zone=time_zone),
            segment=partial(quote, safe=""),
            because=partial(_because, texts=self.texts[locale], locale=words, time_zone=time_zone),
        )
        environment.globals.update(
            t=self.texts[locale],
            locale=locale,
            locales=list(LOCALES),
            time_zone=time_zone,
            types=NOTIFICATION_TYPES,
        )
        for name in environment.list_templates(["j2"]):
            environment.get_template(name)
        return environment

    def render(self, locale: str, template: str, **facts: Any) -> Markup:
        """The HTML of a template."""
        found = self._environments[locale].get_template(f"{template}.html.j2")
        return Markup(found.render(facts))  # noqa: S704  # The environment has autoescape on.


def require_texts(texts: Mapping[str, Mapping[str, str]]) -> None:
    """Checks that every locale names every notification type and event type, and has each text
    that another locale has.

    Raises TemplateError, which names the file and the key.
    """
    keys = [f"type_{each}" for each in NOTIFICATION_TYPES]
    keys += [f"event_{each}" for each in EVENT_TYPES]
    keys += [key for known in texts.values() for key in known]
    for locale, known in texts.items():
        for key in keys:
            if key not in known:
                file = f"notifier/web/board/texts/{locale}.json"
                raise TemplateError(f"{file}: the board has no text {key!r} in this locale")


def _because(
    reason: Reason,
    after: datetime,
    *,
    texts: Mapping[str, str],
    locale: Locale,
    time_zone: tzinfo,
) -> Markup:
    """The sentence of a reason with its facts. A reason that this version does not know is shown
    as it is."""

    def shown(key: str, value: Any) -> str:
        if value is None:
            return texts["fact_unknown"]
        try:
            if key.endswith("_seconds"):
                return duration(timedelta(seconds=float(value)), locale=locale)
            if key == "at" or key.endswith("_at"):
                moment = datetime.fromisoformat(value)
                return _clock(moment, after, seconds=True, locale=locale, time_zone=time_zone)
        except (TypeError, ValueError, OverflowError):
            return str(value)
        if key == "type":
            return texts.get(f"type_{value}", str(value))
        if isinstance(value, float):
            return number(value, locale=locale)
        if isinstance(value, list):
            return ", ".join(map(_word, value)) or texts["fact_none"]
        return _word(value)

    sentence = texts.get(f"because_{reason.reason}", reason.reason)
    parts = re.split(r"\{(\w+)\}", sentence)
    return Markup("").join(
        Markup("<bdi>{}</bdi>").format(shown(part, reason.facts.get(part))) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _count(value: int, *, locale: Locale) -> str:
    """`100,000`, in Russian `100 000`."""
    return f"{value:,}".replace(",", "," if locale.decimal_point == "." else "\u00a0")


def _clock(
    value: datetime,
    after: datetime | None = None,
    *,
    seconds: bool = False,
    locale: Locale,
    time_zone: tzinfo,
) -> str:
    """Wall time with date and offset; both are left out where they equal those of `after`."""
    try:
        text = clock(value, after, locale=locale, time_zone=time_zone)
        local = value.astimezone(time_zone)
    except OverflowError:  # Phones do send the last hours of the year 9999.
        return value.isoformat()
    return text.replace(f"{local:%H:%M}", f"{local:%H:%M:%S}", 1) if seconds else text
