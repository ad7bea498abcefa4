"""What the demo prints: the fleet, the messages and tickets, and what the database says."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import psycopg

from sandbox.demo.fleet import FLEET
from sandbox.demo.settings import CHAT, LEADS, QUEUE
from sandbox.standins import TelegramStandIn, TrackerStandIn


def say(text: str, end: str = "\n") -> None:
    """Print a step of the demo."""
    print(f"▸ {text}", end=end, flush=True)


def title(text: str) -> None:
    """Print the title of a section."""
    print(f"\n\n{text}\n{'─' * len(text)}")


def counted(count: int, thing: str) -> str:
    """1 message, 5 messages"""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def show_fleet() -> None:
    title("The fleet")
    for courier in FLEET:
        print(f"  {courier.name:<6} {courier.story}")


def show_messages(telegram: TelegramStandIn, tracker: TrackerStandIn) -> None:
    """The messages and tickets as they were at first."""
    for chat in (CHAT, LEADS):
        texts = [each.text for each in telegram.messages if each.chat_id == chat.chat_id]
        title(f"Telegram, chat “{chat.title}”: {counted(len(texts), 'message')}")
        print("\n\n".join(textwrap.indent(text, "  ┃ ") for text in texts))

    title(f"Tracker, queue {QUEUE}: {counted(len(tracker.tickets), 'ticket')}")
    for ticket in tracker.tickets:
        print(f"  {ticket.key}  {ticket.summary}")
    print(f"\n  {tracker.tickets[0].key} in full:")
    print(textwrap.indent(tracker.tickets[0].description, "  ┃ ", lambda _: True))


def show_afterwards(telegram: TelegramStandIn, tracker: TrackerStandIn) -> None:
    """What the messages were changed to, and the comments on the tickets."""
    title("Then Boris left, and Olga took care of the skipped job: the same messages now")
    latest = {edit.message_id: edit.text for edit in telegram.edits}
    print("\n\n".join(textwrap.indent(text, "  ┃ ") for text in latest.values()))
    print()
    for ticket in tracker.tickets:
        for comment in ticket.comments:
            print(f"  {ticket.key}, a comment:")
            print(textwrap.indent(comment.text, "  ┃ ", lambda _: True))


def show_timeouts(connection: psycopg.Connection[Any]) -> None:
    title("The view scooters_ops.mission_timeouts")
    _table(
        ("mission", "point", "type", "elapsed", "limit", "open"),
        connection.execute(
            "select mission_id, point_id, type, date_trunc('second', elapsed), time_limit,"
            " case when is_open then 'yes' else 'no' end"
            " from scooters_ops.mission_timeouts order by mission_id, started_at"
        ).fetchall(),
    )


def show_passes(
    connection: psycopg.Connection[Any], cron: psycopg.Connection[Any], version: int
) -> None:
    """`cron` is a connection to pg_cron's database, `version` PostgreSQL's."""
    title(f"What pg_cron ran (cron.job_run_details, PostgreSQL {version})")
    _table(
        ("job", "command", "runs", "failed", "last status"),
        cron.execute(
            "select job.jobname, job.command, count(*), count(*) filter (where status = 'failed'),"
            " (array_agg(status order by runid desc))[1]"
            " from cron.job_run_details inner join cron.job using (jobid)"
            " group by job.jobname, job.command order by job.jobname"
        ).fetchall(),
    )
    title("The passes of detection (scooters_ops.detection_passes)")
    _table(
        ("started (UTC)", "took, ms", "missions evaluated", "notifications inserted"),
        connection.execute(
            "select to_char(started_at, 'HH24:MI:SS.MS'),"
            " round(extract(epoch from elapsed) * 1000, 1), missions, inserted"
            " from scooters_ops.detection_passes order by pass_id"
        ).fetchall(),
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [list(header), *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"  {line}".rstrip())
