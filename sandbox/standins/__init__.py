"""Stand-ins for the channels' servers: real HTTP/1.1 on a free port of 127.0.0.1.

Each speaks the protocol of its API, keeps a ledger of what it accepted, and can be told how the
next requests go wrong:

    with TelegramStandIn("12345:token") as telegram:
        telegram.script(RESET_AFTER, late(2.0), telegram.refusal(429, "Too Many Requests", 5))
        ...                               # send to telegram.base_url
        telegram.messages                 # what a reader of the chats sees
        telegram.ledger                   # every request, and what was done with it

Or one request in five goes wrong by chance:

    telegram.chance = RandomFaults("seed", 0.2, telegram_faults(telegram, 30), name_of)
"""

from sandbox.standins.faults import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Fault,
    RandomFaults,
    Weighted,
    held,
    late,
    page,
    redirect,
)
from sandbox.standins.http import Call, Reply, json_reply
from sandbox.standins.server import Entry, StandIn
from sandbox.standins.telegram import (
    Chat,
    Edit,
    Entity,
    PressAnswer,
    TelegramMessage,
    TelegramStandIn,
    parse_html,
    telegram_faults,
)
from sandbox.standins.tracker import Comment, Move, Ticket, TrackerStandIn, tracker_faults

__all__ = [
    "HALF_AN_ANSWER",
    "RESET_AFTER",
    "RESET_BEFORE",
    "Call",
    "Chat",
    "Comment",
    "Edit",
    "Entity",
    "Entry",
    "Fault",
    "Move",
    "PressAnswer",
    "RandomFaults",
    "Reply",
    "StandIn",
    "TelegramMessage",
    "TelegramStandIn",
    "Ticket",
    "TrackerStandIn",
    "Weighted",
    "held",
    "json_reply",
    "late",
    "page",
    "parse_html",
    "redirect",
    "telegram_faults",
    "tracker_faults",
]
