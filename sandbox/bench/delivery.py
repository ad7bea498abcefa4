"""The figures of delivery: how fast a backlog drains, how soon a message leaves, and what a large
backlog costs.

The notifier is a process of its own, as in production, and runs without rate limits. It sends to
the sink, another process, which answers at once as Telegram would. Notifications are inserted by
SQL, as skip_job inserts them. The notifier does the rest: it plans, leases, renders, sends and
records.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from statistics import median, quantiles
from typing import Any, LiteralString

from sandbox.bench.context import Bench
from sandbox.bench.databases import CHUNK, TEMPLATE, Session, clocked
from sandbox.bench.fleet import WrongCount, short
from sandbox.bench.processes import (
    PATIENCE_SECONDS,
    TOKEN,
    Sink,
    notifier_process,
    python_process,
    sink_process,
)
from sandbox.bench.report import Figure
from sandbox.bench.sink import PROBE
from sandbox.processes import peak_memory_kib

DRAINED = 20_000
"""Notifications of a drain, at most as many as the fleet has missions."""
AT_ONCE = (100, 10)
"""Requests at once: config.json's batch_size, which the target is for, and a number so low that
httpx's connection pool, which the notifier does not use, costs little."""
BARE = 1_500
"""POST requests of a turn of bare httpx: a hundred at once are slow, and more would not change the
rate."""
EDITED = 3_000
"""Of a drain's messages, how many are edited."""
CHATS = 10
PENDING, PENDING_CHATS = 1_000_000, 1_000
"""A large backlog, at most ten notifications for each of the fleet's missions."""
BACKLOG = 1_000
"""How many messages wait for another chat while latency is measured under load."""
LATE_AT_ONCE, DIGEST_ABOVE = 300, 5
GROUP_MESSAGES, GROUP_SECONDS = 20, 60
"""Telegram lets a bot send so many messages to a group within so many seconds, and one a second."""
UNLIMITED_RATES: Mapping[str, Any] = {"per_channel": [], "per_target": [], "per_group": []}

INSERT: LiteralString = """
    insert into scooters_ops.monitoring_notifications (
        idempotency_token, mission_id, point_id, job_id, type, details, planned_at
    )
    select
        %(name)s || '-' || i || '_p1_j1_job_skipped', %(name)s || '-' || i, 'p1', 'j1',
        'job_skipped',
        jsonb_build_object(
            'performer_id', 'courier-' || i,
            'attributes', jsonb_build_object('zone', coalesce(%(zone)s, 'z' || i %% %(chats)s)),
            'point_position', 1, 'points_total', 8, 'job_type', 'pickup', 'skipped_at', now()
        ),
        %(planned_at)s::timestamptz
    from generate_series(%(first)s, %(last)s) as i
    """
ADDRESS: LiteralString = """
    insert into scooters_ops.notification_recipients (notification_id, channel, target)
    select
        notification_id, 'telegram',
        jsonb_build_object('type', 'telegram', 'chat_id', -1000 - notification_id %% %(chats)s)
    from scooters_ops.monitoring_notifications as notification
    where not exists (
        select from scooters_ops.notification_recipients as known
        where known.notification_id = notification.notification_id
    )
    """
ACKNOWLEDGE: LiteralString = """
    select count(scooters_ops.acknowledge(idempotency_token, 'bench'))
    from (select * from scooters_ops.notifications limit %(rows)s) as sent
    """
LEASE = """
    select * from scooters_ops.lease_deliveries(
        'bench', '{"telegram": 100}', 60, '{"telegram": 50}'
    )
    """
RELEASE = "select scooters_ops.release_deliveries('bench')"
UNTOLD = """
    select count(*) from scooters_ops.monitoring_notifications where not completed
    """
STATUS = "select * from scooters_ops.delivery_status"


@contextmanager
def installation(
    bench: Bench,
    batch_size: int = AT_ONCE[0],
    limits: Mapping[str, Any] | None = None,
    on_resolved: str = "edit",
    digest_above: int | None = None,
) -> Iterator[tuple[Session, Sink]]:
    """A database without notifications, and the sink that its config sends to."""
    with sink_process() as sink, bench.databases.copy(TEMPLATE) as session:
        config = deepcopy(dict(bench.config))
        telegram = config["channels"]["telegram"] | {"base_url": sink.url, "limits": limits}
        telegram |= {"on_resolved": on_resolved, "digest_above": digest_above}
        config["channels"] = {"telegram": telegram}
        config["notifier"]["batch_size"] = batch_size
        chats = {"probe": PROBE} | {f"z{n}": -1000 - n for n in range(CHATS)}
        config["routes"] = [
            {"match": {"zone": zone}, "recipients": [{"type": "telegram", "chat_id": chat}]}
            for zone, chat in chats.items()
        ]
        session.execute("select scooters_ops.apply_config(%s)", [json.dumps(config)])
        yield session, sink


def notify(
    session: Session, name: str, first: int, last: int, *, zone: str = "", planned_at: str = ""
) -> None:
    """Insert notifications; by default they are spread over the zones z0, z1, ..."""
    facts = {"name": name, "first": first, "last": last, "chats": CHATS}
    session.execute(INSERT, facts | {"zone": zone or None, "planned_at": planned_at or None})


def address(session: Session, chats: int) -> None:
    """Give each notification without a recipient one of so many chats."""
    session.execute(ADDRESS, {"chats": chats})


def drain(bench: Bench) -> None:
    """Drain a backlog into the sink, in turns with bare httpx with as many requests at once, then
    some of it again as edits, because somebody has acknowledged it: messages per second, from the
    first arrival to the last."""
    count = min(DRAINED, bench.fleet.active)
    turns = min(bench.turns.few, 3)
    bench.report.begin(f"draining {count:,} notifications", turns * len(AT_ONCE))
    rates: dict[int, list[float]] = {at_once: [] for at_once in AT_ONCE}
    bare: dict[int, list[float]] = {at_once: [] for at_once in AT_ONCE}
    edits: list[float] = []
    for _ in range(turns):
        for at_once in AT_ONCE:
            drained = count if at_once == AT_ONCE[0] else min(count, BARE)
            with installation(bench, at_once) as (session, sink):
                rates[at_once].append(drain_rate(session, sink, drained))
                bare[at_once].append(_bare_rate(sink, min(count, BARE), at_once))
                if at_once == AT_ONCE[0]:
                    edits.append(_edit_rate(session, sink, min(count, EDITED)))
            bench.report.advance()
    for at_once in AT_ONCE:
        bench.ratio(
            f"draining / bare httpx, {at_once} at once",
            rates[at_once],
            bare[at_once],
            bench.at_large(0.6) if at_once == AT_ONCE[0] else None,
            scale=short(count if at_once == AT_ONCE[0] else min(count, BARE)),
            at_least=True,
            unit="messages/s",
        )
    bench.ratio(
        f"draining edits / messages, {AT_ONCE[0]} at once",
        edits,
        rates[AT_ONCE[0]],
        None,
        scale=short(min(count, EDITED)),
        at_least=True,
        unit="messages/s",
    )


def drain_rate(session: Session, sink: Sink, count: int) -> float:
    """Messages per second of a notifier that drains so many notifications. Raises WrongCount."""
    notify(session, "drain", 1, count)
    session.execute("vacuum analyze")
    with notifier_process(session, "--once"):
        pass
    messages, seconds = sink.received()
    WrongCount.unless("messages of a drain", messages, count)
    completed = "select count(*) from scooters_ops.monitoring_notifications where completed"
    WrongCount.unless("completed by a drain", session.value(completed), count)
    return count / seconds


def _edit_rate(session: Session, sink: Sink, count: int) -> float:
    """Edits per second of a notifier after so many messages that it sent were acknowledged."""
    session.execute(ACKNOWLEDGE, {"rows": count})
    session.execute("vacuum analyze")
    with notifier_process(session, "--once"):
        pass
    edits, seconds = sink.received()
    WrongCount.unless("edits of a drain", edits, count)
    return count / seconds


def _bare_rate(sink: Sink, count: int, at_once: int) -> float:
    arguments = (f"{sink.url}/bot{TOKEN}/sendMessage", str(count), str(at_once))
    with python_process("-m", "sandbox.bench.bare_httpx", *arguments) as process:
        WrongCount.unless("exit code of bare httpx", process.wait(), 0)
    messages, seconds = sink.received()
    WrongCount.unless("messages of bare httpx", messages, count)
    return count / seconds


def latency(bench: Bench) -> None:
    """From before the commit of a notification to its arrival at the sink, in turns with a NOTIFY
    from one connection to another: idle, and while a backlog drains into another chat. There are
    no rate limits; a chat has at most as many requests in flight as in_flight_per_target allows
    by default."""
    bench.report.begin("latency from commit to wire", 2 * bench.turns.quick)
    with ExitStack() as stack:
        session, sink = stack.enter_context(installation(bench, limits=UNLIMITED_RATES))
        listener = stack.enter_context(bench.databases.session(session.connection.info.dbname))
        listener.execute("listen bench")
        stack.enter_context(notifier_process(session))
        inserted = probed = 0
        for load in (0, BACKLOG):
            waiting = 0
            messages: list[float] = []
            notifies: list[float] = []
            for turn in range(-bench.turns.warm_up, bench.turns.quick):
                waiting = max(waiting - sink.received()[0], 0)
                if waiting < load / 2:
                    notify(session, "load", inserted + 1, inserted + load, zone="z1")
                    inserted += load
                    waiting += load
                probed += 1
                started = time.monotonic()
                notify(session, "probe", probed, probed, zone="probe")
                message = sink.probed_at() - started
                round_trip = clocked(_round_trip, session, listener)
                if turn >= 0:
                    messages.append(message)
                    notifies.append(round_trip)
                    bench.report.advance()
            _latencies(bench, "under load" if load else "idle", messages, notifies)


def _round_trip(session: Session, listener: Session) -> None:
    session.execute("notify bench")
    for _ in listener.connection.notifies(timeout=PATIENCE_SECONDS, stop_after=1):
        pass


def _latencies(
    bench: Bench, when: str, messages: Sequence[float], notifies: Sequence[float]
) -> None:
    for name, index in (("p50", 49), ("p99", 98)):
        message, notify = (
            quantiles(times, n=100, method="inclusive")[index] * 1000
            for times in (messages, notifies)
        )
        bench.report.add(
            Figure(
                f"commit to wire, {when}, {name} / NOTIFY",
                bench.fleet.label,
                message / notify,
                "×",
                None,
                turns=len(messages),
                detail=f"{message:.3g} ms against {notify:.3g} ms",
            )
        )


def backlog(bench: Bench) -> None:
    """Many pending rows for many chats: the notifier's peak memory while it drains some of them,
    and the pages that a lease and a status read, compared with those for a tenth of the rows."""
    pending = min(PENDING, 10 * bench.fleet.active)
    chats = min(PENDING_CHATS, pending // 20)
    drained = min(DRAINED // 5, pending // 2)
    bench.report.begin(f"inserting {pending:,} pending recipients", pending)
    with installation(bench) as (session, sink):
        session.execute("set session_replication_role = replica")
        session.execute("set jit = off")  # as in the notifier's sessions
        leases, statuses = [], []
        for first, last in ((1, pending // 10), (pending // 10 + 1, pending)):
            for start in range(first, last + 1, CHUNK):
                end = min(start + CHUNK - 1, last)
                notify(session, "pending", start, end, planned_at="now")
                bench.report.advance(end - start + 1)
            address(session, chats)
            session.execute("vacuum analyze")
            leases.append(session.pages(LEASE))
            session.execute(RELEASE)
            statuses.append(session.pages(STATUS))
        bench.report.begin(f"draining some of {pending:,} pending recipients", drained)
        with notifier_process(session) as process:
            sent = 0
            deadline = time.monotonic() + PATIENCE_SECONDS
            while sent < drained:
                time.sleep(0.1)
                if process.poll() is not None or time.monotonic() > deadline:
                    raise WrongCount(f"messages of a large backlog: {sent}, not {drained}")
                messages, _ = sink.received()
                sent += messages
                bench.report.advance(messages)
            peak = (peak_memory_kib(process.pid) or 0) / 1024
    bench.count("pending rows, a notifier's peak memory", peak, "MiB", 150, short(pending))
    tenth = f"{short(pending)}/{short(pending // 10)}"
    for name, (few, many) in (("leasing 100", leases), ("delivery_status", statuses)):
        bench.count(f"pending rows, {name}", many, "pages", None, short(pending))
        bench.count(f"pages of {name}", many / few, "×", bench.at_large(1.5), tenth)


def storm(bench: Bench) -> None:
    """So many are late at once in one group, within Telegram's limits: how long until all are told
    as a digest, from before the commit, and how long it takes at least one by one."""
    turns = min(bench.turns.few, 3, CHATS)
    bench.report.begin(f"{LATE_AT_ONCE} late at once", turns)
    times: list[float] = []
    with ExitStack() as stack:
        session, sink = stack.enter_context(
            installation(bench, limits={}, digest_above=DIGEST_ABOVE)
        )
        stack.enter_context(notifier_process(session))
        for turn in range(turns):
            started = time.monotonic()
            notify(session, f"storm-{turn}", 1, LATE_AT_ONCE, zone=f"z{turn}")
            while session.value(UNTOLD):
                WrongCount.unless(
                    "told in time", time.monotonic() - started < PATIENCE_SECONDS, True
                )
                time.sleep(0.01)
            times.append(time.monotonic() - started)
            WrongCount.unless("messages of a storm", sink.received()[0], 1)
            bench.report.advance()
    windows, rest = divmod(LATE_AT_ONCE - 1, GROUP_MESSAGES)
    floor = windows * GROUP_SECONDS + rest
    scale = short(LATE_AT_ONCE)
    told_ms = median(times) * 1000
    bench.count("late at once in a group, all told by a digest", told_ms, "ms", 10_000, scale)
    name = "late at once in a group, one by one at best / digest"
    bench.ratio(name, turns * [floor], times, 50, scale=scale, at_least=True)


FIGURES = (drain, latency, backlog, storm)
