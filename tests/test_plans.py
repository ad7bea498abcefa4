"""Query plans: each index is used by the query that it is for, and no query reads too much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from notifier.report.questions import QUESTIONS
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, shared_database

pytestmark = pytest.mark.slow

MISSIONS = 4000
"""m1, m2, ..., each with five points of two jobs; every tenth is under way, the others are over."""

FAR_EVENTS = 15

FLEET = f"""
insert into scooters_ops.missions (mission_id, performer_id, status)
select 'm' || m, 'c' || m, case when m % 10 = 7 then 'active' else 'completed' end
from generate_series(1, {MISSIONS}) as m;

insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select 'm' || m, 'p' || p, p, interval '10 minutes'
from generate_series(1, {MISSIONS}) as m, generate_series(1, 5) as p;

insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type)
select 'm' || m, 'p' || p, 'j' || j, 'pickup'
from
    generate_series(1, {MISSIONS}) as m, generate_series(1, 5) as p, generate_series(1, 2) as j;

-- One mission after the other, an hour apart, the last one now.
insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select
    'm' || m,
    case when e between 1 and 10 then 'p' || (e + 1) / 2 end,
    case
        when e = 0 then 'mission_started'
        when e = 11 then 'mission_completed'
        when e % 2 = 1 then 'point_arrived'
        else 'point_completed'
    end,
    now() - interval '1 hour' * ({MISSIONS} - m) - interval '5 minutes' * (11 - e)
from generate_series(1, {MISSIONS}) as m, generate_series(0, 11) as e
where m % 10 <> 7 or e < 6
order by m, e;

-- Missions of 8 points with two jobs each and {FAR_EVENTS} events, each row of a mission on a
-- page of its own.
insert into scooters_ops.missions (mission_id, performer_id)
select 'far' || m, 'c' || m from generate_series(1, 200) as m;
insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select 'far' || m, 'p' || p, p, interval '10 minutes'
from generate_series(1, 8) as p, generate_series(1, 200) as m
order by p, m;
insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type)
select 'far' || m, 'p' || p, 'j' || j, 'pickup'
from generate_series(1, 8) as p, generate_series(1, 2) as j, generate_series(1, 200) as m
order by p, j, m;
insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select
    'far' || m,
    'p' || (e + 1) / 2,
    case when e % 2 = 1 then 'point_arrived' else 'point_completed' end,
    now() - interval '5 minutes' * ({FAR_EVENTS} - e)
from generate_series(1, {FAR_EVENTS}) as e, generate_series(1, 200) as m
order by e, m;

-- Only mission m77 is due.
delete from scooters_ops.mission_wakeups;
insert into scooters_ops.mission_wakeups
select 'm' || m, now() + interval '1 hour' from generate_series(1, {MISSIONS}) as m;
insert into scooters_ops.mission_wakeups values ('m77', '-infinity'), ('m77', 'infinity');

-- Sent long ago, except for one recipient in each other state and ten unplanned notifications.
insert into scooters_ops.monitoring_notifications
    (idempotency_token, mission_id, point_id, job_id, type, planned_at, created_at,
     config_id)
select
    'm' || m || '_p' || p || '_j' || j || '_job_skipped',
    'm' || m,
    'p' || p,
    'j' || j,
    'job_skipped',
    case when m < {MISSIONS} then now() end,
    now() - interval '1 hour' * ({MISSIONS} - m),
    1
from
    generate_series(1, {MISSIONS}) as m, generate_series(1, 5) as p, generate_series(1, 2) as j
where m <> 77
order by m, p, j;
insert into scooters_ops.notification_recipients
    (notification_id, channel, target, state, sent_at, leased_by)
select
    notification_id,
    'telegram',
    '{{"type": "telegram", "chat_id": -1001}}',
    case notification_id when 1 then 'pending' when 2 then 'sending' when 3 then 'failed'
        else 'sent' end,
    case when notification_id > 3 then now() end,
    case notification_id when 2 then 'somebody' end
from scooters_ops.monitoring_notifications
where planned_at is not null
order by notification_id;

insert into scooters_ops.delivery_targets (channel, address, granted_at)
select 'telegram', n, array[now()] from generate_series(1, 3000) as n;
insert into scooters_ops.silences (match, starts_at, ends_at, comment, created_by)
select '{{"n": 1}}', now() - interval '1 hour' * n, now() - interval '1 minute' * n, 'c', 'b'
from generate_series(1, 3000) as n;
insert into scooters_ops.configs (config)
select jsonb_set(config, '{{channels,telegram,limits}}', 'null')
from scooters_ops.configs, generate_series(1, 200);
insert into scooters_ops.event_keys (mission_id, idempotency_key, event, history_id, created_at)
select 'm' || m, 'k' || m, '{{}}', m, now() - interval '1 hour' * ({MISSIONS} - m)
from generate_series(1, {MISSIONS}) as m;
insert into scooters_ops.detection_passes (
    as_of, started_at, elapsed, missions, inserted, recorded, judged, resolved
)
select now(), now() - interval '10 s' * n, '0', 0, 0, 0, 0, 0 from generate_series(1, 5000) as n;

-- As passes recorded them, except that none was reported.
insert into scooters_ops.recorded_intervals (
    mission_id, type, is_judged, from_point_id, point_id, started_at, finished_at, deadline, eta,
    time_limit, factor
)
select
    mission_id, type, true, coalesce(from_point_id, ''), point_id, started_at, finished_at,
    deadline, eta, time_limit, factor
from scooters_ops.mission_intervals;

vacuum analyze;
"""


@pytest.fixture(scope="module")
def filled(cluster: Postgres) -> Iterator[str]:
    """The name of a database with the fleet, its notifications and everything else that grows."""
    with shared_database(cluster) as database:
        for statement in FLEET.split(";\n"):
            database.connection.execute(statement)
        database.connection.close()
        yield database.name


@pytest.fixture
def fleet(cluster: Postgres, filled: str) -> Iterator[TestDatabase]:
    """A copy for each test: dead rows of another test would cost pages."""
    with shared_database(cluster, filled) as own, own.connection.transaction(force_rollback=True):
        yield own


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all nodes below it."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize(
    "source",
    ["mission_intervals", "mission_timeouts", "mission_intervals_at(now() - interval '1 day')"],
)
def test_a_filter_on_mission_id_reaches_the_indexes(fleet: TestDatabase, source: str) -> None:
    fleet.connection.execute("set local role scooters_ops_analyst")
    explained = fleet.value(
        "explain (analyze, buffers, format json)"
        f" select * from scooters_ops.{source} where mission_id = 'm77'"
    )
    plan = explained[0]["Plan"]
    reads: dict[str, set[str]] = {}
    for node in nodes(plan):
        if "Relation Name" in node:
            reads.setdefault(node["Relation Name"], set()).add(node["Node Type"])

    by_index = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    for table in ("missions", "mission_points", "mission_jobs", "missions_history"):
        assert reads[table] <= by_index, json.dumps(plan, indent=2)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 80, json.dumps(plan, indent=2)


@pytest.mark.parametrize(
    "chosen",
    [
        "where mission_id in ('m77', 'm78')",
        "where mission_id = any(array['m77', 'm78'])",
        "where mission_id in (select mission_id from scooters_ops.missions"
        " where mission_id in ('m77', 'm78'))",
        "inner join (values ('m77'), ('m78')) as chosen (mission_id) using (mission_id)",
    ],
    ids=["in", "any", "subquery", "join"],
)
def test_a_list_of_missions_reaches_the_indexes(fleet: TestDatabase, chosen: str) -> None:
    tables = {"missions", "mission_points", "mission_jobs", "missions_history"}
    query = f"select * from scooters_ops.mission_intervals {chosen}"
    assert not scanned(fleet, query) & tables
    assert buffers(fleet, query) <= 180


def test_a_report_about_a_city_reads_only_its_span_of_time(fleet: TestDatabase) -> None:
    fleet.connection.execute(
        """update scooters_ops.missions set attributes = '{"city": "Moscow"}'"""
    )
    fleet.connection.execute("analyze scooters_ops.missions")
    (explained,) = fleet.value(
        "explain (format json) select * from scooters_ops.interval_history"
        " where started_at >= now() - interval '2 hours' and attributes ->> 'city' = 'Moscow'"
    )
    indexes = {node.get("Index Name") for node in nodes(explained["Plan"])}
    assert "recorded_intervals_started_at_idx" in indexes
    assert "recorded_intervals_pkey" not in indexes


@pytest.mark.parametrize(
    ("question", "ceiling"),
    [
        ("threshold_effects({})", 50),
        ("ratio_percentiles({})", 30),
        ("threshold_effects({}, 'city')", 150),
        ("job_eta_advice({})", 700),
    ],
)
def test_advice_reads_only_its_window(fleet: TestDatabase, question: str, ceiling: int) -> None:
    """A day of a mission an hour, long ago."""
    window = "now() - interval '10 days', now() - interval '9 days'"
    query = f"select * from scooters_ops.{question.format(window)}"
    assert not scanned(fleet, query) & {"recorded_intervals", "mission_jobs"}
    assert buffers(fleet, query) <= ceiling
    fleet.connection.execute("set local role scooters_ops_analyst")
    assert fleet.rows(query)


def test_the_values_of_a_month_are_looked_up_by_index(fleet: TestDatabase) -> None:
    query = """select * from scooters_ops.seen_values('{"job_type": [], "city": []}')"""
    growing = {"recorded_intervals", "missions", "mission_jobs"}
    assert not scanned(fleet, query) & growing
    assert fleet.value(query.replace("*", "missions") + " where key is null") > 600


@pytest.mark.parametrize(
    "change",
    [
        "'{timeouts,timeout_in_point,factor}', '1.1'",
        "'{default_job_eta_seconds}', '1'",
        """'{overrides}', '[{"name": "x", "match": {"city": "Omsk"}, "default_job_eta_seconds": 1,
        "timeouts": {"timeout_between_points": {"factor": 0.1}}}]'""",
    ],
)
def test_a_backtest_of_ten_minutes_reads_the_rows_of_ten_minutes(
    fleet: TestDatabase, change: str
) -> None:
    query = (
        "select * from scooters_ops.backtest_details(jsonb_set((select config from"
        f" scooters_ops.config_in_force), '{{detection}}', jsonb_set((select config -> 'detection'"
        f" from scooters_ops.config_in_force), {change})), now() - interval '10 minutes', now())"
    )
    fleet.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set created_at = now() - interval '1 minute' * notification_id"
    )
    fleet.connection.execute("analyze scooters_ops.monitoring_notifications")
    growing = {
        "recorded_intervals",
        "missions",
        "mission_jobs",
        "monitoring_notifications",
        "notification_recipients",
    }
    assert not scanned(fleet, query) & growing
    assert fleet.value(query.replace("*", "sum(would_tell)")) > 0
    assert buffers(fleet, query) <= 3000


def test_only_skipped_jobs_are_given_a_token_to_look_up(fleet: TestDatabase) -> None:
    """It takes longer to make than all the rest of the row."""
    (plan,) = fleet.value(
        "explain (format json) select min(idempotency_token) from scooters_ops.job_history"
    )
    conditions = [node["Hash Cond"] for node in nodes(plan["Plan"]) if "Hash Cond" in node]
    (of_token,) = [condition for condition in conditions if "concat_ws" in condition]
    assert "CASE WHEN (job.status = 'skipped'::text) THEN (concat_ws" in of_token


DETECT = "select scooters_ops.detect_timeouts()"
ONE_MISSION = "select * from scooters_ops.mission_intervals where mission_id = 'm77'"
DELIVERY_STATUS = "select * from scooters_ops.delivery_status"
CHANGE_CONFIG = """
select scooters_ops.apply_config(
    jsonb_set(config, '{detection,timeouts,timeout_in_point,factor}', '3')
)
from scooters_ops.config_in_force
"""
LEASE = """
select * from scooters_ops.lease_deliveries(
    'somebody', '{"telegram": 5}', 60, '{"telegram": 2}'
)
"""
RECORD = """
select scooters_ops.record_deliveries(
    'somebody',
    '[{"recipient_id": 2, "state": "failed", "is_attempt": true, "delay_seconds": 0}]'
)
"""
RELEASE = """
insert into scooters_ops.notification_recipients (notification_id, channel, target)
select 4, 'st', jsonb_build_object('queue', n) from generate_series(1, 3000) as n;
select scooters_ops.release_deliveries('somebody');
"""

SILENT_INPUT = """
select * from scooters_ops.input_status(now() + interval '1 hour')
"""
"""It must look whether missions are active."""
COMPILED = """
-- Twice as many routes and overrides as config can have: each tenth matches some missions, the
-- rest a mission that there is not; some match a time, the last ones every mission.
delete from scooters_ops.compiled_matches;
delete from scooters_ops.compiled_lookups;
insert into scooters_ops.compiled_lookups (
    scope, key, value, match_id, term_count, from_time, span, time_zone, zone_attribute
)
select
    scope,
    case when n <= 2000 then 'performer_id' end,
    case
        when n <= 2000 then to_jsonb(case when n % 10 = 0 then 'c' else 'none' end || n)
    end,
    n,
    case when n <= 2000 then 2 else 0 end,
    case when n % 20 = 0 then time '22:00' end,
    '9 hours',
    'UTC',
    'time_zone'
from unnest('{override,route,silence}'::text[]) as scope, generate_series(1, 2010) as n;
insert into scooters_ops.compiled_terms (scope, match_id, key, value)
select
    scope,
    n,
    'performer_id',
    to_jsonb(case when n % 10 = 0 then 'c' else 'none' end || n)
from unnest('{override,route,silence}'::text[]) as scope, generate_series(1, 2000) as n;
insert into scooters_ops.compiled_terms (scope, match_id, key, value)
select scope, n, 'zone', '7'
from unnest('{override,route,silence}'::text[]) as scope, generate_series(1, 2000) as n;
insert into scooters_ops.compiled_matches (scope, match_id, term_count)
select scope, n, case when n <= 2000 then 2 else 0 end
from unnest('{override,route,silence}'::text[]) as scope, generate_series(1, 2010) as n;
insert into scooters_ops.compiled_keys (scope, key)
select scope, key
from
    unnest('{override,route,silence}'::text[]) as scope,
    unnest('{performer_id,city,zone}'::text[]) as key
on conflict do nothing;
insert into scooters_ops.compiled_time_zones (name)
select lower(name) from pg_catalog.pg_timezone_names
on conflict do nothing;
insert into scooters_ops.compiled_overrides (
    match_id, type, name, factor, binary_factor, minimum, default_job_eta
)
select n, type::scooters_ops.monitoring_notification_type, 'rule ' || n, 2, 2, '0', '300 s'
from
    generate_series(1, 2010) as n,
    unnest('{timeout_in_point,timeout_between_points}'::text[]) as type;
analyze scooters_ops.compiled_matches, scooters_ops.compiled_terms, scooters_ops.compiled_keys,
    scooters_ops.compiled_lookups, scooters_ops.compiled_time_zones,
    scooters_ops.compiled_overrides;
"""
MATCHES = f"""
{COMPILED}
select * from scooters_ops.matches_for(
    'route',
    '{{"performer_id": "c100", "attributes": {{"zone": 7, "time_zone": "UTC"}}}}',
    now()
)
"""

OVERDUE_BY_AN_OVERRIDE = f"""
{COMPILED}
update scooters_ops.recorded_intervals
set rule = 'rule 7', is_judged = false
where mission_id = 'm87' and finished_at is null;
{DETECT};
"""

UNROUTED = """
insert into scooters_ops.unrouted_notifications
select notification_id, created_at from scooters_ops.monitoring_notifications
where notification_id between 5 and 1000;
select scooters_ops.refresh_notifications(array_agg(notification_id))
from scooters_ops.monitoring_notifications where planned_at is null;
"""

QUERY_OF_INDEX = {
    "missions_pkey": ONE_MISSION,
    "missions_active_idx": CHANGE_CONFIG,
    "mission_points_pkey": "select * from scooters_ops.mission_facts('m77', 'p4')",
    "mission_points_mission_id_position_key": (
        "select * from scooters_ops.mission_routes where mission_id = 'm77'"
    ),
    "mission_jobs_pkey": "select scooters_ops.skip_job('m77', 'p4', 'j1')",
    "monitoring_notifications_created_at_idx": (
        "select count(*) from scooters_ops.response_times"
        " where noticed_at >= now() - interval '1 second' and noticed_at < now()"
    ),
    "monitoring_notifications_withdrawn_idx": (
        "select * from scooters_ops.monitoring_notifications"
        " where resolved_at is not null and ended_at is null"
        """ and (details ->> 'started_at') collate "C" >= '2026-01-31T00:00:00+00:00'"""
    ),
    "missions_history_pkey": "delete from scooters_ops.missions_history where history_id = 77",
    "missions_history_mission_id_occurred_at_idx": DETECT,
    "missions_history_occurred_at_idx": (
        "select scooters_ops.wake_missions(now() - interval '1 hour', now())"
    ),
    "configs_pkey": "select * from scooters_ops.config_in_force",
    "mission_wakeups_due_at_idx": DETECT,
    "mission_wakeups_mission_id_idx": DETECT,
    "recorded_intervals_pkey": DETECT,
    "recorded_intervals_unjudged_idx": DETECT,
    "recorded_intervals_open_idx": "select scooters_ops.board()",
    "recorded_intervals_open_type_idx": "select scooters_ops.board()",
    "recorded_intervals_started_at_idx": (
        "select * from scooters_ops.interval_history where started_at >= now() - interval '2 hours'"
    ),
    "pending_resolutions_pkey": DETECT,
    "duration_totals_pkey": (
        "insert into scooters_ops.duration_totals values"
        " ('told', 'job_skipped', '', 5, 1, '1 s') on conflict do nothing"
    ),
    "detection_passes_started_at_idx": "select * from scooters_ops.recent_detection_passes",
    "detection_passes_pkey": "select * from scooters_ops.detection_status",
    "monitoring_notifications_pkey": LEASE,
    "monitoring_notifications_idempotency_token_key": (
        "select scooters_ops.retry_deliveries('m7_p4_j1_job_skipped')"
    ),
    "monitoring_notifications_unplanned_idx": "select scooters_ops.plan_deliveries(5)",
    "monitoring_notifications_mission_id_idx": (
        "select * from scooters_ops.notification_deliveries where mission_id = 'm77'"
    ),
    "notification_recipients_pkey": RECORD,
    "notification_recipients_notification_id_target_step_key": (
        "select scooters_ops.refresh_notifications('{77}')"
    ),
    "notification_recipients_due_idx": DELIVERY_STATUS,
    "notification_recipients_queue_idx": LEASE,
    "notification_recipients_sending_idx": RELEASE,
    "notification_recipients_escalations_idx": LEASE,
    "notification_recipients_digest_id_idx": RECORD,
    "delivery_targets_pkey": LEASE,
    "unrouted_notifications_pkey": UNROUTED,
    "button_polls_pkey": "select scooters_ops.poll_buttons('somebody', 'telegram', 60)",
    "notifiers_pkey": "select scooters_ops.report_notifier('somebody', 1, '')",
    "notification_recipients_silence_id_idx": "select * from scooters_ops.silence_status",
    "silences_pkey": "select scooters_ops.silenced(77)",
    "silences_ends_at_idx": "select * from scooters_ops.active_silences",
    "notification_recipients_attention_idx": "select scooters_ops.retry_deliveries()",
    "event_keys_pkey": (
        "select scooters_ops.record_event_once('m77', 'mission_started', null, null, 'k')"
    ),
    "event_keys_created_at_idx": "select scooters_ops.prune_bookkeeping()",
    "compiled_config_pkey": "insert into scooters_ops.compiled_config (config_id) values (1)"
    " on conflict do nothing",
    "compiled_matches_pkey": COMPILED + "select scooters_ops.forget_match('route', 7)",
    "compiled_lookups_value_idx": MATCHES,
    "compiled_lookups_any_mission_idx": MATCHES,
    "compiled_terms_match_id_idx": MATCHES,
    "compiled_keys_pkey": MATCHES,
    "compiled_calendars_pkey": "insert into scooters_ops.compiled_calendars"
    " (name, from_time, span, time_zone) values ('night', '22:00', '9 hours', 'UTC')"
    " on conflict do nothing",
    "compiled_time_zones_pkey": MATCHES,
    "compiled_overrides_pkey": COMPILED + DETECT,
    "compiled_overrides_name_type_key": OVERDUE_BY_AN_OVERRIDE,
}
"""The query that the comment of each index names."""


def scans(database: TestDatabase) -> dict[str, int]:
    """How often this transaction has scanned each index, and each table in full."""
    rows = database.rows(
        "select relname, pg_stat_get_xact_numscans(oid) as scans from pg_catalog.pg_class"
        " where relnamespace = 'scooters_ops'::regnamespace and relkind in ('r', 'i')"
    )
    return {row["relname"]: row["scans"] for row in rows}


def scanned(database: TestDatabase, statement: str) -> set[str]:
    """The indexes that a statement scans and the tables that it scans in full, including those
    scanned by the functions that it calls."""
    before = scans(database)
    database.connection.execute(statement)
    return {name for name, count in scans(database).items() if count > before[name]}


@pytest.mark.parametrize("index", QUERY_OF_INDEX)
def test_each_index_is_used_by_the_query_that_it_is_for(fleet: TestDatabase, index: str) -> None:
    assert index in scanned(fleet, QUERY_OF_INDEX[index])


def test_every_index_names_its_query_in_its_comment_and_is_tested(fleet: TestDatabase) -> None:
    comments = {
        row["relname"]: row["comment"]
        for row in fleet.rows(
            "select relname, obj_description(oid, 'pg_class') as comment from pg_catalog.pg_class"
            " where relnamespace = 'scooters_ops'::regnamespace and relkind = 'i'"
            " and relname !~ 'yoyo'"
        )
    }
    for name, comment in comments.items():
        assert (comment or "").startswith("For: "), name
    assert comments.keys() == QUERY_OF_INDEX.keys()


# --- How much is read, with statistics and without ------------------------------------------------


def forget_statistics(database: TestDatabase) -> None:
    """Deletes all statistics, as if after a bulk load and before the first ANALYZE."""
    tables = (
        "(select oid from pg_catalog.pg_class"
        " where relnamespace = 'scooters_ops'::regnamespace and relkind in ('r', 'i'))"
    )
    for statement in (
        f"delete from pg_catalog.pg_statistic where starelid in {tables}",
        "delete from pg_catalog.pg_statistic_ext_data where stxoid in"
        f" (select oid from pg_catalog.pg_statistic_ext where stxrelid in {tables})",
        "update pg_catalog.pg_class set reltuples = -1, relpages = 0, relallvisible = 0"
        f" where oid in {tables}",
    ):
        database.connection.execute(statement)


@pytest.fixture(params=["analyzed", "before the first analyze"])
def either_fleet(request: pytest.FixtureRequest, fleet: TestDatabase) -> TestDatabase:
    """The fleet, with statistics and without."""
    if request.param != "analyzed":
        forget_statistics(fleet)
    return fleet


def buffers(database: TestDatabase, statement: str) -> int:
    """How many pages a statement reads, including those read by its functions, but not the catalog
    pages that a session reads only the first time."""
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(statement)
    plan = database.value(f"explain (analyze, buffers, format json) {statement}")[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


WAKEUPS_READ_BY_DUE_AT = """
select pg_stat_get_xact_tuples_returned('scooters_ops.mission_wakeups_due_at_idx'::regclass)
"""


def make_due(database: TestDatabase, missions: int) -> None:
    """Makes the given number of missions under way due and overdue, and no others."""
    database.connection.execute(
        "update scooters_ops.configs"
        " set config = jsonb_set(config, '{detection,notify_within_seconds}', 'null')"
    )
    database.connection.execute("delete from scooters_ops.mission_wakeups where due_at < now()")
    database.connection.execute(
        "insert into scooters_ops.mission_wakeups"
        " select mission_id, '-infinity' from scooters_ops.missions"
        " where status = 'active' and mission_id <> 'm77' order by mission_id limit %s",
        (missions,),
    )


def test_a_pass_does_not_compare_the_wakeups_of_the_fleet_with_its_missions(
    either_fleet: TestDatabase,
) -> None:
    """Not even with statistics from a time when everything was due."""
    either_fleet.connection.execute("update scooters_ops.mission_wakeups set due_at = '-infinity'")
    either_fleet.connection.execute("analyze scooters_ops.mission_wakeups")
    either_fleet.connection.execute("truncate scooters_ops.mission_wakeups")
    either_fleet.connection.execute(
        "insert into scooters_ops.mission_wakeups"
        " select mission_id, now() + interval '1 hour' from scooters_ops.missions"
    )
    make_due(either_fleet, 100)
    before = either_fleet.value(WAKEUPS_READ_BY_DUE_AT)
    assert either_fleet.value(DETECT) == 100
    assert either_fleet.value(WAKEUPS_READ_BY_DUE_AT) - before < MISSIONS / 2


@pytest.mark.parametrize("missions", [1, 100])
def test_a_pass_never_scans_a_growing_table_in_full(
    either_fleet: TestDatabase, missions: int
) -> None:
    make_due(either_fleet, missions)
    tables = set(
        either_fleet.values(
            "select tablename from pg_catalog.pg_tables where schemaname = 'scooters_ops'"
        )
    )
    # These have one row, or a page or two.
    few = {"configs", "news_horizon", "new_durations", "duration_totals"}
    assert scanned(either_fleet, DETECT) & tables <= few
    assert either_fleet.value("select max(missions) from scooters_ops.detection_passes") == missions


@pytest.mark.parametrize(("missions", "ceiling"), [(0, 25), (1, 200), (100, 10_500)])
def test_a_pass_reads_in_proportion_to_what_is_due(
    either_fleet: TestDatabase, missions: int, ceiling: int
) -> None:
    make_due(either_fleet, missions)
    assert buffers(either_fleet, DETECT) <= ceiling
    assert either_fleet.rows(
        "select missions, inserted from scooters_ops.detection_passes order by pass_id desc limit 1"
    ) == [{"missions": missions, "inserted": missions}]


@pytest.mark.parametrize(
    ("statement", "ceiling"),
    [
        pytest.param(ONE_MISSION, 80, id="one mission's intervals"),
        # It is under way: three intervals, ten skips without a notification; then one that is
        # over, with ten notifications, each with its route and its step.
        pytest.param("select * from scooters_ops.why('m77')", 130, id="why, under way"),
        pytest.param("select * from scooters_ops.why('m3998')", 500, id="why, reported"),
        pytest.param(LEASE, 80, id="lease"),
        pytest.param(DELIVERY_STATUS, 80, id="delivery status"),
        pytest.param("select * from scooters_ops.recipient_status", 60, id="recipient status"),
        pytest.param("select * from scooters_ops.notifier_status", 60, id="notifier status"),
        pytest.param(
            "select is_stalled, last_pass_recorded, missions_waiting"
            " from scooters_ops.detection_status",
            20,
            id="detection status",
        ),
        # A thousand events, and the open intervals, each on a page of its own.
        pytest.param(SILENT_INPUT, 700, id="input status"),
        # It evaluates ten missions.
        pytest.param("select * from scooters_ops.metrics", 1200, id="metrics"),
    ],
)
def test_frequent_queries_read_few_pages(
    either_fleet: TestDatabase, statement: str, ceiling: int
) -> None:
    either_fleet.connection.execute(
        "update scooters_ops.configs set config = jsonb_set("
        "config, '{detection,silent_input_after_seconds}', '900')"
    )
    assert buffers(either_fleet, statement) <= ceiling


def test_the_response_times_of_a_window_read_its_rows_alone(either_fleet: TestDatabase) -> None:
    """Of forty thousand notifications, each on a page of its own if need be."""
    either_fleet.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = now() + interval '1 day'"
        " where notification_id % 400 = 1"
    )
    window = (
        "select * from scooters_ops.response_times"
        " where noticed_at > now() + interval '1 hour' and noticed_at < now() + interval '2 days'"
    )
    # Nobody knows by which config they were noticed, so the alerts of each are asked as well.
    assert len(either_fleet.rows(window)) == 100
    assert buffers(either_fleet, window) <= 600
    either_fleet.connection.execute(
        "update scooters_ops.monitoring_notifications set config_id = 1"
        " where notification_id % 400 = 1"
    )
    assert buffers(either_fleet, window) <= 320
    mission = "select * from scooters_ops.response_times where mission_id = 'm78'"
    assert len(either_fleet.rows(mission)) == 10
    assert buffers(either_fleet, mission) <= 100


def test_a_report_reads_only_its_window(either_fleet: TestDatabase) -> None:
    """A day of a month: as much of everything that grows."""
    missions = either_fleet.value(
        "select count(distinct mission_id) from scooters_ops.recorded_intervals"
        " where started_at >= now() - interval '7 days'"
        " and started_at < now() - interval '36 hours'"
    )
    assert MISSIONS / 32 < missions < MISSIONS / 28
    # Missions may be read in full instead: there is one for eleven intervals.
    growing = {
        "mission_jobs",
        "monitoring_notifications",
        "notification_recipients",
        "recorded_intervals",
    }
    either_fleet.connection.execute("set local role scooters_ops_analyst")
    for name, question in QUESTIONS.items():
        query = question.query()
        for bound, ago in (("since", "7 days"), ("until", "36 hours")):
            query = query.replace(f":'{bound}'", f"now() - interval '{ago}'")
        assert not scanned(either_fleet, query) & growing, name
        # Each mission's jobs are looked up by an index.
        ceiling = 8 * missions if "job_history" in query else missions
        assert buffers(either_fleet, query) <= ceiling, name


@pytest.mark.parametrize("view", ["delivery_status", "recipient_status"])
def test_the_status_reads_no_more_than_ten_thousand_rows_of_a_kind(
    either_fleet: TestDatabase, view: str
) -> None:
    either_fleet.connection.execute(
        "update scooters_ops.notification_recipients set state = 'pending', sent_at = null,"
        " next_attempt_at = now() - interval '1 s' * (recipient_id % 1000)"
        " where state = 'sent'"
    )
    statement = f"select * from scooters_ops.{view}"
    assert scanned(either_fleet, statement) & {
        "notification_recipients",
        "monitoring_notifications",
    } == (set())
    # Each row may be on a page of its own; reading all of them would take four times as many.
    assert buffers(either_fleet, statement) <= 11_000
    (pending,) = either_fleet.rows(
        f"select recipients, is_lower_bound from scooters_ops.{view} where state = 'pending'"
    )
    assert pending == {"recipients": 10_000, "is_lower_bound": True}


def test_a_scrape_reads_a_bounded_number_of_rows_however_much_waits(
    either_fleet: TestDatabase,
) -> None:
    either_fleet.connection.execute(
        "update scooters_ops.notification_recipients set state = 'pending', sent_at = null,"
        " next_attempt_at = now() - interval '1 s' * (recipient_id % 1000)"
        " where state = 'sent'"
    )
    tables = set(
        either_fleet.values(
            "select tablename from pg_catalog.pg_tables where schemaname = 'scooters_ops'"
        )
    )
    statement = "select * from scooters_ops.metrics"
    # A row for each chat, type, notifier, config and silence, for each bucket, and for what no pass
    # has folded yet. Of unrouted notifications it reads at most ten thousand.
    few = {
        "configs",
        "delivery_targets",
        "duration_totals",
        "new_durations",
        "news_horizon",
        "notifiers",
        "silences",
        "unrouted_notifications",
    }
    assert scanned(either_fleet, statement) & tables <= few
    assert buffers(either_fleet, statement) <= 11_000


PRUNE_BATCH = "select scooters_ops.prune_notifications({after}, now() - interval '1 day', 100)"


@pytest.mark.parametrize(
    ("ended", "left", "ceiling"),
    [pytest.param(True, 0, 3100, id="deleted"), pytest.param(False, 100, 900, id="kept")],
)
def test_a_batch_of_pruning_reads_only_its_own_notifications(
    either_fleet: TestDatabase, ended: bool, left: int, ceiling: int
) -> None:
    either_fleet.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set completed = true, created_at = now() - interval '2 days'"
        " where notification_id between 4 and 3000"
    )
    if not ended:
        either_fleet.connection.execute(
            "update scooters_ops.missions_history set type = 'something_else'"
            " where type = 'mission_completed'"
        )
    batch = PRUNE_BATCH.format(after=1000)
    tables = set(
        either_fleet.values(
            "select tablename from pg_catalog.pg_tables where schemaname = 'scooters_ops'"
        )
    )
    with either_fleet.connection.transaction(force_rollback=True):
        assert scanned(either_fleet, batch) & tables == set()
        assert (
            either_fleet.value(
                "select count(*) from scooters_ops.monitoring_notifications"
                " where notification_id between 1001 and 1100 and mission_id !~ '7$'"
            )
            == left * 9 // 10
        )
    assert buffers(either_fleet, batch) <= ceiling


@pytest.mark.parametrize("source", ["mission_intervals", "mission_timeouts"])
def test_a_long_mission_is_looked_up_once_rather_than_for_each_interval(
    fleet: TestDatabase, source: str
) -> None:
    query = f"select * from scooters_ops.{source} where mission_id = 'far77'"
    assert buffers(fleet, query) <= 80
    assert (
        fleet.value(
            "select count(*) from scooters_ops.mission_intervals where mission_id = 'far77'"
        )
        == FAR_EVENTS
    )


def test_a_lease_reads_only_what_it_leases_however_much_waits(
    either_fleet: TestDatabase,
) -> None:
    either_fleet.connection.execute(
        "update scooters_ops.notification_recipients set state = 'pending', sent_at = null"
        " where state = 'sent' and notification_id % 4 = 0"
    )
    either_fleet.connection.execute("analyze scooters_ops.notification_recipients")
    assert not scanned(either_fleet, LEASE) & {
        "notification_recipients",
        "monitoring_notifications",
    }
    assert either_fleet.value(f"select count(*) from ({LEASE}) as leased") == 5
