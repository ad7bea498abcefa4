"""A snapshot and its advice, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from notifier.silences import line_of
from notifier.status.advice import advice, age
from notifier.status.snapshot import DeliveryStatus, RecipientStatus, Status
from notifier.text import escaped

SHOWN_LINES = 5
"""How many recipients, holds and notifiers the text shows; JSON has them all."""


# --- Text ----------------------------------------------------------------------------------------


def text(status: Status) -> str:
    """A few lines, however large the system is."""
    lines = [
        *_shards(status),
        _detection(status),
        *_notifiers(status),
        *_buttons(status),
        *_deliveries(status),
        *_recipients(status),
        *_holds(status),
        *_silences(status),
        *(advice(status) or ["Nothing needs a person."]),
    ]
    return "\n".join(escaped(line) for line in lines)


def _shards(status: Status) -> Iterator[str]:
    if not status.shards:
        return
    missing = [shard.name for shard in status.shards if not shard.is_up]
    yield (
        f"Router over {len(status.shards)} shards; what follows is of all of them together"
        + (f", without {', '.join(missing)}" if missing else "")
    )


def _detection(status: Status) -> str:
    detection = status.detection
    if detection.last_pass_at is None:
        line = "no pass yet"
    else:
        line = (
            f"last pass {age(status.now - detection.last_pass_at)} ago, "
            f"{detection.last_pass_missions} missions, {detection.last_pass_inserted} inserted"
        )
        if detection.last_pass_recorded is not None:
            line += (
                f", {detection.last_pass_recorded} intervals recorded,"
                f" {detection.last_pass_judged} judged, {detection.last_pass_resolved} resolved"
            )
    if detection.missions_waiting:
        line += f"; {detection.missions_waiting} missions wait for the next pass"
    if detection.lock_waiters:
        line += f"; {detection.lock_waiters} waits for {detection.lock_holder}"
    return f"Detection: {line}" + ("" if detection.is_enabled else "; disabled by config")


def _notifiers(status: Status) -> Iterator[str]:
    if not status.notifiers:
        yield "Notifiers: none"
        return
    dead = [notifier for notifier in status.notifiers if not notifier.is_alive]
    yield f"Notifiers: {len(status.alive)} alive" + (f", {len(dead)} dead" if dead else "")
    dead.sort(key=lambda notifier: notifier.seen_at, reverse=True)
    alive = sorted(status.alive, key=lambda notifier: -notifier.leases)
    yield from _few(
        f"  {each.name}: {'' if each.is_alive else 'dead, '}"
        f"seen {age(status.now - each.seen_at)} ago, {each.leases} leases"
        + ("" if each.is_alive or not each.leases else ", which come back by themselves")
        + (f"; {each.problem}" if each.is_alive and each.problem else "")
        for each in (*dead[:SHOWN_LINES], *alive, *dead[SHOWN_LINES:])
    )


def _buttons(status: Status) -> Iterator[str]:
    for row in status.buttons:
        poller = f"{row.polled_by} asks" if row.is_polled else "no notifier asks"
        problem = f"; {row.problem}" if row.problem else ""
        yield f"Buttons: {poller} {row.channel} for presses{problem}"


def _deliveries(status: Status) -> Iterator[str]:
    if not status.deliveries:
        yield "Deliveries: nothing waits"
        return
    yield f"{'channel':<10} {'state':<10} {'count':>7} {'oldest':>8}  error"
    for row in status.deliveries:
        yield (
            f"{row.channel or '-':<10} {row.state:<10} {_count(row):>7}"
            f" {age(status.now - row.oldest_created_at):>8}  {row.sample_error or ''}".rstrip()
        )


def _recipients(status: Status) -> Iterator[str]:
    """Failed ones first, then those in doubt, then those that have waited longest."""
    severity = {"failed": 0, "in_doubt": 1}
    rows = sorted(
        (row for row in status.recipients if row.state not in ("scheduled", "silenced")),
        key=lambda row: (severity.get(row.state, 2), row.oldest_created_at),
    )
    if rows:
        yield "Recipients, the worst first:"
    yield from _few(
        f"  {row.channel} {row.address}: {_count(row)} {row.state},"
        f" for {age(status.now - row.oldest_created_at)}"
        for row in rows
    )


def _holds(status: Status) -> Iterator[str]:
    for hold in status.paused:
        yield (
            f"Paused: {hold.channel}, tried again in {age(hold.held_until - status.now)}:"
            f" {hold.reason}"
        )
    if status.held:
        yield "On hold:"
    yield from _few(
        f"  {hold.channel} {hold.address}, for {age(hold.held_until - status.now)}: {hold.reason}"
        for hold in status.held
    )


def _silences(status: Status) -> Iterator[str]:
    if status.silences:
        yield "Silenced:"
    yield from _few(f"  {each.silence_id} {line_of(each)}" for each in status.silences)


def _few(lines: Iterable[str]) -> Iterator[str]:
    """The first few, and how many more there are."""
    everything = [*lines]
    yield from everything[:SHOWN_LINES]
    if len(everything) > SHOWN_LINES:
        yield f"  and {len(everything) - SHOWN_LINES} more: notifier status --json"


def _count(row: DeliveryStatus | RecipientStatus) -> str:
    return f"{row.recipients}+" if row.is_lower_bound else str(row.recipients)


# --- JSON ----------------------------------------------------------------------------------------


def document(status: Status) -> Mapping[str, Any]:
    """The same with every row: times in ISO 8601, durations in seconds (`_seconds`)."""
    lines = advice(status)
    detection = _plain(status.detection)
    elapsed = detection.pop("last_pass_elapsed")
    detection["last_pass_elapsed_seconds"] = None if elapsed is None else _seconds(elapsed)
    return {
        "as_of": status.now.isoformat(),
        "is_person_needed": bool(lines),
        "advice": lines,
        "config_id": status.in_force.config_id,
        "shards": [_plain(row) for row in status.shards],
        "detection": detection,
        "input": _input(status),
        "notifiers": [
            {**_plain(row), "seen_age_seconds": _seconds(status.now - row.seen_at)}
            for row in status.notifiers
        ],
        "buttons": [_plain(row) for row in status.buttons],
        "deliveries": [_with_age(status, row) for row in status.deliveries],
        "recipients": [_with_age(status, row) for row in status.recipients],
        "holds": [
            {**_plain(row), "held_for_seconds": _seconds(row.held_until - status.now)}
            for row in status.holds
        ],
        "silences": [_plain(row) for row in status.silences],
    }


def _input(status: Status) -> Mapping[str, Any]:
    row = _plain(status.input)
    after = row.pop("silent_after")
    newest = status.input.newest_event_at
    return {
        **row,
        "newest_event_age_seconds": None if newest is None else _seconds(status.now - newest),
        "silent_after_seconds": None if after is None else _seconds(after),
    }


def _with_age(status: Status, row: DeliveryStatus | RecipientStatus) -> Mapping[str, Any]:
    return {**_plain(row), "oldest_age_seconds": _seconds(status.now - row.oldest_created_at)}


def _plain(row: Any) -> dict[str, Any]:
    """The row's fields, with times as JSON text."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in asdict(row).items()
    }


def _seconds(duration: timedelta) -> float:
    return max(duration.total_seconds(), 0.0)
