"""How each language writes durations, times and numbers, and what buttons say.

Babel is no substitute: its units are longer ("1 hr, 12 min"), it does not combine them into one
duration, and it writes offsets as GMT+3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final


@dataclass(frozen=True)
class Locale:
    """The words and signs of a language."""

    day: str
    hour: str
    minute: str
    second: str
    decimal_point: str
    months: str  # twelve words, in the form that follows the day
    acknowledge: str  # the label of a button
    press_answers: Mapping[str, str]
    """What is shown to whoever pressed it, by the result of the press. {by}: who acknowledged."""


LOCALES: Final[Mapping[str, Locale]] = {
    "en": Locale(
        day="d",
        hour="h",
        minute="min",
        second="s",
        decimal_point=".",
        months="Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        acknowledge="Acknowledge",
        press_answers={
            "acknowledged": "It is yours. Everybody who was told sees that.",
            "already": "{by} has acknowledged it already.",
            "resolved": "It is over already.",
            "elsewhere": "Only the chat that was told can acknowledge it.",
            "unknown": "This notification is no longer known.",
            "failed": "That did not work. Please press again.",
        },
    ),
    "ru": Locale(
        day="д",
        hour="ч",
        minute="мин",
        second="с",
        decimal_point=",",
        months="января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
        acknowledge="Беру на себя",
        press_answers={
            "acknowledged": "Теперь это за вами. Все, кому сообщили, это увидят.",
            "already": "Уже за {by}.",
            "resolved": "Уже закончилось.",
            "elsewhere": "Кнопка действует только в чате, куда пришло сообщение.",
            "unknown": "Об этом уведомлении уже ничего не известно.",
            "failed": "Не получилось. Нажмите ещё раз.",
        },
    ),
}


def duration(value: timedelta, *, locale: Locale) -> str:
    """The two largest units: `1 h 12 min`, `45 s`, `2 d 3 h`; `<1 s` below that, even for zero."""
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

    Only the time, `14:18`, if date and offset equal those of `after`, which was printed before.
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


def press_answer(result: str, by: str | None, *, locale: Locale) -> str:
    """What is shown to whoever pressed a button, as press_buttons says what came of it."""
    texts = locale.press_answers
    return texts.get(result, texts["failed"]).replace("{by}", by or "?")


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
