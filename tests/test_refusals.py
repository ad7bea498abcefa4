"""A permanent SQL error is not a lost database, and all programs tell them apart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from notifier.config import RetryPolicy
from notifier.database.errors import is_temporary, reason
from notifier.database.statements import Database
from notifier.delivery.notifier import Notifier
from notifier.delivery.refusals import Refusals
from tests.conftest import TestDatabase, until
from tests.delivery_rigs import TELEGRAM, House, at_info, events, running
from tests.http_rigs import http_process, http_user, is_problem


@contextmanager
def refusing_updates(database: TestDatabase, table: str) -> Iterator[None]:
    """Inside, the server refuses updates of the table, because it is published without a replica
    identity. Its SQLSTATE is 55000, which psycopg maps to OperationalError."""
    database.connection.execute(
        f"alter table scooters_ops.{table} replica identity nothing;"
        f" create publication of_another_team for table scooters_ops.{table}"
    )
    try:
        yield
    finally:
        database.connection.execute(
            "drop publication if exists of_another_team;"
            f" alter table scooters_ops.{table} replica identity default"
        )


@contextmanager
def without_right(database: TestDatabase, function: str) -> Iterator[None]:
    """Inside, notifiers may not call this function."""
    where = f"execute on function scooters_ops.{function}"
    database.connection.execute(f"revoke {where} from scooters_ops_notifier")
    try:
        yield
    finally:
        database.connection.execute(f"grant {where} to scooters_ops_notifier")


# --- Temporary or permanent ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("08006", True),  # connection_failure
        ("57P01", True),  # admin_shutdown
        ("57P03", True),  # cannot_connect_now
        ("57P05", True),  # idle_session_timeout
        ("57014", True),  # query_canceled
        ("25006", True),  # read_only_sql_transaction
        ("25P03", True),  # idle_in_transaction_session_timeout
        ("40001", True),  # serialization_failure
        ("40P01", True),  # deadlock_detected
        ("53100", True),  # disk_full
        ("53300", True),  # too_many_connections
        ("55P03", True),  # lock_not_available
        ("58030", True),  # io_error
        ("55000", False),  # object_not_in_prerequisite_state
        ("54000", False),  # program_limit_exceeded
        ("42501", False),  # insufficient_privilege
        ("42P01", False),  # undefined_table
        ("42883", False),  # undefined_function
        ("22P02", False),  # invalid_text_representation
        ("23505", False),  # unique_violation
        ("0A000", False),  # feature_not_supported
        ("P0002", False),  # no_data_found
        ("XX000", False),  # internal_error
        ("XX001", False),  # data_corrupted
    ],
)
def test_the_sqlstate_says_what_may_succeed_later(sqlstate: str, expected: bool) -> None:
    assert is_temporary(psycopg.errors.lookup(sqlstate)("as the server says")) is expected


def test_without_a_sqlstate_a_lost_connection_is_temporary_and_our_own_mistake_is_not() -> None:
    assert is_temporary(psycopg.OperationalError("server closed the connection"))
    assert is_temporary(psycopg.InterfaceError("the connection is closed"))
    assert not is_temporary(psycopg.ProgrammingError("the query has 1 placeholder"))
    assert not is_temporary(psycopg.DataError("a text cannot contain NUL"))


def test_a_prepared_plan_that_returns_other_columns_is_a_reason_to_reconnect(
    database: TestDatabase,
) -> None:
    own = database.connection
    own.execute("create table public.changing (a int)")
    own.execute("select * from public.changing", prepare=True)
    with database.connect() as other_session:  # after its own "alter" psycopg prepares again
        other_session.execute("alter table public.changing add column b int")
    with pytest.raises(psycopg.errors.FeatureNotSupported) as changed:
        own.execute("select * from public.changing", prepare=True)
    assert is_temporary(changed.value)
    with pytest.raises(psycopg.errors.FeatureNotSupported) as other:
        own.execute("select count(*) from public.changing for update")
    assert not is_temporary(other.value)


def test_a_refused_step_backs_off_while_the_other_steps_go_on() -> None:
    now = 0.0
    tried: list[tuple[str, float]] = []
    noted: list[bool] = []
    policy = RetryPolicy(first_seconds=1, factor=2, max_seconds=5, give_up_after_attempts=9)
    refusals = Refusals(policy, lambda: now)
    error = psycopg.errors.lookup("42501")("permission denied")

    async def refused() -> str:
        tried.append(("refused", now))
        raise error

    async def fine() -> str:
        tried.append(("fine", now))
        return "done"

    async def story() -> None:
        nonlocal now
        while now < 20:
            try:
                assert await refusals.step("plan", refused, "skipped") == "skipped"
            except psycopg.Error as raised:
                noted.append(refusals.is_noted(raised))
            assert await refusals.step("lease", fine, "") == "done"
            assert refusals.again_at() > now
            now += 0.5

    asyncio.run(story())
    assert [at for name, at in tried if name == "refused"] == [0, 1, 3, 7, 12, 17]
    assert noted == [True] * 6
    assert len([1 for name, _ in tried if name == "fine"]) == 40
    assert refusals.is_refused("plan")
    assert not refusals.is_refused("lease")
    problem = refusals.problem()
    assert problem is not None
    assert problem.startswith("the database refuses to plan: ")
    assert problem.endswith("(SQLSTATE 42501)")


# --- The work loop -------------------------------------------------------------------------------


def test_planned_notifications_are_sent_although_planning_is_refused(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    at_info(caplog)
    first = house.skip("m-planned")
    house.database.value("select scooters_ops.plan_deliveries(10)")

    async def story() -> None:
        with without_right(house.database, "plan_deliveries(integer)"):
            async with running() as daemon:
                second = house.skip("m-new")
                await daemon.until(lambda: house.is_sent() and bool(daemon.notifier.problem()))
                problem = daemon.notifier.problem()
                assert problem is not None
                assert "refuses to plan: permission denied for function plan_deliv" in problem
                assert "(SQLSTATE 42501)" in problem
                assert [row["idempotency_token"] for row in house.deliveries()] == [first]
                reported = "select problem from scooters_ops.notifier_status"
                await daemon.until(lambda: house.database.values(reported) == [problem])
                shown = await asyncio.to_thread(house.process, "status")
                assert shown.returncode == 1
                assert problem in shown.stdout
                house.database.connection.execute(
                    "grant execute on function scooters_ops.plan_deliveries(integer)"
                    " to scooters_ops_notifier"
                )
                await daemon.until(lambda: len(house.states()) == 2 and house.is_sent())
                await daemon.until(lambda: daemon.notifier.problem() is None)
                await daemon.until(lambda: house.database.values(reported) == [None])
                assert house.deliveries()[1]["idempotency_token"] == second

    asyncio.run(story())
    (refused,) = events(caplog, "database_refuses")
    assert refused["step"] == "plan"
    assert len(events(caplog, "step_works_again")) == 1
    assert events(caplog, "database_lost") == []


def test_a_table_without_replica_identity_is_not_a_lost_database(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    at_info(caplog)
    house.skip()
    house.database.value("select scooters_ops.plan_deliveries(10)")

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "database_refuses")))
            problem = daemon.notifier.problem() or ""
            assert "the database refuses to " in problem
            assert "(SQLSTATE 55000)" in problem
            # The other steps go on.
            house.database.connection.execute(
                "update scooters_ops.notifiers set seen_at = seen_at - interval '1 hour'"
            )
            await daemon.until(
                lambda: (
                    house.database.values("select is_alive from scooters_ops.notifier_status")
                    == [True]
                ),
            )
            house.database.connection.execute("drop publication of_another_team")
            await daemon.until(house.is_sent)

    with refusing_updates(house.database, "notification_recipients"):
        asyncio.run(story())
    assert events(caplog, "database_lost") == []
    steps = {row["step"] for row in events(caplog, "database_refuses")}
    assert steps
    assert steps <= {"release", "lease"}


def test_a_sent_message_is_recorded_once_the_database_no_longer_refuses(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    at_info(caplog)
    function = "record_deliveries(text, jsonb)"

    async def story() -> None:
        async with running() as daemon:
            house.skip()
            await daemon.until(lambda: bool(events(caplog, "database_refuses")))
            problem = daemon.notifier.problem() or ""
            assert "the database refuses the work loop: permission denied" in problem
            house.database.connection.execute(
                f"grant execute on function scooters_ops.{function} to scooters_ops_notifier"
            )
            await daemon.until(house.is_sent)

    with without_right(house.database, function):
        asyncio.run(story())
    assert len(house.telegram.messages) == 1
    assert [row["step"] for row in events(caplog, "database_refuses")] == ["work"]
    assert len(events(caplog, "database_back")) == 1


def test_once_ends_with_exit_code_2_and_names_what_the_database_refuses(house: House) -> None:
    house.configure(TELEGRAM)
    house.skip()
    with without_right(house.database, "plan_deliveries(integer)"):
        ended = house.cli("run", "--once")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "notifier: permission denied for function plan_deliveries (SQLSTATE 42501):"
        " docs/dba.md says which role may do what (Roles)"
    )


def test_the_command_line_does_not_call_a_refusal_a_missing_database(house: House) -> None:
    house.configure(TELEGRAM)
    token = house.skip()
    house.telegram.script(house.telegram.refusal(403, "Forbidden"))
    house.run_once()
    with refusing_updates(house.database, "notification_recipients"):
        ended = house.cli("retry", token)
    assert ended.returncode == 2
    assert "no database" not in ended.stderr
    assert ended.stderr.endswith("(SQLSTATE 55000)\n")
    assert "replica identity" in ended.stderr


def test_systemd_shows_what_the_database_refuses() -> None:
    sent: list[str] = []

    class Listener(type(Notifier.__dataclass_fields__["service"].default_factory())):  # type: ignore
        def _send(self, *lines: str) -> None:
            sent.extend(lines)

    service = Listener({})
    service.at_work(3)
    service.at_work(3, "the database refuses to plan:\n permission denied (SQLSTATE 42501)")
    service.without_database(1, "the database refuses the work loop")
    assert sent[:2] == [
        "STATUS=3 in flight",
        "STATUS=3 in flight, the database refuses to plan: permission denied (SQLSTATE 42501)",
    ]
    assert sent[2].startswith("STATUS=the database refuses the work loop since ")


# --- The HTTP API --------------------------------------------------------------------------------


def test_a_permanent_refusal_is_neither_the_callers_fault_nor_a_lost_database(
    database: TestDatabase,
) -> None:
    """409 would make the caller drop the skip, and 503 with Retry-After repeat it for ever."""
    database.create_mission()
    with http_user(database) as environment, http_process(environment) as serving:
        with refusing_updates(database, "mission_jobs"):
            assert is_problem(serving.skip("m1", "p1", "j1"), 500)
        until(lambda: " bug " in serving.log)
        assert "replica identity" in serving.log
        assert "http_without_database" not in serving.log
        assert serving.skip("m1", "p1", "j1").json() == {"skipped": True}
        database.connection.execute("update scooters_ops.mission_jobs set status = 'completed'")
        assert is_problem(serving.skip("m1", "p2", "j1"), 409)  # our own error is 55000 too
        assert is_problem(serving.skip("m1", "p9", "j1"), 404)


def test_the_reason_names_the_sqlstate_and_the_message(database: TestDatabase) -> None:
    async def refused() -> Any:
        own = await Database.connect(30)
        try:
            with pytest.raises(psycopg.Error) as error:
                await own.rows("select * from scooters_ops.nothing_of_the_kind")
            return error.value
        finally:
            await own.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database.conninfo)
        error = asyncio.run(refused())
    assert reason(error) == (
        'relation "scooters_ops.nothing_of_the_kind" does not exist (SQLSTATE 42P01)'
    )
