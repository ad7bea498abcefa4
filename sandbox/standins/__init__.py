"""Stand-ins of the channels' servers."""

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
    Entity,
    TelegramMessage,
    TelegramStandIn,
    parse_html,
    telegram_faults,
)
from sandbox.standins.tracker import Ticket, TrackerStandIn, tracker_faults

__all__ = [
    "HALF_AN_ANSWER",
    "RESET_AFTER",
    "RESET_BEFORE",
    "Call",
    "Chat",
    "Entity",
    "Entry",
    "Fault",
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
