"""What passes and views are compared with, each as efficient as a good engineer would write it."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from sandbox.bench.fleet import WrongCount

PLAIN_VIEW: LiteralString = """
    with news as (
        select
            span.*, rule.minimum,
            scooters_ops.idempotency_token(mission_id, point_id, null, type) as token
        from scooters_ops.mission_intervals_at(%(as_of)s) as span
        inner join scooters_ops.timeout_rules as rule using (type)
        cross join scooters_ops.config_in_force as config
        where
            is_overdue and rule.is_enabled
            and deadline + config.notify_within >= %(as_of)s
    )
    insert into scooters_ops.monitoring_notifications
        (idempotency_token, mission_id, point_id, type, details)
    select
        token, mission_id, point_id, type,
        mission.facts || jsonb_build_object(
            'started_at', started_at, 'finished_at', finished_at,
            'eta_seconds', extract(epoch from eta), 'factor', factor,
            'minimum_seconds', extract(epoch from minimum),
            'limit_seconds', extract(epoch from time_limit),
            'elapsed_seconds', extract(epoch from elapsed),
            'detected_at', %(as_of)s::timestamptz
        )
    from news
    cross join lateral scooters_ops.mission_facts(mission_id, point_id) as mission (facts)
    where not exists (
        select from scooters_ops.monitoring_notifications as known
        where known.idempotency_token = news.token
    )
    order by started_at
    on conflict (idempotency_token) do nothing
    """
"""A pass without wake-ups: it evaluates `mission_timeouts` over every mission at a time. It leaves
the same notifications as a pass, and builds no facts for notifications that exist already."""

READ_ROWS: LiteralString = """
    select
        (select count(*) || max(mission_id) || max(performer_id) || max(status)
         from scooters_ops.missions),
        (select count(*) || max(mission_id) || max(point_id) || max(position) || max(eta)
         from scooters_ops.mission_points),
        (select count(*) || max(mission_id) || max(point_id) || max(type) || max(eta)
         from scooters_ops.mission_jobs),
        (select count(*) || max(mission_id) || max(point_id) || max(type) || max(occurred_at)
         || max(history_id) from scooters_ops.missions_history)
    """
"""Reads every column that an evaluation of the whole fleet needs, of every row."""

TIMEOUTS: LiteralString = """
    select
        count(*), max(mission_id), max(performer_id), max(point_id), max(type), max(started_at),
        max(finished_at), max(eta), max(factor), max(time_limit), max(deadline), max(elapsed),
        bool_or(is_open), bool_or(is_overdue)
    from scooters_ops.mission_timeouts
    """
"""An analyst's query over every column and row, without sending the rows."""

REPORT: LiteralString = """
    select
        type, count(*), count(*) filter (where is_overdue),
        avg(date_part('epoch', elapsed)),
        percentile_cont(0.5) within group (order by date_part('epoch', elapsed))
    from scooters_ops.interval_history
    {}
    group by type
    """
"""An analyst's report by type, with medians, as docs/analyst.md writes it: in seconds. The braces
are for its condition."""


REPORT_BY_CITY: LiteralString = """
    select
        type, attributes ->> 'city', count(*), count(*) filter (where is_overdue),
        count(idempotency_token), avg(elapsed), avg(eta), max(deadline), max(rule),
        max(config_id), max(known_at)
    from scooters_ops.interval_history
    group by 1, 2
    """
"""Reads what a backtest may need of every recorded interval."""
BACKTEST: LiteralString = """
    select sum(would_tell)
    from scooters_ops.backtest(
        (
            select jsonb_set(config, '{detection,timeouts,timeout_in_point,factor}', '2')
            from scooters_ops.config_in_force
        ),
        %s,
        %s
    )
    """


def plain_view_pass(connection: psycopg.Connection[Any], as_of: datetime, expected: int) -> None:
    """Run the pass. Raises WrongCount."""
    inserted = connection.execute(PLAIN_VIEW, {"as_of": as_of}).rowcount
    WrongCount.unless("inserted by the plain view pass", inserted, expected)


ROUTES: LiteralString = """
    select
        mission_id, array_agg(point_id order by position),
        array_agg(extract(epoch from eta)::float8 order by position)
    from scooters_ops.mission_points
    where mission_id in (select mission_id from scooters_ops.missions where status = 'active')
    group by mission_id
    """
STOPS: LiteralString = """
    select
        mission_id, point_id,
        sum(coalesce(extract(epoch from eta)::float8, (%s::jsonb ->> type)::float8, %s))
    from scooters_ops.mission_jobs
    where mission_id in (select mission_id from scooters_ops.missions where status = 'active')
    group by mission_id, point_id
    """
EVENTS: LiteralString = """
    select mission_id, point_id, type, extract(epoch from occurred_at)::float8
    from scooters_ops.missions_history
    where
        mission_id in (select mission_id from scooters_ops.missions where status = 'active')
        and occurred_at <= %s
        and type in ('mission_started', 'point_arrived', 'point_completed')
    order by mission_id, occurred_at, history_id
    """
INSERT: LiteralString = """
    insert into scooters_ops.monitoring_notifications
        (idempotency_token, mission_id, point_id, type, details)
    select * from unnest(
        %s::text[], %s::text[], %s::text[],
        %s::scooters_ops.monitoring_notification_type[], %s::jsonb[]
    )
    on conflict (idempotency_token) do nothing
    """


def polling_worker(connection: psycopg.Connection[Any], as_of: datetime, expected: int) -> None:
    """What an application's worker would do at each turn: read the active missions with their
    plans and events, find the open and overdue intervals in Python, and insert them. To be called
    in a transaction.

    It makes one query per table; the server filters the rows and adds up a point's jobs. It does
    less than the views: it ignores closed intervals, skipped points and points outside the plan.
    Raises WrongCount.
    """
    [(config,)] = connection.execute("select config from scooters_ops.config_in_force").fetchall()
    detection = config["detection"]
    default = detection["default_job_eta_seconds"]
    routes = {mission: (points, etas) for mission, points, etas in connection.execute(ROUTES)}
    stops: dict[str, dict[str, float]] = defaultdict(dict)
    job_etas = Jsonb(detection["job_eta_seconds"])
    for mission, point, eta in connection.execute(STOPS, (job_etas, default)):
        stops[mission][point] = eta
    events: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for mission, point, kind, occurred_at in connection.execute(EVENTS, (as_of,)):
        # Apps repeat events: only the earliest of one type at one point counts.
        events[mission].setdefault((point, kind), occurred_at)

    overdue = []
    now = as_of.timestamp()
    for mission, history in events.items():
        (point, kind), started_at = next(reversed(history.items()))
        if kind == "point_arrived":
            type_, eta = "timeout_in_point", stops[mission].get(point, default)
        else:
            visited = {visited for visited, _ in history}
            ahead = (stop for stop in zip(*routes[mission], strict=True) if stop[0] not in visited)
            type_, (point, eta) = "timeout_between_points", next(ahead, (None, math.inf))
        rule = detection["timeouts"][type_]
        limit = max(eta * rule["factor"], rule["minimum_seconds"])
        if now - started_at > limit:
            details = f'{{"limit_seconds": {limit}, "elapsed_seconds": {now - started_at}}}'
            overdue.append((f"{mission}_{point}__{type_}", mission, point, type_, details))
    columns = [list(column) for column in zip(*overdue, strict=True)] or [[]] * 5
    inserted = connection.execute(INSERT, columns).rowcount
    WrongCount.unless("inserted by the polling worker", inserted, expected)
