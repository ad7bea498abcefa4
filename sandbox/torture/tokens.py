"""Which notification a request, a message or a ticket is about.

The answer comes from the text, where every template ends with the notification's token, and not
from the idempotency key, which may be wrong.
"""

from __future__ import annotations

import re

from sandbox.standins import Call, TelegramMessage, Ticket
from sandbox.torture.verdict import Delivery, Told


def is_timeout(number: int) -> bool:
    """Whether the notification with this number tells of a timeout, which resolves. The others
    tell of a skipped job."""
    return number % 2 == 0


def token_of(number: int) -> str:
    """The token of the notification with this number."""
    kind = "_timeout_in_point" if is_timeout(number) else "j1_job_skipped"
    return f"m{number}_p1_{kind}"


def step_of(text: str) -> str:
    """The step that a message's text or a ticket's summary is about, as its readers see it."""
    found = re.search(r"(Level|Reminder) ([0-9]+)[:.]", text)
    if found is None:
        return "alert"
    return f"{'escalation' if found[1] == 'Level' else 'reminder'}_{found[2]}"


def told_by(text: str) -> Told | None:
    """What a digest says; None: it is no digest."""
    found = re.search("([0-9]+) alerts together", text)
    if found is None:
        return None
    return Told(int(found[1]), re.findall("mission `?([a-z0-9]+)", text))


def outcome_of(text: str) -> str | None:
    """What a text says about how it ended (resolved) or who takes care (acknowledged)."""
    over = "✅|Withdrawn|already ended|, left at|^(All over|Already over or acknowledged): [0-9]"
    if re.search(over, text):
        return "resolved"
    return "acknowledged" if " has it since " in text else None


def name_of(call: Call, ticket: Ticket | None) -> str:
    """The notification or the follow-up that a request is about, the same in every run with the
    same seed.

    ticket  the one that the request's path names: its key depends on the order of events
    """
    body = call.body if isinstance(call.body, dict) else {}
    filters = body.get("filter", {})
    about = body.get("text") or body.get("comment") or body.get("unique") or filters.get("unique")
    if about is None:
        about = call.query.get("unique", ticket.description if ticket else "?")
    return last_word(str(about))


def last_word(text: str) -> str:
    """The last word of a text, without its markup."""
    return re.sub(r"<[^>]*>|`", "", text.split()[-1])


def text_of(accepted: object) -> str:
    """What a message or a ticket says."""
    if isinstance(accepted, Ticket):
        return accepted.description
    assert isinstance(accepted, TelegramMessage)
    return accepted.text


def delivery_of(accepted: object) -> tuple[Delivery, str]:
    """The delivery that a message or a ticket makes, and its reference."""
    if isinstance(accepted, Ticket):
        token, step = last_word(accepted.description), step_of(accepted.summary)
        return Delivery("st", accepted.queue, token, step), accepted.key
    assert isinstance(accepted, TelegramMessage)
    token, step = last_word(accepted.text), step_of(accepted.text)
    delivery = Delivery("telegram", str(accepted.chat_id), token, step)
    return delivery, str(accepted.message_id)
