"""A router answers as one database would, and shows nobody what only its owner may know."""

from __future__ import annotations

import json
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import scalar_row
from psycopg.sql import SQL, Identifier, Literal

from notifier.cli import main
from notifier.database.connection import JOIN_IN_SHARDS
from notifier.database.errors import DatabaseUnusable
from notifier.report.questions import QUESTIONS as REPORT
from notifier.report.questions import for_psycopg
from notifier.router import make_router
from notifier.router.build import SHARDING
from tests import test_advice as advised
from tests import test_realdata as flights
from tests.conftest import CONFIG, PATIENCE_SECONDS, TestDatabase, at, config, until
from tests.delivery_rigs import run_in_process
from tests.router_rigs import LOGIN, PASSWORD, WORD, RouterRig

ROLES = (
    "scooters_ops_writer",
    "scooters_ops_notifier",
    "scooters_ops_analyst",
    "scooters_ops_operator",
)
OWNERS_OWN = ("apply_config", "require_config_in_force", "detect_timeouts")
"""Functions that the contract names, though only the owner may call them."""

OF_ROUTERS = {"shard_status"}
"""Public views that only a router has."""


# --- The one list ---------------------------------------------------------------------------------


def test_everything_public_is_in_the_list_of_routes(router_rig: RouterRig) -> None:
    public = {
        (row["kind"], row["object"])
        for row in router_rig.single.rows(
            """
            select
                'function' as kind,
                replace(routine.oid::regprocedure::text, 'scooters_ops.', '') as object
            from pg_proc as routine
            where
                pronamespace = 'scooters_ops'::regnamespace
                and (
                    exists (
                        select from aclexplode(proacl)
                        where grantee = any(%s::regrole[])
                    )
                    or proname = any(%s)
                )
            union all
            select 'view', relname
            from pg_class
            where
                relnamespace = 'scooters_ops'::regnamespace
                and relkind <> 'i'
                and exists (
                    select from aclexplode(relacl)
                    where grantee = any(%s::regrole[])
                )
            """,
            list(ROLES),
            list(OWNERS_OWN),
            list(ROLES),
        )
    }
    listed = [
        (row["kind"], row["object"])
        for row in router_rig.router.rows("select kind, object from scooters_router.routes")
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == public


def looks(database: TestDatabase, routed: set[str]) -> dict[str, Any]:
    """Signatures, results, columns, comments and rights of what users may use, by name."""
    definitions = database.value((SHARDING / "definitions.sql").read_text("utf-8"))
    return {
        name: {
            key: sorted(value) if key == "roles" and value else value
            for key, value in found.items()
            if key != "definition"
        }
        for kind in ("functions", "views")
        for found in definitions[kind]
        if (name := found.get("signature") or found["name"]) in routed
    }


def test_what_is_routed_looks_as_it_does_in_a_shard(router_rig: RouterRig) -> None:
    routed = router_rig.router.values(
        "select object from scooters_router.routes where route <> 'shard'"
    )
    shard, router = (
        looks(database, set(routed)) for database in (router_rig.single, router_rig.router)
    )
    assert shard.keys() == set(routed)
    for name, look in shard.items():
        assert router.get(name) == look
    everything = router_rig.router.value((SHARDING / "definitions.sql").read_text("utf-8"))
    everything_named = {
        found.get("signature") or found["name"]
        for kind in ("functions", "views")
        for found in everything[kind]
    }
    assert everything_named - OF_ROUTERS == set(routed)
    types = [
        database.value((SHARDING / "definitions.sql").read_text("utf-8"))["types"]
        for database in (router_rig.single, router_rig.router)
    ]
    assert types[0] == types[1]


# --- Where a mission lives ------------------------------------------------------------------------

ODD = ("", " ", "_", "\\", "\\_", "_\\", "é", "e\u0301", "\n", "\U0001f6f4", "a" * 500, "%s", "'")


def random_ids(seed: int, count: int) -> list[str]:
    """Identifiers, many of them with characters that a token escapes."""
    source = random.Random(seed)
    return [
        *ODD,
        *(
            "".join(source.choices("ab_\\é\n1-", k=source.randint(1, 12)))
            for _ in range(count - len(ODD))
        ),
    ]


def test_a_mission_lives_where_postgresql_would_put_its_row(router_rig: RouterRig) -> None:
    wrong = router_rig.router.values(
        """
        select id from unnest(%s::text[]) as id
        where not satisfies_hash_partition(
            'scooters_router.mission_overview'::regclass, 4, scooters_router.shard_of(id), id
        )
        """,
        random_ids(1, 2000),
    )
    assert wrong == []
    shards = router_rig.router.values(
        "select distinct scooters_router.shard_of(id) from unnest(%s::text[]) as id",
        random_ids(1, 2000),
    )
    assert sorted(shards) == [0, 1, 2, 3]


def test_a_token_names_its_mission(router_rig: RouterRig) -> None:
    ids = random_ids(2, 1000)
    wrong = router_rig.router.rows(
        """
        select id, token, scooters_router.mission_of(token)
        from
            unnest(%s::text[], %s::text[], %s::text[]) as given (id, point_id, job_id),
            unnest(enum_range(null::scooters_ops.monitoring_notification_type)) as type,
            scooters_ops.idempotency_token(id, point_id, job_id, type) as token
        where scooters_router.mission_of(token) is distinct from id
        """,
        ids,
        random_ids(3, 1000),
        [None if number % 3 else id for number, id in enumerate(random_ids(4, 1000))],
    )
    assert wrong == []
    assert router_rig.router.value("select scooters_router.mission_of('no token')") is None


# --- Random scripts -------------------------------------------------------------------------------

Answer = tuple[Any, ...]
CALLS = {
    "create_mission": "scooters_ops.create_mission(%s)",
    "record_event": "scooters_ops.record_event(%s, %s, %s, %s) > 0",
    "record_event_once": "scooters_ops.record_event_once(%s, %s, %s, %s, %s) > 0",
    "skip_job": "scooters_ops.skip_job(%s, %s, %s)",
    "apply_config": "scooters_ops.apply_config(%s) > 0",
    "check_config": "scooters_ops.check_config(%s) is not null",
    "detect_timeouts": "scooters_ops.detect_timeouts(%s)",
    "retry_deliveries": "scooters_ops.retry_deliveries(%s, %s)",
    "confirm_deliveries": "scooters_ops.confirm_deliveries(%s, %s)",
    "acknowledge": "scooters_ops.acknowledge(%s, %s)",
    "wake_missions": "scooters_ops.wake_missions(%s::text[])",
    "missions_waiting": "scooters_ops.missions_waiting()",
    "recipients_for": "scooters_ops.recipients_for(%s, %s, %s)",
    "silence": "scooters_ops.silence(%s, %s, %s, %s) > 0",
    "unsilence": "scooters_ops.unsilence(%s, %s)",
}


def answer(database: TestDatabase, function: str, arguments: Sequence[Any]) -> Answer:
    """What a caller sees: the result, or the error in every part that we choose."""
    try:
        return ("result", database.value(f"select {CALLS[function]}", *arguments))
    except psycopg.Error as error:
        shown = error.diag
        detail = re.sub("Failing row contains .*", "the row", shown.message_detail or "")
        return (
            error.sqlstate,
            shown.message_primary,
            detail,
            shown.message_hint,
            shown.table_name,
            shown.constraint_name,
        )


def script(seed: int, missions: int, steps: int) -> Iterator[tuple[str, list[Any]]]:
    """Calls as of many dispatchers, some of them wrong, in the order of their times."""
    source = random.Random(seed)
    ids = [f"m{number}{source.choice(('', '_x', chr(92)))}" for number in range(missions)]
    points, jobs = ("p1", "p2", "p_3"), ("j1", "j2")
    of_mission = ("mission_started", "mission_started", "mission_completed", "mission_cancelled")
    for mission_id in ids:
        mission: dict[str, Any] = {
            "mission_id": mission_id,
            "performer_id": source.choice(("c1", "c2")),
            "attributes": {"city": source.choice(("Moscow", "Omsk"))},
            "points": [
                {
                    "point_id": point_id,
                    "eta_seconds": source.randint(1, 3) * 300,
                    "jobs": [{"job_id": job_id, "type": "pickup"} for job_id in jobs],
                }
                for point_id in points
            ],
        }
        yield "create_mission", [json.dumps(mission)]
        if source.random() < 0.3:  # the same again, or another, or nonsense
            mission["performer_id"] = source.choice(("c1", "c2", 5, ""))
            yield "create_mission", [json.dumps(mission)]
        yield "record_event", [mission_id, "mission_started", None, at(0)]
    for bad in ("null", "[]", '"m"', "{}", '{"mission_id": 5}', '{"mission_id": "x"}', None):
        yield "create_mission", [bad]
    for step in range(steps):
        chosen: str | None = source.choice([*ids, *ids, *ids, "unknown", None, ""])
        point_id: str | None = source.choice([*points, *points, None, "nowhere"])
        kind = source.choice((of_mission, ("point_arrived", "point_completed"), ("odd", "")))
        if source.random() < 0.8:
            point_id = None if kind is of_mission else source.choice(points)
        event: list[Any] = [chosen, source.choice(kind), point_id, at(step)]
        match source.randrange(12):
            case 0 | 1 | 2 | 3 | 4:
                yield "record_event", event
            case 5 | 6:
                yield "record_event_once", [*event, source.choice(("k1", "k2", "k3", "", None))]
            case 7 | 8:
                yield "skip_job", [chosen, point_id, source.choice((*jobs, "nothing"))]
            case 9:
                yield "detect_timeouts", [at(step)]
            case 10:
                factor = source.choice((1, 1.5, 2, 3, 0, "many"))
                changed = config(detection__timeouts__timeout_in_point__factor=factor)
                yield "apply_config", [json.dumps(changed)]
            case _:
                yield (
                    source.choice(("retry_deliveries", "confirm_deliveries")),
                    [source.choice((None, f"{ids[0]}_p1__timeout_in_point", "no", "")), None],
                )
                yield (
                    "acknowledge",
                    [
                        source.choice((None, f"{ids[1]}_p1__timeout_in_point", "no", "")),
                        source.choice(("Olga", "Ivan", " ", None, "x" * 201)),
                    ],
                )
                yield "wake_missions", [source.sample(ids, 3)]
                yield "missions_waiting", []
                yield "recipients_for", ["job_skipped", "pickup", '{"city": "Moscow"}']
    yield "detect_timeouts", [at(steps + 60)]


# What each database numbers by itself, or takes from its clock.
OWN_COLUMNS = {"history_id", "notification_id", "config_id", "pass_id"} | {
    "applied_at", "applied_by", "created_at", "detected_at", "elapsed", "recorded_at",
    "skipped_at", "oldest_created_at", "next_attempt_at", "updated_at", "recipient_id",
    "decided_at", "acknowledged_at", "known_at", "planned_at", "planned_config_id",
    "noticed_at", "happened_at", "acknowledged_after",
}  # fmt: skip
OF_ONE_DATABASE = {"recent_detection_passes", "detection_status", "metrics", "delivery_channels"}
"""Views that tell how each shard works, not what happened to missions."""


def shown(database: TestDatabase, view: str) -> list[str]:
    """The rows of a view, without OWN_COLUMNS."""
    rows = database.values(f"select to_jsonb(shown) from scooters_ops.{view} as shown")
    for row in rows:
        (row.get("details") or {}).pop("skipped_at", None)
    return sorted(
        json.dumps({key: row[key] for key in row.keys() - OWN_COLUMNS}, sort_keys=True)
        for row in rows
    )


QUESTIONS = (
    "select scooters_ops.board_mission(mission_id, %s) - 'notifications'"
    " from scooters_ops.mission_overview",
    "select to_jsonb(interval_of) from scooters_ops.mission_overview"
    " cross join lateral scooters_ops.mission_intervals_of(mission_id, %s) as interval_of",
    "select to_jsonb(interval_at) from scooters_ops.mission_intervals_at(%s) as interval_at",
    "select to_jsonb(total) from scooters_ops.planned_totals() as total where now() > %s",
    "select scooters_ops.unrecorded_missions(100) where now() > %s",
    # What a day of the config in force told, and what another one would have told.
    *(
        f"select to_jsonb(found) from scooters_ops.config_in_force cross join lateral"
        f" scooters_ops.{function} as found"
        for trial in ("config", "jsonb_set(config, '{detection,timeouts,*,factor}', '1')")
        for trial in (trial.replace("*", "timeout_in_point"),)
        for function in (
            f"backtest_details({trial}, %s::timestamptz - interval '1 day', now(), 'city')",
            f"backtest({trial}, %s::timestamptz - interval '1 day', now())",
        )
    ),
)


def why_rows(database: TestDatabase) -> list[tuple[Any, ...]]:
    """Why, for each mission, without what each database numbers or times by itself."""
    rows = database.rows(
        "select mission_id, found.point_id, found.type::text as type, found.question,"
        " found.answer, regexp_replace(found.because, '[0-9]+', '0', 'g') as because"
        " from scooters_ops.mission_overview cross join lateral scooters_ops.why(mission_id)"
        " as found"
    )
    assert database.value("select count(*) from scooters_ops.why_sentences()") > 50
    with pytest.raises(psycopg.errors.NoDataFound, match='no mission "nobody"'):
        database.value("select scooters_ops.why('nobody')")
    return [tuple(row.values()) for row in rows]


BOARDS = (
    "",
    "of_type => 'timeout_in_point'",
    "of_city => 'Moscow'",
    "of_performer => 'c1', only_overdue => true",
    "max_missions => 3",
    "max_missions => 0",
    "of_city => 'Nowhere'",
)


def board(database: TestDatabase, filters: str) -> Any:
    """The board an hour after the script, without what depends on the clock."""
    after = f"as_of => '{at(310)}'"
    arguments = ", ".join(filter(None, (filters, after)))
    shown: dict[str, Any] = database.value(f"select scooters_ops.board({arguments})")
    assert shown.pop("missing", []) == []
    for key in ("recorded_at", "notifications", "detection"):
        shown.pop(key)
    for state in shown["delivery"]:
        del state["oldest_created_at"], state["next_attempt_at"]
    for notification in shown["open_notifications"].values():
        for key in ("created_at", "next_step", "recipients"):
            del notification[key]
    return shown


@contextmanager
def foreign_sessions(rig: RouterRig) -> Iterator[None]:
    """Inside, sessions have unusual settings, and PL/Proxy sends texts only, as it does between
    servers of different versions."""
    sessions = (rig.router.connection, rig.single.connection)
    for session in sessions:
        session.execute("set datestyle = 'SQL, DMY'; set timezone = 'Asia/Kolkata'")
        session.execute("set intervalstyle = 'sql_standard'; set extra_float_digits = 0")
    for number in range(len(rig.shards)):
        sessions[0].execute(f"alter server proxy_{number} options (add disable_binary '1')")
    try:
        yield
    finally:
        for number in range(len(rig.shards)):
            sessions[0].execute(f"alter server proxy_{number} options (drop disable_binary)")
        for session in sessions:
            session.execute("reset all")


def test_random_scripts_go_as_in_one_database(router_rig: RouterRig) -> None:
    router_rig.empty()
    answers: Counter[str] = Counter()
    calls = [*script(1, missions=16, steps=250)]

    def run(calls: Sequence[tuple[str, list[Any]]]) -> None:
        for function, arguments in calls:
            one, routed = (
                answer(database, function, arguments)
                for database in (router_rig.single, router_rig.router)
            )
            assert routed == one, (function, arguments)
            answers[one[0]] += 1

    run(calls[: len(calls) // 2])
    with foreign_sessions(router_rig):
        run(calls[len(calls) // 2 :])
    assert answers["result"] > 100 < answers.total() - answers["result"]
    for database in (router_rig.single, *router_rig.shards):
        database.value("select scooters_ops.plan_deliveries(1000)")
    views = router_rig.router.values(
        "select object from scooters_router.routes where kind = 'view' order by 1"
    )
    for view in sorted(set(views) - OF_ONE_DATABASE):
        assert shown(router_rig.router, view) == shown(router_rig.single, view), view
    for question in QUESTIONS:
        one, routed = (
            sorted(database.values(question, at(310)), key=str)
            for database in (router_rig.single, router_rig.router)
        )
        assert routed == one, question
    why = [
        sorted(why_rows(database), key=str) for database in (router_rig.single, router_rig.router)
    ]
    assert why[0] == why[1]
    assert len(why[0]) > 200
    for filters in BOARDS:
        assert board(router_rig.router, filters) == board(router_rig.single, filters), filters
    assert board(router_rig.router, "")["open_notifications"]
    counted = (
        "select name, labels, help, value from scooters_ops.metrics"
        # shard_up and the like are a router's own.
        " where name !~ '_seconds|_passes|^shard_' or name ~ '^noticed_after' or labels ? 'le'"
        " order by name, labels"
    )
    rows = router_rig.single.rows(counted)
    assert router_rig.router.rows(counted) == rows
    values = {(row["name"], row["labels"].get("le")): row["value"] for row in rows}
    assert values["noticed_after_seconds_bucket", "+Inf"] > 0
    reports = [reported(database) for database in (router_rig.router, router_rig.single)]
    assert reports[0] == reports[1]
    assert all(reports[0].values())


def reported(database: TestDatabase) -> dict[str, list[str]]:
    """The rows of each question of the report, without times, which depend on the clock."""
    window = ("--since", "2026-11-01", "--until", "2100-01-01")
    finished = run_in_process(
        ("report", *window, "--output", "json"), {"DATABASE_URL": database.conninfo}
    )
    assert finished.returncode == 0, finished.stderr
    return {
        question: sorted(
            json.dumps({key: row[key] for key in row if not key.endswith("_seconds")})
            for row in rows
        )
        for question, rows in json.loads(finished.stdout)["questions"].items()
    }


# --- Real events ----------------------------------------------------------------------------------


def load_flights(rig: RouterRig) -> None:
    """Load the recorded missions, each into the shard that it lives in."""
    shard_of = dict(
        rig.router.connection.execute(
            "select id, scooters_router.shard_of(id) from unnest(%s::text[]) as id",
            ([row["mission_id"] for row in flights.recorded("missions")],),
        ).fetchall()
    )
    with ExitStack() as stack:
        cursors = []
        for shard in rig.shards:
            stack.enter_context(shard.connection.transaction())
            cursors.append(stack.enter_context(shard.connection.cursor()))
        for table in ("missions", "points", "jobs", "history"):
            parts: list[list[list[str]]] = [[] for _ in rig.shards]
            names: list[str] = []
            for row in flights.recorded(table):
                names = [*row]
                parts[shard_of[row["mission_id"]]].append([*row.values()])
            columns = ", ".join(
                f"{name} {flights.COLUMN_TYPES.get(name, 'text')}" for name in names
            )
            for cursor, rows in zip(cursors, parts, strict=True):
                cursor.execute(f"create temp table {table} ({columns}) on commit drop")
                with cursor.copy(f"copy {table} from stdin") as copy:
                    for values in rows:
                        copy.write_row([value or None for value in values])
        for cursor in cursors:
            cursor.execute(flights.LOAD)


@pytest.mark.skipif(not flights.FLIGHTS.is_dir(), reason=f"{flights.FLIGHTS} is not there")
@pytest.mark.slow(seconds=9)
def test_the_recorded_flights_give_the_recorded_timeouts(router_rig: RouterRig) -> None:
    router_rig.empty()
    load_flights(router_rig)
    router = router_rig.router
    flights.apply_factor(router, 1.5)
    answer = flights.expected(1.5)
    assert flights.timeouts(router, "scooters_ops.mission_timeouts") == answer
    assert router.value("select scooters_ops.detect_timeouts(%s)", flights.AS_OF) == answer.total()
    assert flights.tokens(answer) == sorted(
        router.values("select idempotency_token from scooters_ops.notifications")
    )
    assert router.values("select count(*) from scooters_ops.mission_overview") == [
        sum(1 for _ in flights.recorded("missions"))
    ]


# --- Which shards are asked -----------------------------------------------------------------------


@pytest.mark.parametrize("view", ["mission_intervals", "mission_overview", "notifications"])
@pytest.mark.parametrize(
    ("condition", "most"), [("= 'm1'", 1), ("in ('m1', 'm2')", 2), ("= any('{m3, m4}')", 2)]
)
def test_a_question_about_a_mission_asks_its_shard_only(
    router_rig: RouterRig, view: str, condition: str, most: int
) -> None:
    plan = router_rig.router.values(
        f"explain (verbose, costs off) select * from scooters_ops.{view}"
        f" where mission_id {condition}"
    )
    asked = [line for line in plan if "Foreign Scan on" in line]
    assert 1 <= len(asked) <= most
    assert sum("mission_id" in line for line in plan if "Remote SQL" in line) == len(asked)


def test_each_shard_joins_its_own_rows_for_a_report(router_rig: RouterRig) -> None:
    """With the setting that the command makes."""
    window = {"since": at(0), "until": at(60)}
    with router_rig.router.connection.transaction(force_rollback=True) as joined:
        joined.connection.execute(JOIN_IN_SHARDS)
        for name, question in REPORT.items():
            plan = router_rig.router.connection.execute(
                f"explain (verbose, costs off) {for_psycopg(question.query())}".encode(), window
            ).fetchall()
            remote = [line for (line,) in plan if "Remote SQL" in line]
            assert len(remote) == len(router_rig.shards), name
            assert all(" >= '2026-11-24 " in line for line in remote), name


# --- Who may do what ------------------------------------------------------------------------------


@pytest.fixture
def as_role(router_rig: RouterRig) -> Iterator[Callable[[str, str], Any]]:
    """Run a statement on the router with the rights of a role; returns the first value."""
    with psycopg.connect(router_rig.router.conninfo, autocommit=True) as connection:

        def run(role: str, statement: str) -> Any:
            connection.execute(SQL("set role {}").format(Identifier(role)))
            return (connection.cursor(row_factory=scalar_row).execute(statement)).fetchone()

        connection.execute("create role nobody_in_particular")
        try:
            yield run
        finally:
            connection.execute("reset role")
            connection.execute("drop role nobody_in_particular")


PRIVATE = (
    "select name from scooters_router.shards",
    "select mission_id from scooters_router.mission_overview",
    "select mission_id from scooters_router.mission_overview_2",
    "select scooters_router.skip_job(0, 'm1', 'p1', 'j1')",
    "select shard_name from scooters_router.rows_of('delivery_status')",
    "select scooters_router.place_shard(0, 'x', '{}', '{}')",
    "select scooters_router.shard_of('m1')",
    "select config from scooters_ops.configs",
    "select next_update_id from scooters_ops.button_polls",
    "select scooters_router.press_button(0, 'telegram', '{}')",
    "select umoptions from pg_user_mapping",
)


def test_analysts_and_operators_read_views_and_the_board(
    router_rig: RouterRig, as_role: Callable[[str, str], Any]
) -> None:
    routed = router_rig.router.values(
        "select object from scooters_router.routes where kind = 'view'"
    )
    readers = {
        row["relname"]: row["roles"]
        for row in router_rig.single.rows(
            "select relname, array_agg(grantee::regrole::text) as roles"
            " from pg_class cross join lateral aclexplode(relacl)"
            " where relnamespace = 'scooters_ops'::regnamespace and grantee <> relowner"
            " group by 1"
        )
    }
    for view in routed:
        for role in readers[view]:
            as_role(role, f"select count(*) from scooters_ops.{view}")
    for role in ("scooters_ops_analyst", "scooters_ops_operator"):
        assert as_role(role, "select scooters_ops.board()")["missing"] == []
        as_role(role, "select count(*) from scooters_ops.mission_intervals_of('m1', now())")


@pytest.mark.parametrize("role", [*ROLES, "nobody_in_particular"])
def test_nobody_reads_what_stands_behind_the_views(
    as_role: Callable[[str, str], Any], role: str
) -> None:
    for statement in PRIVATE:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(role, statement)


def test_writers_write_and_others_do_not(as_role: Callable[[str, str], Any]) -> None:
    writes = (
        "select scooters_ops.create_mission('{}')",
        "select scooters_ops.record_event('no', 'mission_started')",
        "select scooters_ops.record_event_once('no', 'mission_started', null, now(), 'k')",
        "select scooters_ops.skip_job('no', 'p1', 'j1')",
    )
    of_owners = ("select scooters_ops.apply_config('{}')", "select scooters_ops.detect_timeouts()")
    for statement in writes:
        with pytest.raises((psycopg.errors.NoDataFound, psycopg.DataError)):
            as_role("scooters_ops_writer", statement)
    for role in (*ROLES, "nobody_in_particular"):
        for statement in of_owners if role == "scooters_ops_writer" else (*writes, *of_owners):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                as_role(role, statement)
    for role in ("scooters_ops_writer", "nobody_in_particular"):
        for statement in (
            "select * from scooters_ops.notifications",
            "select scooters_ops.board()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                as_role(role, statement)


def test_no_password_is_where_others_can_read_it(
    router_rig: RouterRig, as_role: Callable[[str, str], Any]
) -> None:
    everything = """
        select string_agg(row_text, ' ') from (
            select to_jsonb(known)::text from pg_foreign_server as known
            union all select to_jsonb(known)::text from pg_user_mappings as known
            union all select to_jsonb(known)::text from pg_foreign_table as known
            union all select to_jsonb(known)::text from pg_proc as known
            union all select to_jsonb(known)::text from pg_stat_activity as known
        ) as read (row_text)
    """
    for role in (*ROLES, "nobody_in_particular"):
        assert WORD not in as_role(role, everything)


def test_no_log_has_a_password(router_rig: RouterRig) -> None:
    most = {
        "log_statement": "all",
        "log_min_duration_statement": "0",
        "session_preload_libraries": "auto_explain",
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_nested_statements": "on",
        "log_parameter_max_length_on_error": "-1",
    }
    change = "alter database router {} {}"
    for setting, value in most.items():
        router_rig.single.connection.execute(change.format("set", f"{setting} = '{value}'"))
    try:
        router_rig.make()
        lines = router_rig.lines()
        lines[2] += " krbsrvname=x connect_timeout=nonsense"
        with pytest.raises(DatabaseUnusable):
            router_rig.make(*lines)
    finally:
        for setting in most:
            router_rig.single.connection.execute(change.format("reset", setting))
    log = router_rig.router.cluster.read_bootlog()
    assert "log_statement" in log
    assert WORD not in log


def test_a_password_is_not_shown_while_the_router_is_made(router_rig: RouterRig) -> None:
    lock = "lock table scooters_router.shards in access exclusive mode"
    blocked = (
        "select query from pg_stat_activity where datname = 'router' and wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as thread:
        with router_rig.router.connection.transaction():
            router_rig.router.connection.execute(lock)
            made = thread.submit(router_rig.make)
            until(lambda: router_rig.single.values(blocked))
            (query,) = router_rig.single.values(blocked)
        made.result(PATIENCE_SECONDS)
    assert WORD not in query


# --- Presses of buttons ---------------------------------------------------------------------------

WORKER = "host:1:aa"


def poll(rig: RouterRig, worker: str = WORKER) -> Any:
    query = "select scooters_ops.poll_buttons(%s, 'telegram', 60)"
    return rig.router.value(query, worker)


def press(rig: RouterRig, *presses: tuple[str, str], offset: int, chat: str = "-1001") -> Any:
    """What came of each press, a pair of what the button stands for and who pressed it, by its
    place; who has the notification."""
    listed = [
        {"press_id": str(n), "data": data, "by": by, "chat_id": chat}
        for n, (data, by) in enumerate(presses)
    ]
    rows = rig.router.rows(
        "select * from scooters_ops.press_buttons(%s, 'telegram', %s, %s)",
        WORKER,
        json.dumps(listed),
        offset,
    )
    return {int(row["press_id"]): (row["result"], row["acknowledged_by"]) for row in rows}


@pytest.fixture
def told(router_rig: RouterRig, request: pytest.FixtureRequest) -> list[str]:
    """What a button of each shard stands for, all with the same number. The group -1001 was told
    in each of them."""
    router_rig.router.connection.execute("truncate scooters_ops.button_polls")
    router_rig.router.apply_config(channels__telegram__buttons=True)
    prefix = f"{request.node.name}-"
    names = {router_rig.shard_of(f"{prefix}{n}").name: f"{prefix}{n}" for n in range(100)}
    sequence = "pg_get_serial_sequence('scooters_ops.monitoring_notifications', 'notification_id')"
    last = [shard.value(f"select nextval({sequence})") for shard in router_rig.shards]
    told = []
    for shard in router_rig.shards:
        shard.value(f"select setval({sequence}, %s)", max(last))
        skip(router_rig.router, names[shard.name])
        shard.value("select scooters_ops.plan_deliveries(1000)")
        shard.connection.execute(
            "update scooters_ops.notification_recipients set state = 'sent', sent_at = now()"
            " where notification_id = %s",
            (max(last) + 1,),
        )
        told += shard.values(
            "select scooters_ops.acknowledge_data(notification_id, idempotency_token)"
            " from scooters_ops.monitoring_notifications where notification_id = %s",
            max(last) + 1,
        )
    return told


def skip(database: TestDatabase, mission_id: str) -> None:
    database.create_mission(mission_id, attributes={"city": "Moscow"})
    database.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)


def owner(shard: TestDatabase, data: str) -> Any:
    """Who has acknowledged what this button stands for."""
    query = "select acknowledged_by from scooters_ops.notifications where notification_id = %s"
    return shard.value(query, data.split(":")[1])


def test_a_press_acknowledges_in_the_shard_that_sent_the_button(
    router_rig: RouterRig, told: list[str]
) -> None:
    assert len({data.split(":")[1] for data in told}) == 1
    assert poll(router_rig) == 0
    assert poll(router_rig, "other") is None
    last, first = told[3], told[0]
    presses = [(last, "@ivan"), (last, "@anna"), ("ack:1:0", "@ivan"), (first, "x" * 201)]
    assert press(router_rig, *presses, offset=5) == {
        0: ("acknowledged", "@ivan"),
        1: ("already", "@ivan"),
        2: ("unknown", None),
        3: ("failed", None),
    }
    owners = [owner(shard, last) for shard in router_rig.shards]
    assert owners == [None, None, None, "@ivan"]
    assert poll(router_rig) == 5
    # As after a crash that followed the effect.
    assert press(router_rig, (last, "@ivan"), offset=5) == {0: ("acknowledged", "@ivan")}
    assert press(router_rig, (first, "@ivan"), offset=6, chat="-1") == {0: ("elsewhere", None)}
    assert router_rig.router.values(
        "select step from scooters_ops.notification_steps"
        " where mission_id in (select mission_id from scooters_ops.notifications"
        " where acknowledged_by = '@ivan') and channel = 'telegram' order by recipient_id"
    ) == ["alert", "acknowledged"]
    router_rig.router.connection.execute("update scooters_ops.button_polls set polled_by = 'b'")
    assert press(router_rig, (first, "@ivan"), offset=9) == {}
    assert owner(router_rig.shards[0], first) is None


def test_presses_wait_for_a_shard_that_is_away_but_not_for_ever(
    router_rig: RouterRig, told: list[str]
) -> None:
    poll(router_rig)
    presses = [(told[3], "@ivan"), (told[1], "@anna")]
    with without_last_shard(router_rig):
        for _ in range(2):
            assert press(router_rig, *presses, offset=7) == {1: ("acknowledged", "@anna")}
            assert poll(router_rig) == 0
    assert press(router_rig, *presses, offset=7)[0] == ("acknowledged", "@ivan")
    assert poll(router_rig) == 7
    forged = ("ack:1:0", "@eve")
    with without_last_shard(router_rig):
        assert press(router_rig, *[forged] * 100, offset=8)[99] == ("failed", None)
        assert press(router_rig, forged, offset=9) == {}
        router_rig.router.connection.execute(
            "update scooters_ops.button_polls set held_since = now() - interval '1 hour'"
        )
        assert press(router_rig, forged, offset=9) == {0: ("failed", None)}
    assert poll(router_rig) == 9


def test_only_notifiers_read_presses_and_shards_leave_it_to_the_router(
    router_rig: RouterRig, told: list[str], as_role: Callable[[str, str], Any]
) -> None:
    ask = "select scooters_ops.poll_buttons('w', 'telegram', 60)"
    do = "select count(*) from scooters_ops.press_buttons('w', 'telegram', '[]', 1)"
    assert (as_role("scooters_ops_notifier", ask), as_role("scooters_ops_notifier", do)) == (0, 0)
    for role in {*ROLES, "nobody_in_particular"} - {"scooters_ops_notifier"}:
        for statement in (ask, do):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                as_role(role, statement)
    status = "select channel, polled_by from scooters_ops.button_status"
    assert router_rig.router.rows(status) == [{"channel": "telegram", "polled_by": "w"}]
    buttons = "select config #> '{channels,telegram,buttons}' from scooters_ops.config_in_force"
    for shard in router_rig.shards:
        assert (shard.rows(status), shard.value(buttons)) == ([], "shown")
    assert router_rig.router.value("select bool_and(is_config_ours) from scooters_ops.shard_status")


# --- Matches, silences, silent input --------------------------------------------------------------

NIGHT = {"from": "22:00", "to": "07:00", "time_zone": {"attribute": "time_zone"}}
RULES: dict[str, Any] = {
    "calendars": {"night": NIGHT},
    "channels__telegram__digest_above": 5,
    "detection__overrides": [
        {
            "name": "omsk-nights",
            "match": {"city": "Omsk", "at": "night"},
            "timeouts": {"timeout_in_point": {"factor": 4}},
        }
    ],
    "routes": [
        {"match": {"city": "Omsk", "shift": "late", "at": "night"}, "recipients": []},
        {"match": {}, "recipients": [{"type": "telegram", "chat_id": -1001}]},
    ],
}
FACTS = {
    "type": "job_skipped",
    "job_type": "battery_exchange",
    "attributes": {"city": "Omsk", "shift": "late", "time_zone": "Asia/Omsk"},
}
MATCHES = (
    "select to_jsonb(found) from scooters_ops.matches_for('route', %(facts)s, %(at)s)"
    " as found order by 1",
    "select to_jsonb(found) from scooters_ops.matches_for('silence', %(facts)s, %(at)s)"
    " as found order by 1",
    "select to_jsonb(found) from scooters_ops.mission_matches('override', 'm1', 'c1', '{}')"
    " as found order by 1",
    "select to_jsonb(found) from scooters_ops.matching_routes(%(facts)s, %(at)s) as found",
    "select scooters_ops.explain_route(%(facts)s, %(at)s) #- '{holds,0,until}'",
)
OMSK = json.dumps({"city": "Omsk"})
SILENCE = "select scooters_ops.silence(%s, %s, %s, %s)"
STATE = """
select
    silence_id >= 1099511627776 as is_routed, match,
    date_trunc('minute', ends_at - starts_at) as lasts, comment,
    created_by, ended_by, ended_at is not null as has_ended, is_active, alerts_held, alerts_total
from scooters_ops.silence_status order by silence_id
"""
HELD = """
select mission_id, state, silence_id is not null as is_silenced
from scooters_ops.notification_recipients inner join scooters_ops.monitoring_notifications
using (notification_id) order by 1
"""


def in_shards(rig: RouterRig, query: str) -> list[Any]:
    """The rows of all shards together."""
    rows = [row for shard in rig.shards for row in shard.rows(query)]
    return sorted(rows, key=lambda row: str(row))


def test_silences_and_matches_go_as_in_one_database(router_rig: RouterRig) -> None:
    router_rig.empty()
    router, single = router_rig.router, router_rig.single
    for database in (router, single):
        database.apply_config(**RULES)
    for n in range(8):
        for database in (router, single):
            mission_id = f"silenced{n}"
            city = "Omsk" if n < 6 else "Moscow"
            database.create_mission(mission_id, attributes={"city": city})
            database.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)
    for n, database in enumerate((single, *router_rig.shards)):
        database.value("select scooters_ops.plan_deliveries(1000)")
        # The number of a silence that somebody made in a shard itself.
        if n:
            database.value(SILENCE, '{"city": "Nowhere"}', "1 hour", "own", "eve")
            database.value("select scooters_ops.unsilence(1, 'eve')")
            database.connection.execute("delete from scooters_ops.silences")

    refused = Counter[str]()
    calls: list[list[Any]] = [
        ["{}", "1 hour", "why", "ops"],
        ['{"city": {}}', "1 hour", "why", "ops"],
        ['{"type": "odd"}', "1 hour", "why", "ops"],
        ['{"at": "noon"}', "1 hour", "why", "ops"],
        [OMSK, "-1 hour", "why", "ops"],
        [OMSK, "8 days", "why", "ops"],
        [OMSK, None, "why", "ops"],
        [OMSK, "1 hour", " ", "ops"],
        [OMSK, "1 hour", "x" * 501, "ops"],
        [OMSK, "1 hour", "why", None],
        [OMSK, "2 hours", "roads are closed", "ops"],
    ]
    for arguments in calls:
        one, routed = (answer(database, "silence", arguments) for database in (single, router))
        assert routed == one, arguments
        refused[one[0]] += 1
    assert refused["result"] == 1
    for arguments in ([77, "ops"], [None, "ops"], [2**50, ""], [2**50, "x" * 201]):
        one, routed = (answer(database, "unsilence", arguments) for database in (single, router))
        assert routed[:2] == one[:2], arguments

    for shard in router_rig.shards:
        assert shard.values("select distinct name from scooters_ops.override_rules") == [
            "omsk-nights"
        ]
        assert shard.values(
            "select config #> '{channels,telegram,digest_above}' from scooters_ops.config_in_force"
        ) == [5]
    assert in_shards(router_rig, HELD) == sorted(single.rows(HELD), key=lambda row: str(row))
    state = router.rows(STATE)
    assert state == [row | {"is_routed": True} for row in single.rows(STATE)]
    assert state[0]["alerts_held"] > 0
    (number,) = router.values("select silence_id from scooters_ops.active_silences")
    for shard in router_rig.shards:
        assert shard.values("select silence_id from scooters_ops.active_silences") == [number]
    shown_board = [database.value("select scooters_ops.board()") for database in (router, single)]
    assert [board["silences"][0]["alerts_held"] for board in shown_board] == [
        state[0]["alerts_held"]
    ] * 2
    assert len(shown_board[0]["silences"]) == 1
    preview = (
        "select idempotency_token, held, would_be_told"
        " from scooters_ops.preview_silence(%s, '1 hour') order by 1"
    )
    assert len(single.rows(preview, OMSK)) == 6
    assert router.rows(preview, OMSK) == single.rows(preview, OMSK)
    for hour in (3, 12, 17):
        given = {"facts": json.dumps(FACTS), "at": f"2026-11-26 {hour}:00+00"}
        for question in MATCHES:
            of_one, of_router = (
                json.dumps(database.connection.execute(question, given).fetchall())
                for database in (single, router)
            )
            assert of_router.replace(str(number), "1") == of_one, question
    for view in ("match_rules", "match_terms", "match_keys", "calendars", "known_time_zones"):
        query = f"select * from scooters_ops.{view} where to_jsonb({view}) ->> 'scope' = 'route'"
        if "match" not in view:
            query = f"select * from scooters_ops.{view}"
        found = [sorted(map(str, database.rows(query))) for database in (router, single)]
        assert found[0] == found[1] != []

    assert router.value("select scooters_ops.unsilence(%s, 'anna')", number) is True
    assert router.value("select scooters_ops.unsilence(%s, 'anna')", number) is False
    single.value("select scooters_ops.unsilence(silence_id, 'anna') from scooters_ops.silences")
    assert router.rows(STATE) == [row | {"is_routed": True} for row in single.rows(STATE)]
    assert in_shards(router_rig, HELD) == sorted(single.rows(HELD), key=lambda row: str(row))


ADVICE = (
    "threshold_advice(%s, %s, 'city')",
    "threshold_effects(%s, %s)",
    "ratio_percentiles(%s, %s, 'city')",
    "job_eta_advice(%s, %s)",
)


def test_advice_is_as_in_one_database(router_rig: RouterRig) -> None:
    router_rig.empty()
    for database in (router_rig.router, router_rig.single):
        database.apply_config(**advised.SETTINGS)
    made = advised.intervals(5, 200)
    advised.store(router_rig.single, made)
    for shard in router_rig.shards:
        advised.store(
            shard, [each for each in made if router_rig.shard_of(each.mission_id) is shard]
        )
    for question in ADVICE:
        answers = []
        for database in (router_rig.single, router_rig.router):
            with database.connection.transaction(force_rollback=True):
                database.connection.execute("set transaction read only")
                database.connection.execute("set local role scooters_ops_analyst")
                query = f"select * from scooters_ops.{question}"
                answers.append(database.rows(query, *advised.WINDOW))
                with pytest.raises(psycopg.DataError, match="since must be before until"):
                    database.rows(query, *reversed(advised.WINDOW))
        assert answers[0] == answers[1]
        assert len(answers[0]) >= 4


def test_a_silence_holds_where_shards_answer_and_the_error_says_where(
    router_rig: RouterRig,
) -> None:
    router_rig.empty()
    router, away = router_rig.router, router_rig.shards[3]
    active = "select silence_id from scooters_ops.active_silences order by 1"
    with without_last_shard(router_rig):
        with pytest.raises(psycopg.OperationalError) as error:
            router.value(SILENCE, OMSK, "1 hour", "why", "ops")
        assert error.value.sqlstate == "08006"
        (number,) = router.values(active)
        assert str(error.value).startswith(
            f"no answer from shard3 at 127.0.0.1:{away.cluster.port}:"
            f" silence {number} holds in shard0 at "
        )
        with pytest.raises(psycopg.OperationalError) as error:
            router.value("select scooters_ops.unsilence(%s, 'ops')", number)
        assert error.value.sqlstate == "08006"
        assert router.values(active) == []
    assert router.value("select scooters_ops.unsilence(%s, 'ops')", number) is False
    assert away.values("select silence_id from scooters_ops.silences") == []
    # A router that was made anew begins behind the silences that there are.
    router.connection.execute("alter sequence scooters_router.silence_numbers restart")
    newest = router.value(SILENCE, OMSK, "1 hour", "why", "ops")
    assert newest == number + 1
    # What was made in a shard itself is shown, and ends there.
    for shard in router_rig.shards[:2]:
        assert shard.value(SILENCE, '{"city": "Perm"}', "1 hour", "own", "eve") == 1
    assert router.values(active) == [1, 1, newest]
    assert sorted(
        row["silence_id"] for row in router.value("select scooters_ops.board()")["silences"]
    ) == [1, 1, newest]
    with pytest.raises(psycopg.errors.NoDataFound, match="no silence 1"):
        router.value("select scooters_ops.unsilence(1, 'ops')")
    assert router.values(active) == [1, 1, newest]


def test_input_is_silent_where_a_shard_gets_no_events_though_others_do(
    router_rig: RouterRig,
) -> None:
    router_rig.empty()
    router = router_rig.router
    router.apply_config(detection__silent_input_after_seconds=900)
    ids = {router_rig.shard_of(f"s{n}").name: f"s{n}" for n in range(100)}
    started = "select scooters_ops.record_event(%s, 'mission_started', null, now() - %s::interval)"
    router.create_mission(ids["shard0"])
    router.value(started, ids["shard0"], "20 minutes")
    router.create_mission(ids["shard2"])
    router.value("select scooters_ops.detect_timeouts()")
    told = "select is_silent, silent_shards from scooters_ops.input_status"
    # The other shards have no active missions, so the input of all is silent.
    assert router.rows(told) == [{"is_silent": True, "silent_shards": []}]
    assert router.value("select scooters_ops.board()")["input"]["silent_shards"] == []
    router.value(started, ids["shard2"], "1 minute")
    router.value("select scooters_ops.detect_timeouts()")
    (name,) = router.values("select name from scooters_ops.shard_status where shard = 0")
    assert router.rows(told) == [{"is_silent": True, "silent_shards": [name]}]
    on_board = router.value("select scooters_ops.board()")["input"]
    assert (on_board["is_silent"], on_board["silent_shards"]) == (True, [name])
    metrics = dict(
        router.connection.execute(
            "select name, value from scooters_ops.metrics where name ~ '^(input|newest)_'"
        ).fetchall()
    )
    assert metrics["input_silent"] == 1
    assert 60 <= metrics["newest_event_age_seconds"] < 600
    router.value("select scooters_ops.record_event(%s, 'battery_low')", ids["shard0"])
    assert router.rows(told) == [{"is_silent": False, "silent_shards": []}]


# --- A machine that is gone -----------------------------------------------------------------------


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers nothing: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, ExitStack() as stack:
        for _ in range(3):
            guest = stack.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(silent.getsockname())
        yield silent.getsockname()[1]


@contextmanager
def without_last_shard(rig: RouterRig) -> Iterator[None]:
    """Inside, the last shard lets nobody in."""
    leave = (
        "select pg_terminate_backend(pid, 60000) from pg_stat_activity"
        f" where datname = 'shard3' and usename = '{LOGIN}'"
    )
    with psycopg.connect(rig.shards[2].conninfo, autocommit=True) as admin:
        admin.execute("alter database shard3 allow_connections false")
        admin.execute(leave)
        try:
            yield
        finally:
            admin.execute("alter database shard3 allow_connections true")


def test_a_machine_that_is_gone_keeps_nobody_waiting(router_rig: RouterRig) -> None:
    router, gone = router_rig.router, router_rig.shards[3]
    ids = {router_rig.shard_of(f"g{n}").name: f"g{n}" for n in range(100)}
    question = "select scooters_ops.record_event(%s, 'odd')"
    with black_hole() as port:
        try:
            (place,) = router.values(
                "select option_value from pg_foreign_server"
                " cross join lateral pg_options_to_table(srvoptions)"
                " where srvname = 'proxy_3' and option_name = 'p0'"
            )
            place = re.sub("port='[0-9]+'", f"port='{port}'", place)
            place = re.sub("tcp_user_timeout='[0-9]+'", "tcp_user_timeout='300'", place)
            router.connection.execute(
                SQL("alter server proxy_3 options (set p0 {})").format(Literal(place))
            )
            router.connection.execute("set statement_timeout = '60s'")
            with pytest.raises(psycopg.OperationalError) as error:
                router.value(question, ids.pop(gone.name))
            assert error.value.sqlstate == "08006"
            assert "shard shard3 at 127.0.0.1" in str(error.value)
            for mission_id in ids.values():
                with pytest.raises(psycopg.errors.NoDataFound):
                    router.value(question, mission_id)
            board = router.value("select scooters_ops.board()")
            assert [name.split()[0] for name in board["missing"]] == ["shard3"]
        finally:
            router.connection.execute("reset statement_timeout")
            router_rig.make()


# --- Lists that cannot be used --------------------------------------------------------------------


def catalog(database: TestDatabase) -> Any:
    """Everything that making a router changes."""
    return database.rows(
        """
        select 'function' as kind, oid::text, to_jsonb(known)::text as content
        from pg_proc as known
        union all
        select 'relation', oid::text, (to_jsonb(known) - %s::text[])::text
        from pg_class as known where relnamespace::regnamespace::text ~ '^scooters'
        union all
        select 'server', oid::text, to_jsonb(known)::text from pg_foreign_server as known
        union all
        select 'login', umid::text, to_jsonb(known)::text from pg_user_mappings as known
        union all
        select 'comment', objoid::text || objsubid, description from pg_description
        union all
        select 'type', oid::text, to_jsonb(known)::text from pg_type as known
        union all
        select 'role', oid::text, rolname from pg_roles
        union all
        select 'shard', shard::text, name from scooters_router.shards
        union all
        select 'migration', migration_id, '' from scooters_router.applied_migrations
        order by 1, 2, 3
        """,
        # How much is stored, and where.
        ["relpages", "reltuples", "relallvisible", "relfilenode", "relfrozenxid", "relminmxid"],
    )


def test_making_a_router_again_changes_nothing(router_rig: RouterRig) -> None:
    before = catalog(router_rig.router)
    router_rig.make()
    assert catalog(router_rig.router) == before


def test_making_a_router_twice_at_once_changes_nothing(router_rig: RouterRig) -> None:
    before = catalog(router_rig.router)
    with (
        patch.dict(os.environ, DATABASE_URL=router_rig.router.conninfo),
        ThreadPoolExecutor(2) as threads,
    ):
        made = [*threads.map(make_router, [router_rig.file] * 2, timeout=PATIENCE_SECONDS)]
    assert [len(shards) for shards in made] == [4, 4]
    assert catalog(router_rig.router) == before


def test_a_changed_address_is_followed_by_open_sessions(router_rig: RouterRig) -> None:
    before = catalog(router_rig.router)
    in_shard = router_rig.shards[2]
    mission_id = next(f"f{n}" for n in range(100) if router_rig.shard_of(f"f{n}") is in_shard)
    ask = (
        f"select count(*) from scooters_ops.mission_overview where mission_id = '{mission_id}'",
        f"select scooters_ops.board_mission('{mission_id}')",
    )
    guests = (
        "select application_name from pg_stat_activity"
        f" where datname = current_database() and usename = '{LOGIN}'"
    )
    with psycopg.connect(router_rig.router.conninfo, autocommit=True) as session:
        for question in ask:
            session.execute(question)
        lines = router_rig.lines()
        lines[2] += " application_name=followed"
        router_rig.make(*lines)
        until(lambda: "followed" not in in_shard.values(guests))
        for question in ask:
            session.execute(question)
        assert in_shard.values(guests).count("followed") == 2
    router_rig.make()
    assert catalog(router_rig.router) == before


@pytest.fixture
def refused(
    router_rig: RouterRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Make a router from these lines, in vain; returns what is printed."""
    before = catalog(router_rig.router)

    def run(*lines: str, conninfo: str = router_rig.router.conninfo) -> str:
        (tmp_path / "list").write_text("\n".join(lines))
        with patch.dict(os.environ, DATABASE_URL=conninfo):
            assert main(["router", str(tmp_path / "list")]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert WORD not in output.err
        (line,) = output.err.splitlines()
        return line

    yield run
    assert catalog(router_rig.router) == before


def test_a_list_of_three_shards_is_refused(
    router_rig: RouterRig, refused: Callable[..., str]
) -> None:
    assert "names 3 shards" in refused(*router_rig.lines()[:3])
    assert "names 0 shards" in refused("# nothing")
    assert "is a router over 4 shards, and the file names 2" in refused(*router_rig.lines()[:2])


def test_a_line_that_names_no_shard_is_refused(
    router_rig: RouterRig, refused: Callable[..., str]
) -> None:
    first, *others = router_rig.lines()
    for bad in (f"host=x passwort={WORD}", f"password='{WORD}"):
        assert "line 1: not a connection string" in refused(bad, *others)
    at_sign = f"postgresql://u:x@{WORD}@127.0.0.1/shard0"
    assert "line 1: a password with @ must have it as %40" in refused(at_sign, *others)
    assert "line 1: a router cannot use the option sslpassword" in refused(
        make_conninfo(first, sslpassword=WORD), *others
    )
    assert "line 1: names no database" in refused(f"host=127.0.0.1 password={WORD}", *others)
    assert "shard nowhere at 127.0.0.1" in refused(
        first.replace("dbname=shard0", "dbname=nowhere"), *others
    )
    assert "shard2 at 127.0.0.1" in refused(
        first, others[0], make_conninfo(others[1], password=f"not {WORD}"), others[2]
    )


def test_two_lines_for_one_database_are_refused(
    router_rig: RouterRig, refused: Callable[..., str]
) -> None:
    first, _second, *others = router_rig.lines()
    assert "shard0" in (line := refused(first, first, *others))
    assert "twice" in line
    again = make_conninfo(first, host="localhost")
    assert "are the same database" in refused(first, again, *others)


def test_shards_in_another_order_are_refused(
    router_rig: RouterRig, refused: Callable[..., str]
) -> None:
    router_rig.empty()
    for number in range(8):
        router_rig.router.value(
            "select scooters_ops.create_mission(%s)",
            json.dumps(
                {
                    "mission_id": f"o{number}",
                    "performer_id": "c1",
                    "points": [{"point_id": "p1", "eta_seconds": 60, "jobs": []}],
                }
            ),
        )
    first, second, *others = router_rig.lines()
    assert "which belongs in shard" in refused(second, first, *others)


def test_a_shard_that_is_not_ready_is_refused(
    router_rig: RouterRig, refused: Callable[..., str]
) -> None:
    _first, *others = router_rig.lines()
    server = router_rig.router.cluster
    assert "shard test at" in (line := refused(server.conninfo("test"), *others))
    assert "was never migrated: make migrate" in line
    assert "is a router" in refused(router_rig.router.conninfo, *others)
    shard = router_rig.single
    migration = "insert into scooters_ops._yoyo_migration (migration_hash, migration_id)"
    shard.connection.execute(f"{migration} values ('9', '9999_of_tomorrow')")
    assert "9999_of_tomorrow" in refused(shard.conninfo, *others)
    shard.connection.execute("delete from scooters_ops._yoyo_migration where migration_hash = '9'")
    shard.connection.execute("truncate scooters_ops.configs")
    try:
        line = refused(shard.conninfo, *others)
        assert "shard single at" in line
        assert "has no config: make config" in line
    finally:
        shard.apply_config()


def test_a_shard_that_only_this_program_reaches_is_refused(
    router_rig: RouterRig, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    *others, last = router_rig.lines()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    without = make_conninfo(router_rig.shards[3].conninfo, user=LOGIN)
    assert without != last
    assert "the router's server gets no answer from shard shard3 at" in refused(*others, without)


def test_another_superuser_can_use_and_update_a_router(router_rig: RouterRig) -> None:
    before = catalog(router_rig.router)
    router_rig.router.connection.execute('create role "Another One" superuser login')
    try:
        other = make_conninfo(router_rig.router.conninfo, user="Another One")
        with psycopg.connect(other, autocommit=True) as session:
            session.execute("select scooters_ops.missions_waiting()")
            session.execute("select scooters_ops.apply_config(%s)", [json.dumps(CONFIG)])
            session.execute("select count(*) from scooters_ops.mission_overview")
        with patch.dict(os.environ, DATABASE_URL=other):
            make_router(router_rig.file)
    finally:
        router_rig.router.connection.execute('drop role "Another One"')
    assert catalog(router_rig.router) == before


def test_a_router_needs_a_database_of_its_own_and_a_superuser(
    router_rig: RouterRig, refused: Callable[..., str]
) -> None:
    lines = router_rig.lines()
    assert "database 'single' has missions of its own" in refused(
        *lines, conninfo=router_rig.single.conninfo
    )
    router_rig.router.connection.execute("create role plain login")
    try:
        plain = make_conninfo(router_rig.router.conninfo, user="plain")
        assert "only a superuser can make a router" in refused(*lines, conninfo=plain)
    finally:
        router_rig.router.connection.execute("drop role plain")


# --- Config ---------------------------------------------------------------------------------------


def rates(database: TestDatabase) -> dict[str, list[float]]:
    """Messages a second that each limit of each channel allows."""
    channels = database.value("select config -> 'channels' from scooters_ops.config_in_force")
    return {
        f"{channel}.{name}": [rule["messages"] / rule["seconds"] for rule in rules]
        for channel, settings in channels.items()
        for name, rules in settings["limits"].items()
        if isinstance(rules, list)
    }


@pytest.mark.parametrize(
    "limits",
    [
        None,  # the channel's own
        {"per_channel": [{"messages": 30, "seconds": 1}, {"messages": 7, "seconds": 3}]},
        {"per_target": [{"messages": 1, "seconds": 0.01}], "per_group": []},
        {"per_group": [{"messages": 4, "seconds": 86400}], "per_target": []},
    ],
)
def test_all_shards_together_keep_a_channels_limits(
    router_rig: RouterRig, limits: dict[str, Any] | None
) -> None:
    router_rig.empty()
    telegram = CONFIG["channels"]["telegram"] | ({"limits": limits} if limits else {})
    for database in (router_rig.router, router_rig.single):
        database.apply_config(channels__telegram=telegram)
    of_shards = [rates(shard) for shard in router_rig.shards]
    for name, allowed in rates(router_rig.single).items():
        together = [sum(parts) for parts in zip(*(part[name] for part in of_shards), strict=True)]
        assert together == pytest.approx(allowed)
    in_force = "select config from scooters_ops.config_in_force"
    assert router_rig.router.value(in_force) == router_rig.single.value(in_force)
    shown = "select channel, limits from scooters_ops.delivery_channels order by 1"
    assert router_rig.router.rows(shown) == router_rig.single.rows(shown)


@pytest.mark.parametrize(
    "bad",
    [
        {"x": 1},
        {"detection": 5},
        {"channels": 5},
        {"channels": {"telegram": {"limits": 5}}},
        {"channels": {"telegram": {"limits": {"per_channel": [{"messages": 0, "seconds": 1}]}}}},
        {"channels": {"telegram": {"limits": {"per_target": [{"messages": "x"}]}}}},
        {"channels": {"telegram": {"limits": {"in_flight_per_target": 0.5}}}},
        {"routes": [{"match": {"type": ["x"]}, "recipients": []}]},
        {"notifier": {**CONFIG["notifier"], "time_zone": "Nowhere/At_All"}},
        {"calendars": {"night": {"from": "22:00", "to": "07:00", "time_zone": "Nowhere/At_All"}}},
        {"routes": [{"match": {"at": "night"}, "recipients": []}]},
    ],
)
def test_a_bad_config_is_refused_as_before_and_applied_nowhere(
    router_rig: RouterRig, bad: dict[str, Any]
) -> None:
    count = "select count(*) from scooters_ops.configs"
    databases = (router_rig.router, *router_rig.shards)
    before = [database.value(count) for database in databases]
    arguments = [json.dumps(CONFIG | bad)]
    one, routed = (
        answer(database, "apply_config", arguments)
        for database in (router_rig.single, router_rig.router)
    )
    assert one[0] == "22023"
    assert routed == one
    assert [database.value(count) for database in databases] == before


def test_a_config_carries_its_comment_and_what_was_expected(router_rig: RouterRig) -> None:
    router_rig.empty()
    # As an earlier version made it.
    router_rig.router.connection.execute(
        "create function scooters_ops.apply_config(config jsonb) returns bigint"
        " language sql as 'select -1::bigint'"
    )
    router_rig.make()
    earlier = "select to_regprocedure('scooters_ops.apply_config(jsonb)')"
    assert router_rig.router.value(earlier) is None
    before = router_rig.router.value("select config_id from scooters_ops.config_in_force")
    apply = "select scooters_ops.apply_config(%s, %s, %s)"
    mine, hers = (json.dumps(config(detection__batch_size=size)) for size in (7, 8))
    her_id = router_rig.router.value(apply, hers, "night shift", before)
    for database in (router_rig.router, *router_rig.shards):
        assert database.value(
            "select comment from scooters_ops.config_history order by config_id desc"
        ) == ("night shift")
    assert router_rig.router.value(apply, hers, None, before) == her_id
    with pytest.raises(
        psycopg.errors.ObjectNotInPrerequisiteState,
        match=rf"^expected_config_id: .*postgres applied config {her_id} at .* \(night shift\)",
    ):
        router_rig.router.value(apply, mine, None, before)
    with pytest.raises(psycopg.errors.StringDataRightTruncation, match=r"^comment is longer"):
        router_rig.router.value(apply, mine, "x" * 1001, her_id)
    in_force = "select detection_batch_size from scooters_ops.config_in_force"
    databases = (router_rig.router, *router_rig.shards)
    assert [database.value(in_force) for database in databases] == [8] * 5
    check = "select scooters_ops.check_config(%s)"
    assert router_rig.router.value(check, mine) == router_rig.single.value(check, mine)
    bad = json.dumps(config(detection__batch_size=0))
    assert len({str(answer(each, "check_config", [bad])) for each in databases}) == 1


def test_a_limit_that_cannot_be_divided_is_named(router_rig: RouterRig) -> None:
    limits = {"per_target": [{"messages": 1, "seconds": 1}, {"messages": 1, "seconds": 40000}]}
    with pytest.raises(psycopg.DataError, match=r"^channels\.telegram\.limits\.per_target\[1\]: "):
        router_rig.router.apply_config(channels__telegram__limits=limits)
    with pytest.raises(psycopg.DataError, match=r"^channels\.telegram\.limits\.per_target\[1\]: "):
        router_rig.router.value(
            "select scooters_ops.check_config(%s)",
            json.dumps(config(channels__telegram__limits=limits)),
        )


def test_a_config_is_applied_nowhere_while_a_shard_is_away(router_rig: RouterRig) -> None:
    router_rig.empty()
    databases = (router_rig.router, *router_rig.shards)
    count = "select count(*) from scooters_ops.configs"
    before = [database.value(count) for database in databases]
    with (
        without_last_shard(router_rig),
        pytest.raises(psycopg.OperationalError) as error,
    ):
        router_rig.router.apply_config(detection__batch_size=7)
    assert error.value.sqlstate == "08006"
    assert "no answer from shard3 at 127.0.0.1" in str(error.value)
    assert [database.value(count) for database in databases] == before
    router_rig.router.apply_config(detection__batch_size=7)
    in_force = "select detection_batch_size from scooters_ops.config_in_force"
    assert [database.value(in_force) for database in databases] == [7] * 5
