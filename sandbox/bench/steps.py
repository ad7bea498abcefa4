"""The figures of what follows the first message: what it costs passes and leases, and how soon an
edit leaves."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, LiteralString

from sandbox.bench.context import Bench
from sandbox.bench.databases import Session, clocked
from sandbox.bench.delivery import (
    CHATS,
    LEASE,
    UNLIMITED_RATES,
    address,
    installation,
    notify,
)
from sandbox.bench.fleet import WrongCount, short
from sandbox.bench.processes import PATIENCE_SECONDS, notifier_process

ONE = "select 1"
ALERTS, SCHEDULED = 1_000, 10_000
"""What a lease finds: alerts, of which it takes a hundred, and escalations that are due later, at
most ten for each of the fleet's missions."""

CREATE: LiteralString = """
    select count(scooters_ops.create_mission(jsonb_build_object(
        'mission_id', %(name)s || '-' || i, 'performer_id', 'courier-' || i,
        'attributes', jsonb_build_object('zone', %(zone)s),
        'points', (
            select jsonb_agg(jsonb_build_object(
                'point_id', 'p' || n, 'eta_seconds', 600,
                'jobs', '[{"job_id": "j1", "type": "pickup"}]'::jsonb
            ))
            from generate_series(1, 8) as n
        )
    )))
    from generate_series(1, %(missions)s) as i
    """
LATE: LiteralString = """
    select count(scooters_ops.record_event(
        %(name)s || '-' || i, 'mission_started', null, now() - interval '1 hour'
    ))
    from generate_series(1, %(missions)s) as i
    """
"""They are on the way to the first point for too long."""
ARRIVE: LiteralString = """
    select count(scooters_ops.record_event(%(name)s || '-' || i, 'point_arrived', 'p1'))
    from generate_series(1, %(missions)s) as i
    """
"""Which is over then."""
SEND: LiteralString = """
    select scooters_ops.record_deliveries('bench', jsonb_agg(jsonb_build_object(
        'recipient_id', recipient_id, 'state', 'sent', 'is_attempt', true, 'delay_seconds', 0,
        'reference', recipient_id::text
    )))
    from scooters_ops.lease_deliveries('bench', '{"telegram": 1000}', 60)
    """
ESCALATE: LiteralString = """
    insert into scooters_ops.notification_recipients (
        notification_id, channel, target, step, next_attempt_at
    )
    select
        notification_id, channel, target || jsonb_build_object('chat_id', -2000 - n),
        'escalation_1', now() + interval '1 hour'
    from (
        select *, row_number() over (order by recipient_id) %% %(chats)s as n
        from scooters_ops.notification_recipients
        where step = 'alert' and state = 'sent' limit %(rows)s
    ) as alert
    """
FOLLOW: LiteralString = """
    insert into scooters_ops.notification_recipients (
        notification_id, channel, target, step, follows
    )
    select notification_id, channel, target, 'acknowledged', recipient_id
    from scooters_ops.notification_recipients
    where step = 'alert' and state = 'sent' limit %(rows)s
    """
SENT: LiteralString = (
    "update scooters_ops.notification_recipients set state = 'sent', sent_at = now()"
)
UNSENT = "select count(*) from scooters_ops.notification_steps where state <> 'sent'"


def in_database(bench: Bench) -> None:
    """What steps cost passes and leases. Without them is a database where messages do not show how
    things ended."""
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(installation(bench, on_resolved=on_resolved))[0]
            for on_resolved in ("edit", "nothing")
        ]
        _passes(bench, *sessions)
        _leases(bench, *sessions)


def _passes(bench: Bench, with_steps: Session, without: Session) -> None:
    """A pass that resolves notifications that were told, in turns with the same pass where nothing
    follows."""
    due, turns = bench.fleet.due, bench.turns.passes
    bench.report.begin("passes that resolve", turns)
    times: dict[Session, list[float]] = {with_steps: [], without: []}
    for turn in range(-1, turns):
        for session in (with_steps, without):
            facts = {"name": f"told-{turn}", "missions": due, "zone": "z1"}
            session.execute(CREATE, facts)
            session.execute(LATE, facts)
            session.detect(datetime.now(UTC), due, woken=due)
            session.execute("select scooters_ops.plan_deliveries(1000)")
            WrongCount.unless("messages recorded", session.value(SEND), due)
            session.execute(ARRIVE, facts)
            seconds = session.detect(datetime.now(UTC), 0, woken=due)
            if turn >= 0:
                times[session].append(seconds)
            follows = due if session is with_steps else 0
            WrongCount.unless("edits to send", session.value(UNSENT), follows)
            session.execute(SENT)
        bench.report.advance()
    name = f"pass, {due} resolved, an edit of each / none"
    bench.ratio(name, times[with_steps], times[without], 1.5, scale="1")


def _leases(bench: Bench, with_steps: Session, without: Session) -> None:
    """Leasing alerts beside many scheduled steps and edits, in turns with leasing them alone."""
    turns, scheduled = bench.turns.passes, min(SCHEDULED, 10 * bench.fleet.active)
    bench.report.begin("leases", turns)
    times: dict[Session, list[float]] = {with_steps: [], without: []}
    ones: list[float] = []
    _fill(with_steps, scheduled)
    _fill(without, 0)
    for turn in range(-bench.turns.warm_up, turns):
        for session in (with_steps, without):
            one = session.timed(ONE)[0]
            with session.connection.transaction(force_rollback=True):
                seconds = clocked(_lease, session)
            if turn % 10 == 0:
                session.execute("vacuum scooters_ops.notification_recipients")
            if turn >= 0:
                times[session].append(seconds)
                ones.append(one)
        bench.report.advance()
    beside = short(scheduled + scheduled // 10)
    bench.ratio("leasing 100 / select 1", times[without], ones, None, scale="1k")
    bench.ratio(
        f"leasing 100, beside {beside} later steps / alone",
        times[with_steps],
        times[without],
        1.5,
        scale="1k",
    )
    pages = with_steps.pages(LEASE) / without.pages(LEASE)
    bench.count(f"pages of leasing 100, beside {beside} later steps / alone", pages, "×", 1.2, "1k")


def _lease(session: Session) -> None:
    rows = session.connection.execute(LEASE).fetchall()
    WrongCount.unless("rows leased", len(rows), 100)


def _fill(session: Session, scheduled: int) -> None:
    """Alerts that wait, beside so many sent ones that escalate later. A tenth of these is to be
    edited."""
    session.execute("set session_replication_role = replica")
    session.execute("set jit = off")  # as in the notifier's sessions
    if scheduled:
        notify(session, "sent", 1, scheduled, planned_at="now")
        address(session, CHATS)
        session.execute(SENT)
        session.execute(ESCALATE, {"rows": scheduled, "chats": CHATS})
        session.execute(FOLLOW, {"rows": scheduled // 10})
    notify(session, "alert", 1, ALERTS, planned_at="now")
    address(session, CHATS)
    session.execute("set session_replication_role = origin")
    session.execute("vacuum analyze")


def _timed_rows(session: Session, statement: str, rows: int) -> float:
    started = time.perf_counter()
    found = len(session.connection.execute(statement).fetchall())
    seconds = time.perf_counter() - started
    WrongCount.unless("rows leased", found, rows)
    return seconds


def latency(bench: Bench) -> None:
    """From before the commit of the event that closes an interval to the arrival of the edit at the
    sink, beside the time from before the commit of the event that makes it overdue to the arrival
    of the alert. Both include a pass, which is run at once by hand: pg_cron's would come within its
    schedule. No other mission is under way, and the notifier is idle."""
    turns = bench.turns.passes
    bench.report.begin("latency from an event to the wire", turns)
    alerts: list[float] = []
    edits: list[float] = []
    with ExitStack() as stack:
        session, sink = stack.enter_context(installation(bench, limits=UNLIMITED_RATES))
        stack.enter_context(notifier_process(session))
        for turn in range(-3, turns):
            facts: dict[str, Any] = {"name": f"probe-{turn}", "missions": 1, "zone": "probe"}
            session.execute(CREATE, facts)
            for event, seconds in ((LATE, alerts), (ARRIVE, edits)):
                started = time.monotonic()
                session.execute(event, facts)
                session.execute("select scooters_ops.detect_timeouts()")
                arrived = sink.probed_at() - started
                if turn >= 0:
                    seconds.append(arrived)
                _until_sent(session)
            bench.report.advance()
    bench.ratio("closing event to edit / late event to alert", edits, alerts, None, scale="1")


def _until_sent(session: Session) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while session.value(UNSENT):
        WrongCount.unless("messages recorded in time", time.monotonic() < deadline, True)
        time.sleep(0.005)


FIGURES = (in_database, latency)
