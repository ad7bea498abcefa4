"""Which notification a request, a message or a ticket is about.

The answer comes from the text, where every template ends with the notification's token, and not
from the idempotency key, which may be wrong.
"""

from __future__ import annotations

import re

from sandbox.standins import Call, TelegramMessage, Ticket
from sandbox.torture.verdict import Delivery


def token_of(number: int) -> str:
    """The token of the notification with this number."""
    return f"m{number}_p1_j1_job_skipped"


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


def delivery_of(accepted: object) -> tuple[Delivery, str]:
    """The delivery that a message or a ticket makes, and its reference."""
    if isinstance(accepted, Ticket):
        return Delivery("st", accepted.queue, last_word(accepted.description)), accepted.key
    assert isinstance(accepted, TelegramMessage)
    delivery = Delivery("telegram", str(accepted.chat_id), last_word(accepted.text))
    return delivery, str(accepted.message_id)
