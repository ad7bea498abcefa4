"""Who may do what. The tests read PostgreSQL's catalog, so that they cover every new object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from notifier.migrate import migrate
from tests.conftest import TestDatabase, at

ANALYST, NOTIFIER, WRITER = "scooters_ops_analyst", "scooters_ops_notifier", "scooters_ops_writer"
OPERATOR = "scooters_ops_operator"
ROLES = (ANALYST, NOTIFIER, OPERATOR, WRITER)

# The roles that may call each function. Its owner may call everything, other users nothing.
CALLERS: dict[str, set[str]] = {
    # Config, detection and internal functions: only the owner calls them, or pg_cron as the owner.
    "apply_config": set(),
    "check_config": {ANALYST},
    "require_config_comment": set(),
    "require_config_in_force": set(),
    "board_interval": set(),
    "board_matches": set(),
    "board_notifications": set(),
    "board_open_notifications": set(),
    "board_steps": set(),
    "fold_durations": set(),
    "told_late_because": set(),
    "checked_config": set(),
    "level_problem": set(),
    "match_problem": set(),
    "require_name": set(),
    "attribute_time_zones": set(),
    "compile_config": set(),
    "compile_match": set(),
    "compile_stored_config": set(),
    "forget_match": set(),
    "match_failures": set(),
    "route_facts": set(),
    "time_zone_problem": set(),
    "validate_json": set(),
    "config_schema": set(),
    "delivery_queue": set(),
    "detect_between_batches": set(),
    "detect_for_a_minute": set(),
    "detect_in_batches": set(),
    "detect_timeouts": set(),
    "backfill_intervals": set(),
    "judge_intervals": set(),
    "late_because": set(),
    "missions_not_recorded": set(),
    "record_intervals": set(),
    "recorded_since": set(),
    "resolution_of": set(),
    "resolve_notifications": set(),
    "run_pass": set(),
    "sampled_missions": set(),
    "take_wakeups": set(),
    "due_missions": set(),
    "due_batches": set(),
    "exceeds_depth": set(),
    "json_path": set(),
    "adjust_for_clock_step": set(),
    "update_mission_status": set(),
    "lock_recipients": set(),
    "mission_facts": set(),
    "hold_addresses": set(),
    "pause_channels": set(),
    "restart_rate_limits": set(),
    "prune_bookkeeping": set(),
    "prune_in_batches": set(),
    "prune_intervals": set(),
    "prune_notifications": set(),
    "delivery_key": set(),
    "earlier_message": set(),
    "followed_channels": set(),
    "level_due_at": set(),
    "hold_alerts": set(),
    "holding_silence": set(),
    "place_silence": set(),
    "prune_silences": set(),
    "require_silence": set(),
    "match_facts": set(),
    "silenced": set(),
    "settle_steps": set(),
    "told_before": set(),
    "digest_facts": set(),
    "digest_limits": set(),
    "dissolve_digests": set(),
    "form_digests": set(),
    "is_digest_over": set(),
    "record_digests": set(),
    "settle_digests": set(),
    "plan_notifications": set(),
    "refresh_notifications": set(),
    "refuse_oversized": set(),
    "truncate_deep_attributes": set(),
    "try_detection_lock": set(),
    "wait_for_detection_lock": set(),
    "acknowledge_data": set(),
    "why_duration": set(),
    "why_moment": {ANALYST},
    "why_number": set(),
    "why_eta": set(),
    "why_questions": set(),
    "why_sentence": set(),
    "why_steps": set(),
    "why_subjects": set(),
    "why_time": set(),
    "why_told": set(),
    "press_button": set(),
    "wake_for_history": set(),
    "wake_for_plan": set(),
    "wake_notifiers": set(),
    # Advice
    "require_window": {ANALYST},
    "is_few": {ANALYST},
    "covered_time": {ANALYST},
    "threshold_counts": {ANALYST},
    "threshold_effects": {ANALYST},
    "threshold_advice": {ANALYST},
    "ratio_counts": {ANALYST},
    "ratio_percentiles": {ANALYST},
    "job_time_counts": {ANALYST},
    "job_eta_advice": {ANALYST},
    # The mission service
    "create_mission": {WRITER},
    "mission_schema": {WRITER},
    "record_event": {WRITER},
    "record_event_once": {WRITER},
    "skip_job": {WRITER},
    # The notifier
    "confirm_deliveries": {NOTIFIER, OPERATOR},
    "lease_deliveries": {NOTIFIER},
    "next_delivery": {NOTIFIER},
    "plan_deliveries": {NOTIFIER},
    "record_deliveries": {NOTIFIER},
    "release_deliveries": {NOTIFIER},
    "renew_leases": {NOTIFIER},
    "report_notifier": {NOTIFIER},
    "report_problem": {NOTIFIER},
    "retire_notifier": {NOTIFIER},
    "poll_buttons": {NOTIFIER},
    "press_buttons": {NOTIFIER},
    "report_button_problem": {NOTIFIER},
    "probe_channels": {NOTIFIER},
    "retry_deliveries": {NOTIFIER, OPERATOR},
    "acknowledge": {NOTIFIER, OPERATOR},
    "send_test": {NOTIFIER, OPERATOR},
    "test_results": {NOTIFIER, OPERATOR},
    "end_test": {NOTIFIER, OPERATOR},
    # Operators, who are analysts too
    "silence": {OPERATOR},
    "unsilence": {OPERATOR},
    "preview_silence": {OPERATOR},
    "wake_missions": {OPERATOR},
    "wake_missions_under_way": set(),
    # Questions
    "applied_migrations": {ANALYST, NOTIFIER, WRITER},
    "board": {ANALYST},
    "board_mission": {ANALYST},
    "why": {ANALYST},
    "why_facts": {ANALYST},
    "why_sentences": {ANALYST},
    "deadline_of": {ANALYST},
    "idempotency_token": {ANALYST},
    "longest_seconds": {ANALYST},
    "mission_intervals_at": {ANALYST},
    "mission_intervals_of": {ANALYST},
    "opens_or_closes_interval": {ANALYST, WRITER},
    "interval_type_opened_by": {ANALYST, WRITER},
    "mission_end_types": {ANALYST, WRITER},
    "mission_start_types": {ANALYST, WRITER},
    "point_event_types": {ANALYST, WRITER},
    "follow_up_limits": {ANALYST, NOTIFIER},
    "matching_routes": {ANALYST, NOTIFIER},
    "matches_for": {ANALYST, NOTIFIER},
    "mission_matches": {ANALYST, NOTIFIER},
    "mission_fact": {ANALYST, NOTIFIER},
    "is_match": {ANALYST, NOTIFIER},
    "job_seconds": {ANALYST},
    "recipients_for": {ANALYST, NOTIFIER},
    "explain_route": {ANALYST, NOTIFIER},
    "backtest": {ANALYST},
    "backtest_details": {ANALYST},
    "judging_part": set(),
    "job_etas": set(),
    "config_timeout_rules": {ANALYST},
    "config_calendars": {ANALYST},
    "config_overrides": {ANALYST},
    "config_matches": {ANALYST},
    "match_choices": {ANALYST},
    "match_rule": {ANALYST},
    "seen_values": {ANALYST, NOTIFIER},
    "route_notification": {ANALYST, NOTIFIER},
    "counting_limit": {ANALYST, NOTIFIER},
    "duration_bounds": {ANALYST, NOTIFIER},
    "delivery_state": {ANALYST, NOTIFIER},
    "planned_totals": {ANALYST, NOTIFIER},
    "rate_limit_status": {ANALYST, NOTIFIER},
    "target_rate_limits": {ANALYST, NOTIFIER},
    "input_status": {ANALYST, NOTIFIER},
    "missions_waiting": {ANALYST, NOTIFIER},
    "unrecorded_missions": {ANALYST, NOTIFIER},
}

# The views that the notifier reads; analysts may read every view.
VIEWS_OF_THE_NOTIFIER = {
    "button_status",
    "calendars",
    "config_in_force",
    "delivery_channels",
    "delivery_holds",
    "delivery_status",
    "detection_status",
    "input_status",
    "known_time_zones",
    "match_keys",
    "match_lookups",
    "match_rules",
    "match_terms",
    "metrics",
    "notification_deliveries",
    "notification_steps",
    "notifications",
    "notifier_status",
    "recipient_status",
    "active_silences",
    "silence_status",
}

MISSION = {
    "mission_id": "m1",
    "performer_id": "c1",
    "points": [
        {
            "point_id": "p1",
            "eta_seconds": 600,
            "jobs": [{"job_id": "j1", "type": "pickup"}],
        }
    ],
}


@contextmanager
def acting_as(database: TestDatabase, role: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of a user who has only this role."""
    with database.connect(role=role) as connection:
        yield connection


def relations(database: TestDatabase, *kinds: str) -> list[str]:
    """The names of our tables (r), views (v, m), sequences (S) and so on."""
    return database.values(
        "select relname::text from pg_class"
        " where relnamespace = 'scooters_ops'::regnamespace and relkind = any(%s) order by 1",
        list(kinds),
    )


# --- The catalog --------------------------------------------------------------------------------


def test_only_the_listed_roles_may_call_each_function(
    database: TestDatabase,
) -> None:
    rows = database.rows(
        "select"
        "     proname::text as name,"
        "     array("
        "         select case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end"
        "         from aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl"
        "         where acl.privilege_type = 'EXECUTE' and acl.grantee <> proowner"
        "     ) as callers"
        " from pg_proc where pronamespace = 'scooters_ops'::regnamespace"
    )
    assert {row["name"]: set(row["callers"]) for row in rows} == CALLERS
    names = [row["name"] for row in rows]
    assert {name for name in names if names.count(name) > 1} == {"wake_missions"}


def test_only_the_listed_roles_have_rights_on_relations(
    database: TestDatabase,
) -> None:
    grants = database.rows(
        "select"
        "     relname::text as relation,"
        "     case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end as grantee,"
        "     acl.privilege_type as privilege"
        " from pg_class, aclexplode(relacl) as acl"
        " where relnamespace = 'scooters_ops'::regnamespace and acl.grantee <> relowner"
    )
    views = relations(database, "v", "m")
    assert {tuple(grant.values()) for grant in grants} == {
        (view, ANALYST, "SELECT") for view in views
    } | {(view, NOTIFIER, "SELECT") for view in VIEWS_OF_THE_NOTIFIER}


def test_no_column_has_grants_of_its_own(database: TestDatabase) -> None:
    assert (
        database.values(
            "select attrelid::regclass::text from pg_attribute"
            " join pg_class on pg_class.oid = attrelid"
            " where relnamespace = 'scooters_ops'::regnamespace and attacl is not null"
        )
        == []
    )


def test_only_the_four_roles_may_use_the_schema_and_none_may_create_objects_in_it(
    database: TestDatabase,
) -> None:
    grants = database.rows(
        "select acl.grantee::regrole::text as grantee, acl.privilege_type as privilege"
        " from pg_namespace, aclexplode(nspacl) as acl"
        " where nspname = 'scooters_ops' and acl.grantee <> nspowner"
    )
    assert {tuple(grant.values()) for grant in grants} == {(role, "USAGE") for role in ROLES}


def test_the_roles_have_no_attributes_and_no_other_memberships(database: TestDatabase) -> None:
    rows = database.rows(
        "select rolname::text, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb,"
        " rolreplication, rolbypassrls from pg_roles where rolname like 'scooters\\_ops%'"
    )
    assert {row.pop("rolname") for row in rows} == set(ROLES)
    assert not any(any(row.values()) for row in rows)
    assert database.rows(
        "select member::regrole::text as member, roleid::regrole::text as role"
        " from pg_auth_members where member::regrole::text = any(%s)",
        list(ROLES),
    ) == [{"member": OPERATOR, "role": ANALYST}]


def test_every_security_definer_function_pins_its_search_path(database: TestDatabase) -> None:
    rows = database.rows(
        "select proname::text, proconfig from pg_proc"
        " where pronamespace = 'scooters_ops'::regnamespace and prosecdef"
    )
    assert {row["proname"] for row in rows} == {
        "acknowledge",
        "applied_migrations",
        "backtest_details",
        "board",
        "board_mission",
        "check_config",
        "confirm_deliveries",
        "create_mission",
        "end_test",
        "input_status",
        "explain_route",
        "lease_deliveries",
        "missions_waiting",
        "next_delivery",
        "plan_deliveries",
        "planned_totals",
        "preview_silence",
        "silence",
        "unsilence",
        "why",
        "why_facts",
        "poll_buttons",
        "press_buttons",
        "probe_channels",
        "record_deliveries",
        "record_event",
        "record_event_once",
        "release_deliveries",
        "renew_leases",
        "report_button_problem",
        "report_notifier",
        "report_problem",
        "retire_notifier",
        "retry_deliveries",
        "seen_values",
        "send_test",
        "skip_job",
        "test_results",
        "unrecorded_missions",
        "wake_for_history",
        "wake_for_plan",
        "wake_missions",
    }
    assert all("search_path=pg_catalog, pg_temp" in row["proconfig"] for row in rows)


def test_every_view_reads_with_its_owners_rights(database: TestDatabase) -> None:
    """Otherwise analysts would need select on the tables."""
    assert (
        database.values(
            "select relname::text from pg_class where relnamespace = 'scooters_ops'::regnamespace"
            " and relkind = 'v' and reloptions::text like '%security_invoker%'"
        )
        == []
    )


# --- What each role can do ----------------------------------------------------------------------


def story(database: TestDatabase) -> None:
    """A late courier and a skipped job."""
    database.create_mission()
    database.record("mission_started", 0)
    database.detect(20)
    database.value("select scooters_ops.skip_job('m1', 'p2', 'j1')")


def test_an_analyst_reads_every_view(database: TestDatabase) -> None:
    story(database)
    with acting_as(database, ANALYST) as analyst:
        for view in relations(database, "v", "m"):
            analyst.execute(f"select * from scooters_ops.{view}")
        assert len(analyst.execute("select from scooters_ops.notifications").fetchall()) == 2


def test_an_analyst_may_call_the_functions_for_questions(database: TestDatabase) -> None:
    story(database)
    with acting_as(database, ANALYST) as analyst:
        assert analyst.execute(
            "select is_overdue from scooters_ops.mission_intervals_at(%s)", (at(20),)
        ).fetchall() == [(True,)]
        assert analyst.execute(
            "select scooters_ops.recipients_for('timeout_in_point', null, '{}')"
        ).fetchone() == ([{"type": "telegram", "chat_id": -1001}],)
        assert analyst.execute(
            "select scooters_ops.idempotency_token('m_1', 'p1', null, 'timeout_in_point')"
        ).fetchone() == (r"m\_1_p1__timeout_in_point",)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_a_table(database: TestDatabase, role: str) -> None:
    tables = relations(database, "r", "p", "S")
    assert {"missions", "missions_history", "_yoyo_migration", "configs"} <= set(tables)
    with acting_as(database, role) as connection:
        for table in tables:
            for statement in (
                f"select * from scooters_ops.{table}",
                f"insert into scooters_ops.{table} default values",
                f"delete from scooters_ops.{table}",
                f"truncate scooters_ops.{table}",
            ):
                if table in relations(database, "S") and not statement.startswith("select"):
                    continue
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_config_detects_or_prunes(database: TestDatabase, role: str) -> None:
    with acting_as(database, role) as connection:
        for call in (
            "select scooters_ops.apply_config('{}')",
            "select scooters_ops.detect_timeouts()",
            "call scooters_ops.detect_for_a_minute('10 seconds')",
            "call scooters_ops.detect_in_batches()",
            "select scooters_ops.prune_bookkeeping()",
            "call scooters_ops.prune_in_batches()",
            "select scooters_ops.refresh_notifications('{1}')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(call)


def test_the_mission_service_may_only_create_record_and_skip(
    database: TestDatabase,
) -> None:
    with acting_as(database, WRITER) as writer:
        writer.execute("select scooters_ops.create_mission(%s)", (json.dumps(MISSION),))
        writer.execute(
            "select scooters_ops.record_event('m1', 'mission_started', null, %s)", (at(0),)
        )
        assert writer.execute("select scooters_ops.skip_job('m1', 'p1', 'j1')").fetchone() == (
            True,
        )
        for statement in (
            "select * from scooters_ops.mission_intervals",
            "select * from scooters_ops.config_in_force",
            "select * from scooters_ops.mission_intervals_at(now())",
            "select scooters_ops.plan_deliveries(1)",
            "select scooters_ops.retry_deliveries()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(statement)
    assert database.tokens() == ["m1_p1_j1_job_skipped"]


def test_the_notifier_may_only_plan_lease_record_and_retry(
    database: TestDatabase,
) -> None:
    story(database)
    database.apply_config(channels__telegram__limits=None)
    with acting_as(database, NOTIFIER) as notifier:
        for view in VIEWS_OF_THE_NOTIFIER:
            notifier.execute(f"select * from scooters_ops.{view}")
        notifier.execute("listen scooters_ops")
        assert notifier.execute("select scooters_ops.plan_deliveries(10)").fetchone() == (2,)
        leased = notifier.execute(
            "select recipient_id from scooters_ops.lease_deliveries('n1', '{\"telegram\": 9}', 60)"
        ).fetchall()
        assert len(leased) == 2
        notifier.execute("select * from scooters_ops.next_delivery('{telegram}')")
        notifier.execute("select scooters_ops.probe_channels('{telegram}')")
        results = [
            {
                "recipient_id": recipient_id,
                "state": state,
                "is_attempt": True,
                "delay_seconds": 0,
                "reference": "7",
            }
            for (recipient_id,), state in zip(leased, ("sent", "failed"), strict=True)
        ]
        assert notifier.execute(
            "select scooters_ops.record_deliveries('n1', %s)", (json.dumps(results),)
        ).fetchone() == (2,)
        assert notifier.execute("select scooters_ops.retry_deliveries()").fetchone() == (1,)
        for statement in (
            "select * from scooters_ops.mission_intervals",
            "select * from scooters_ops.config_history",
            "select scooters_ops.create_mission('{}')",
            "select scooters_ops.record_event('m1', 'mission_started')",
            "select scooters_ops.skip_job('m1', 'p1', 'j1')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                notifier.execute(statement)


def test_an_operator_wakes_missions_retries_and_reads_what_analysts_read(
    database: TestDatabase,
) -> None:
    story(database)
    database.value("select scooters_ops.plan_deliveries(10)")
    database.connection.execute("update scooters_ops.notification_recipients set state = 'failed'")
    with acting_as(database, OPERATOR) as operator:
        for view in relations(database, "v", "m"):
            operator.execute(f"select * from scooters_ops.{view}")
        assert operator.execute("select scooters_ops.wake_missions('{m1}')").fetchone() == (1,)
        assert operator.execute(
            "select scooters_ops.wake_missions(now() - interval '1 h', now())"
        ).fetchone() == (1,)
        assert operator.execute("select scooters_ops.retry_deliveries()").fetchone() == (2,)
        for statement in (
            "select scooters_ops.record_event('m1', 'mission_started')",
            "select scooters_ops.skip_job('m1', 'p1', 'j1')",
            "select scooters_ops.plan_deliveries(1)",
            "select scooters_ops.apply_config('{}')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                operator.execute(statement)


# --- Users without a role of ours ---------------------------------------------------------------


@pytest.fixture
def somebody(database: TestDatabase) -> Iterator[str]:
    """A user of the database without any role of ours."""
    role = f"somebody_in_{database.name}"
    database.connection.execute(f"create role {role} login")
    yield role
    database.connection.execute(f"drop owned by {role}")
    database.connection.execute(f"drop role {role}")


def test_a_user_without_a_role_of_ours_can_do_nothing(
    database: TestDatabase, somebody: str
) -> None:
    with acting_as(database, somebody) as connection:
        for statement in (
            "select * from scooters_ops.mission_timeouts",
            "select scooters_ops.mission_schema()",
            "select scooters_ops.record_event('m1', 'mission_started')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_user_without_a_right_on_the_schema_can_take_no_lock_that_matters(
    database: TestDatabase, somebody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any user may take any advisory lock."""
    started_at = "select scooters_ops.record_event_once('m1', 'mission_started', null, %s, 'k')"
    with psycopg.connect(database.conninfo, user=somebody) as holder:
        for statement in (
            "lock table scooters_ops.detection_lock in share update exclusive mode",
            "lock table scooters_ops.migrate_turn in exclusive mode",
            "select scooters_ops.try_detection_lock()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), holder.transaction():
                holder.execute(statement)
        # All advisory locks that earlier versions took: by the table's oid and by the key's hash.
        holder.execute(
            "select pg_advisory_lock((%s)::bigint), pg_advisory_lock(hashtextextended(%s, 0)),"
            " pg_advisory_lock(hashtextextended(%s, 0))",
            (
                database.value("select 'scooters_ops.mission_wakeups'::regclass::oid::bigint"),
                '["scooters_ops.event_keys", "m1", "k"]',
                "scooters_ops.migrate",
            ),
        )
        database.create_mission()
        database.connection.execute("set lock_timeout = '500ms'")
        database.value(started_at, at(0))
        assert database.detect(20) == 1
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        assert migrate(patience_seconds=0) == []


def test_a_user_with_a_role_of_ours_has_its_rights(database: TestDatabase, somebody: str) -> None:
    database.connection.execute(f"grant {ANALYST} to {somebody}")
    with psycopg.connect(database.conninfo, user=somebody) as connection:
        assert connection.execute("select * from scooters_ops.mission_timeouts").fetchall() == []
    database.connection.execute(f"revoke {ANALYST} from {somebody}")


def test_a_user_who_may_only_insert_history_still_wakes_detection(
    database: TestDatabase, somebody: str
) -> None:
    database.create_mission()
    assert database.detect(-1) == 0
    database.connection.execute(f"grant usage on schema scooters_ops to {somebody}")
    database.connection.execute(f"grant insert on scooters_ops.missions_history to {somebody}")
    with acting_as(database, somebody) as connection:
        connection.execute(
            "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
            " values ('m1', 'mission_started', %s)",
            (at(0),),
        )
    assert database.detect(16) == 1


def test_a_user_who_may_only_change_the_plan_still_wakes_detection(
    database: TestDatabase, somebody: str
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    assert database.detect(1) == 0
    database.connection.execute(f"grant usage on schema scooters_ops to {somebody}")
    database.connection.execute(f"grant update (eta) on scooters_ops.mission_points to {somebody}")
    with acting_as(database, somebody) as connection:
        connection.execute("update scooters_ops.mission_points set eta = '1 minute'")
    assert database.detect(2) == 1


def test_objects_in_a_callers_own_schema_do_not_deceive_our_functions(
    database: TestDatabase, somebody: str
) -> None:
    database.connection.execute(f"grant {WRITER} to {somebody}")
    database.connection.execute(f"create schema authorization {somebody}")
    with psycopg.connect(database.conninfo, user=somebody, autocommit=True) as connection:
        for name, arguments, result in (
            ("jsonb_typeof", "jsonb", "text"),
            ("now", "", "timestamptz"),
            ("concat_ws", "text, variadic text[]", "text"),
        ):
            connection.execute(
                f"create function {name}({arguments}) returns {result} language plpgsql"
                f" as $$ begin raise '{name} of %', current_user; end $$"
            )
        connection.execute(f'set search_path = "{somebody}", pg_catalog')
        with pytest.raises(psycopg.errors.RaiseException, match="now of "):
            connection.execute("select now()")
        connection.execute("select scooters_ops.create_mission(%s)", (json.dumps(MISSION),))
        connection.execute(
            "select scooters_ops.record_event('m1', 'mission_started', null, %s)", (at(0),)
        )
        connection.execute("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    database.connection.execute(f"revoke {WRITER} from {somebody}")
    assert database.tokens() == ["m1_p1_j1_job_skipped"]
