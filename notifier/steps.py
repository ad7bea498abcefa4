"""The steps of a notification: the alert, and what follows it.

A step's name in the database may have a number ("escalation_2") or the step whose message it
changes ("resolved_reminder_1"); here its kind alone counts.
"""

from __future__ import annotations

from typing import Final

STEPS: Final = ("alert", "escalation", "reminder", "acknowledged", "resolved")
FOLLOW_UPS: Final = frozenset({"reminder", "acknowledged", "resolved"})
"""They change or answer a message that was sent before."""

LATER_ALARMS: Final = frozenset({"escalation", "reminder"})
"""They tell of something that goes on, some time after the alert."""


def kind(step: str) -> str:
    """escalation_2 -> escalation"""
    return step.partition("_")[0]


def level(step: str) -> int | None:
    """escalation_2 -> 2; None: the step has no number."""
    number = step.partition("_")[2]
    return int(number) if number.isdecimal() else None
