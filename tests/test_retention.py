"""Which notifications are pruned, and that none of them is ever sent again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TestDatabase, shared_database, until

SEED = int(os.environ.get("HYPOTHESIS_SEED", "20261124"))
PRUNE = "call scooters_ops.prune_in_batches()"
HOUR = 3600
DAY = 86400

# After an hour nothing is reported, and notifications are kept for an hour.
SHORT = {"detection__notify_within_seconds": HOUR, "retention__notifications_seconds": HOUR}


def record(
    database: TestDatabase,
    type: str,
    minutes: float,
    point_id: str | None = None,
    mission_id: str = "m1",
) -> None:
    """Records an event the given number of minutes from now."""
    database.value(
        "select scooters_ops.record_event(%s, %s, %s, now() + %s * interval '1 min')",
        mission_id,
        type,
        point_id,
        minutes,
    )


def detect(database: TestDatabase, minutes: float = 0) -> int:
    """Runs a pass as of the given number of minutes from now."""
    return int(
        database.value(
            "select scooters_ops.detect_timeouts(now() + %s * interval '1 min')", minutes
        )
    )


def skip(database: TestDatabase, point_id: str, job_id: str = "j1", mission_id: str = "m1") -> bool:
    return bool(
        database.value("select scooters_ops.skip_job(%s, %s, %s)", mission_id, point_id, job_id)
    )


def deliver(database: TestDatabase) -> None:
    """Plans and sends everything, and then what follows."""
    database.value("select scooters_ops.plan_deliveries(1000)")
    for _ in ("alerts", "outcomes"):
        database.connection.execute(
            "update scooters_ops.notification_recipients"
            " set state = 'sent', sent_at = now(), leased_by = null"
        )
        database.value(
            "select scooters_ops.refresh_notifications(array_agg(notification_id))"
            " from scooters_ops.monitoring_notifications"
        )


def grow_old(database: TestDatabase, minutes: float = 600) -> None:
    """Makes all notifications look that old."""
    database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set created_at = now() - %s * interval '1 min'",
        (minutes,),
    )


def late_courier(database: TestDatabase, mission_id: str = "m1", ended: float = -500) -> None:
    """A mission that began ten hours ago, was late at its first point, skipped a job at its second
    one and ended the given number of minutes from now; everything was delivered."""
    database.apply_config(detection__notify_within_seconds=None)
    database.create_mission(mission_id)
    record(database, "mission_started", -600, mission_id=mission_id)
    record(database, "point_arrived", -595, "p1", mission_id)
    record(database, "point_completed", -550, "p1", mission_id)
    detect(database)
    skip(database, "p2", mission_id=mission_id)
    record(database, "mission_completed", ended, mission_id=mission_id)
    deliver(database)
    grow_old(database)


TOLD = ["m1_p1__timeout_in_point", "m1_p2_j1_job_skipped"]


def test_delivered_notifications_of_a_mission_that_ended_long_ago_are_pruned(
    database: TestDatabase,
) -> None:
    late_courier(database)
    assert set(TOLD) < set(database.tokens())
    database.apply_config(**SHORT)
    database.connection.execute(PRUNE)
    assert database.tokens() == []
    assert database.value("select count(*) from scooters_ops.notification_recipients") == 0


def test_notifications_are_kept_for_ninety_days_by_default(database: TestDatabase) -> None:
    late_courier(database)
    database.apply_config()
    grow_old(database, minutes=89 * 1440)
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = occurred_at - interval '91 days'"
    )
    database.connection.execute(PRUNE)
    assert set(TOLD) < set(database.tokens())
    grow_old(database, minutes=91 * 1440)
    database.connection.execute(PRUNE)
    assert database.tokens() == []


def _is_failed(database: TestDatabase) -> None:
    database.connection.execute(
        "update scooters_ops.notification_recipients set state = 'failed', sent_at = null"
    )
    database.value(
        "select scooters_ops.refresh_notifications(array_agg(notification_id))"
        " from scooters_ops.monitoring_notifications"
    )


def _is_in_doubt(database: TestDatabase) -> None:
    _is_failed(database)
    database.connection.execute("update scooters_ops.notification_recipients set state='in_doubt'")


def _is_waiting(database: TestDatabase) -> None:
    _is_failed(database)
    database.value("select scooters_ops.retry_deliveries()")


def _is_unplanned(database: TestDatabase) -> None:
    database.connection.execute("truncate scooters_ops.notification_recipients")
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set planned_at = null, completed = false"
    )


def _is_recent(database: TestDatabase) -> None:
    grow_old(database, minutes=59)


def _is_reported_for_longer(database: TestDatabase) -> None:
    database.apply_config(**SHORT | {"detection__notify_within_seconds": DAY})


def _is_reported_forever(database: TestDatabase) -> None:
    database.apply_config(**SHORT | {"detection__notify_within_seconds": None})


def _is_kept_for_longer(database: TestDatabase) -> None:
    database.apply_config(**SHORT | {"retention__notifications_seconds": DAY})


def _is_kept_forever(database: TestDatabase) -> None:
    database.apply_config(**SHORT | {"retention__notifications_seconds": None})


def _has_not_ended(database: TestDatabase) -> None:
    database.connection.execute(
        "delete from scooters_ops.missions_history where type = 'mission_completed'"
    )


def _has_ended_only_by_its_status(database: TestDatabase) -> None:
    _has_not_ended(database)
    database.connection.execute("update scooters_ops.missions set status = 'completed'")


def _ended_too_recently(database: TestDatabase) -> None:
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = now() - interval '59 min'"
        " where type = 'mission_completed'"
    )


def _has_no_history(database: TestDatabase) -> None:
    database.connection.execute("truncate scooters_ops.missions_history")


def _has_only_a_history(database: TestDatabase) -> None:
    _has_not_ended(database)
    database.connection.execute("delete from scooters_ops.missions")


@pytest.mark.parametrize(
    "reason",
    [
        _is_failed,
        _is_in_doubt,
        _is_waiting,
        _is_unplanned,
        _is_recent,
        _is_reported_for_longer,
        _is_reported_forever,
        _is_kept_for_longer,
        _is_kept_forever,
        _has_not_ended,
        _has_ended_only_by_its_status,
        _ended_too_recently,
        _has_no_history,
        _has_only_a_history,
    ],
)
def test_a_notification_is_kept_if_it_or_its_mission(
    database: TestDatabase, reason: Callable[[TestDatabase], None]
) -> None:
    late_courier(database)
    database.apply_config(**SHORT)
    before = database.tokens()
    reason(database)
    database.connection.execute(PRUNE)
    assert database.tokens() == before


def test_unrouted_notifications_are_pruned_like_delivered_ones(database: TestDatabase) -> None:
    late_courier(database)
    before = database.tokens()
    database.apply_config(**SHORT)
    database.connection.execute("truncate scooters_ops.notification_recipients")
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set completed = false"
    )
    database.connection.execute(PRUNE)
    assert database.tokens() == before
    database.connection.execute(
        "insert into scooters_ops.unrouted_notifications"
        " select notification_id, created_at from scooters_ops.monitoring_notifications"
    )
    database.connection.execute(PRUNE)
    assert database.tokens() == []
    assert database.value("select count(*) from scooters_ops.unrouted_notifications") == 0


def test_notifications_of_a_deleted_mission_are_pruned(database: TestDatabase) -> None:
    late_courier(database, ended=-5)
    database.apply_config(**SHORT)
    database.connection.execute("delete from scooters_ops.missions")
    database.connection.execute("delete from scooters_ops.missions_history")
    database.connection.execute(PRUNE)
    assert database.tokens() == []


def test_one_recipient_without_a_message_keeps_the_whole_notification(
    database: TestDatabase,
) -> None:
    late_courier(database)
    database.apply_config(**SHORT)
    database.connection.execute(
        "insert into scooters_ops.notification_recipients (notification_id, channel, target, state)"
        ' select notification_id, \'st\', \'{"type": "st", "queue": "DUTY"}\', \'failed\''
        " from scooters_ops.monitoring_notifications where type = 'job_skipped'"
        " on conflict (notification_id, target, step)"
        " do update set state = 'failed', sent_at = null"
    )
    database.value(
        "select scooters_ops.refresh_notifications(array_agg(notification_id))"
        " from scooters_ops.monitoring_notifications"
    )
    database.connection.execute(PRUNE)
    assert database.tokens() == ["m1_p2_j1_job_skipped"]
    assert database.value("select count(*) from scooters_ops.notification_recipients") == 2


def test_pruning_commits_each_batch_and_passes_over_what_must_stay(
    database: TestDatabase,
) -> None:
    for number in range(1, 6):
        late_courier(database, f"m{number}", ended=-500 if number != 2 else -5)
    database.apply_config(**SHORT, retention__batch_size=2)
    last_id, last_token = database.rows(
        "select notification_id, idempotency_token from scooters_ops.monitoring_notifications"
        " order by notification_id desc limit 1"
    )[0].values()
    with database.connect() as holder, database.connect() as pruner, ThreadPoolExecutor(1) as pool:
        holder.autocommit = False
        holder.execute(
            "select from scooters_ops.monitoring_notifications where notification_id = %s"
            " for update",
            (last_id,),
        )
        pruning = pool.submit(pruner.execute, PRUNE)
        until(lambda: len(database.tokens()) <= 5)
        assert last_token in database.tokens()
        assert not pruning.done()
        holder.rollback()
        pruning.result()
    assert {token.partition("_")[0] for token in database.tokens()} == {"m2"}


def test_pruning_waits_for_a_running_pass_and_later_passes_see_its_horizon(
    database: TestDatabase,
) -> None:
    late_courier(database)
    database.apply_config(**SHORT)
    before = database.tokens()
    with database.connect() as passing, database.connect() as pruner, ThreadPoolExecutor(1) as pool:
        passing.autocommit = False
        passing.execute("select scooters_ops.try_detection_lock()")
        call = pool.submit(pruner.execute, PRUNE)
        until(lambda: database.value("select lock_waiters from scooters_ops.detection_status"))
        assert database.tokens() == before
        passing.commit()
        call.result()
    assert database.tokens() == []
    assert database.value(
        "select news_since between now() - interval '61 min' and now() - interval '60 min'"
        " from scooters_ops.news_horizon"
    )


def test_the_horizon_never_moves_back(database: TestDatabase) -> None:
    database.apply_config(**SHORT)
    database.connection.execute(PRUNE)
    horizon = database.value("select news_since from scooters_ops.news_horizon")
    for seconds in (DAY, None):
        database.apply_config(**SHORT | {"retention__notifications_seconds": seconds})
        database.connection.execute(PRUNE)
    assert database.value("select news_since from scooters_ops.news_horizon") == horizon


def test_a_lost_horizon_loses_no_notification_and_is_restored_by_pruning(
    database: TestDatabase,
) -> None:
    database.connection.execute("truncate scooters_ops.news_horizon")
    late_courier(database)
    assert set(TOLD) < set(database.tokens())
    database.apply_config(**SHORT)
    database.connection.execute(PRUNE)
    database.apply_config(detection__notify_within_seconds=None)
    assert detect(database) == 0
    assert database.value("select count(*) from scooters_ops.news_horizon") == 1


def test_config_in_force_shows_every_retention_period(database: TestDatabase) -> None:
    """Pruning reads them there. Only the scripts for pg_cron need cron_runs_seconds."""
    (row,) = database.rows("select * from scooters_ops.config_in_force")
    for key, seconds in CONFIG["retention"].items():
        if key.endswith("_seconds") and key != "cron_runs_seconds":
            assert row[key.replace("_seconds", "_kept")] == timedelta(seconds=seconds)
    assert row["intervals_kept"] is None
    database.apply_config(retention__intervals_seconds=HOUR)
    assert database.value("select intervals_kept from scooters_ops.config_in_force") == timedelta(
        hours=1
    )


def test_pruning_is_refused_within_a_transaction(database: TestDatabase) -> None:
    with (
        database.connection.transaction(force_rollback=True),
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
    ):
        database.connection.execute(PRUNE)


def test_dead_notifiers_are_deleted_after_a_day(database: TestDatabase) -> None:
    for name in ("alive", "dead"):
        database.value("select scooters_ops.report_notifier(%s, 1, '')", name)
    database.connection.execute(
        "update scooters_ops.notifiers set seen_at = now() - interval '25 h' where name = 'dead'"
    )
    database.connection.execute(PRUNE)
    assert database.values("select name from scooters_ops.notifiers") == ["alive"]


def test_a_migration_gives_a_config_of_an_earlier_version_the_defaults(
    database: TestDatabase,
) -> None:
    database.apply_config(retention__passes_seconds=77)
    after = database.values("select config from scooters_ops.configs order by config_id")
    database.connection.execute(
        "update scooters_ops.configs set config = config"
        " #- '{retention,notifications_seconds}' #- '{retention,notifiers_seconds}'"
        " #- '{retention,batch_size}'"
    )
    database.connection.execute(PRUNE)  # without the migration no notification is pruned
    migration = (ROOT / "migrations" / "0006_operations.sql").read_text("utf-8")
    database.connection.execute(migration[migration.index("update scooters_ops.configs") :])
    assert database.values("select config from scooters_ops.configs order by config_id") == after


# --- Recorded intervals ---------------------------------------------------------------------------

RECORDED = (
    "select type || ' ' || point_id from scooters_ops.interval_history"
    " where mission_id = %s order by started_at"
)
TRAVEL, STAY = "timeout_between_points p1", "timeout_in_point p1"
TRAVEL_TO_P2 = "timeout_between_points p2"
KEPT_FOR_AN_HOUR = {
    "detection__notify_within_seconds": 60,
    "retention__intervals_seconds": HOUR,
    "retention__notifications_seconds": None,
}


def under_way(database: TestDatabase, mission_id: str = "m1") -> None:
    """A mission that was in time until an hour and a half ago, and late since."""
    database.create_mission(mission_id)
    record(database, "mission_started", -100, mission_id=mission_id)
    record(database, "point_arrived", -95, "p1", mission_id)
    record(database, "point_completed", -90, "p1", mission_id)
    detect(database)


def test_recorded_intervals_are_kept_for_ever_by_default(database: TestDatabase) -> None:
    under_way(database)
    database.connection.execute(PRUNE)
    assert database.values(RECORDED, "m1") == [TRAVEL, STAY, TRAVEL_TO_P2]


def test_recorded_intervals_that_finished_long_ago_are_pruned(database: TestDatabase) -> None:
    for mission_id in ("m1", "m2", "m3"):
        under_way(database, mission_id)
    record(database, "mission_completed", -59, mission_id="m2")
    record(database, "mission_completed", -61, mission_id="m3")
    detect(database)
    database.apply_config(**KEPT_FOR_AN_HOUR, retention__batch_size=2)
    detect(database)
    database.connection.execute(PRUNE)
    assert database.values(RECORDED, "m1") == [TRAVEL_TO_P2]  # open
    assert database.values(RECORDED, "m2") == [TRAVEL_TO_P2]
    assert database.values(RECORDED, "m3") == []


def test_passes_go_on_between_two_batches_of_intervals(database: TestDatabase) -> None:
    for mission_id in ("m1", "m2", "m3"):
        under_way(database, mission_id)
    database.apply_config(**KEPT_FOR_AN_HOUR, retention__batch_size=1)
    detect(database)
    database.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - interval '5 seconds'"
    )
    passes = "select count(*) from scooters_ops.detection_passes"
    before = database.value(passes)
    database.create_mission("m4")
    record(database, "mission_started", -20, mission_id="m4")
    database.connection.execute(PRUNE)
    assert database.value(passes) > before
    assert database.values(RECORDED, "m4") == [TRAVEL]
    assert database.values(RECORDED, "m1") == [TRAVEL_TO_P2]


def test_many_intervals_that_started_at_once_are_pruned(database: TestDatabase) -> None:
    database.connection.execute(
        "insert into scooters_ops.recorded_intervals"
        " (mission_id, type, is_judged, point_id, started_at, finished_at)"
        " select 'm' || i, 'timeout_in_point', i % 10 > 0, 'p1',"
        "  timestamptz '2020-01-01', timestamptz '2020-01-01' from generate_series(1, 100) as i"
    )
    database.apply_config(**KEPT_FOR_AN_HOUR, retention__batch_size=7)
    database.connection.execute(PRUNE)
    # What is still to be judged may be news.
    assert database.value("select count(*) from scooters_ops.interval_history") == 10


def test_intervals_are_kept_as_long_as_they_may_be_news(database: TestDatabase) -> None:
    under_way(database)
    database.apply_config(**KEPT_FOR_AN_HOUR | {"detection__notify_within_seconds": DAY})
    database.connection.execute(PRUNE)
    assert database.values(RECORDED, "m1") == [TRAVEL, STAY, TRAVEL_TO_P2]


def test_a_pruned_interval_is_neither_recorded_nor_reported_again_nor_missed(
    database: TestDatabase,
) -> None:
    under_way(database)
    before = database.tokens()
    database.apply_config(**KEPT_FOR_AN_HOUR)
    detect(database)
    database.connection.execute(PRUNE)
    # By this config it would have been late, and late enough for news.
    database.apply_config(
        detection__notify_within_seconds=None,
        retention__intervals_seconds=None,
        detection__timeouts__timeout_between_points__factor=0.01,
        detection__timeouts__timeout_in_point__factor=0.01,
    )
    assert detect(database) == 0
    database.connection.execute(PRUNE)
    assert database.value("select scooters_ops.wake_missions('{m1}')") == 1
    assert detect(database) == 0
    database.connection.execute("call scooters_ops.backfill_intervals('-infinity')")
    assert database.tokens() == before
    assert database.values(RECORDED, "m1") == [TRAVEL_TO_P2]
    assert database.values("select unrecorded_missions from scooters_ops.detection_status") == [[]]
    assert database.values("select idempotency_token from scooters_ops.unnoticed_timeouts") == []


def test_a_pruned_interval_that_an_edit_reopens_is_recorded(database: TestDatabase) -> None:
    under_way(database)
    database.apply_config(**KEPT_FOR_AN_HOUR)
    detect(database)
    database.connection.execute(PRUNE)
    database.connection.execute(
        "delete from scooters_ops.missions_history where type = 'point_completed'"
    )
    detect(database)
    assert database.values(RECORDED, "m1") == [STAY]
    assert database.values("select unrecorded_missions from scooters_ops.detection_status") == [[]]


def test_pruning_intervals_waits_for_a_running_pass(database: TestDatabase) -> None:
    under_way(database)
    database.apply_config(**KEPT_FOR_AN_HOUR)
    detect(database)
    with database.connect() as passing, database.connect() as pruner, ThreadPoolExecutor(1) as pool:
        passing.autocommit = False
        passing.execute("select scooters_ops.try_detection_lock()")
        call = pool.submit(pruner.execute, PRUNE)
        until(lambda: database.value("select lock_waiters from scooters_ops.detection_status"))
        assert database.values(RECORDED, "m1") == [TRAVEL, STAY, TRAVEL_TO_P2]
        passing.commit()
        call.result()
    assert database.values(RECORDED, "m1") == [TRAVEL_TO_P2]


def test_a_horizon_in_the_future_hides_no_interval(database: TestDatabase) -> None:
    """It was written before the clock was set back."""
    database.connection.execute(
        "update scooters_ops.news_horizon set recorded_since = now() + interval '1 year'"
    )
    under_way(database)
    assert database.values(RECORDED, "m1") == [TRAVEL, STAY, TRAVEL_TO_P2]
    database.apply_config(**KEPT_FOR_AN_HOUR)
    database.connection.execute(PRUNE)
    assert database.value("select recorded_since < now() from scooters_ops.news_horizon")


# --- What happens after pruning -------------------------------------------------------------------


def test_a_pruned_notification_is_not_inserted_again_without_notify_within(
    database: TestDatabase,
) -> None:
    late_courier(database)
    database.apply_config(**SHORT)
    database.connection.execute(PRUNE)
    database.apply_config(detection__notify_within_seconds=None)
    assert database.value("select count(*) from scooters_ops.mission_wakeups where due_at <= now()")
    assert detect(database) == 0
    assert not skip(database, "p2")
    assert database.tokens() == []


def test_new_timeouts_of_a_mission_under_way_are_still_reported(database: TestDatabase) -> None:
    late_courier(database, ended=-5)
    database.apply_config(**SHORT)
    database.connection.execute(PRUNE)
    database.create_mission("m2")
    record(database, "mission_started", -65, mission_id="m2")
    assert detect(database) == 1
    assert "m2_p1__timeout_between_points" in database.tokens()


@pytest.fixture(scope="module")
def shared(cluster: Postgres) -> Iterator[TestDatabase]:
    with shared_database(cluster) as database:
        yield database


def start_over(database: TestDatabase) -> None:
    database.connection.execute(
        "truncate scooters_ops.missions, scooters_ops.missions_history,"
        " scooters_ops.mission_wakeups, scooters_ops.monitoring_notifications,"
        " scooters_ops.recorded_intervals, scooters_ops.pending_resolutions cascade"
    )
    database.connection.execute(
        "update scooters_ops.news_horizon"
        " set news_since = '-infinity', recorded_since = '-infinity'"
    )
    database.apply_config(detection__notify_within_seconds=None)


MINUTES = st.integers(-300, 30)
POINTS = st.sampled_from(["p1", "p2", "p3"])
EVENTS = st.one_of(
    st.tuples(
        st.sampled_from(["mission_started", "mission_completed", "mission_cancelled"]),
        MINUTES,
        st.none(),
    ),
    st.tuples(st.sampled_from(["point_arrived", "point_completed"]), MINUTES, POINTS),
)
CHANGES = st.fixed_dictionaries(
    {
        "detection__notify_within_seconds": st.sampled_from([None, 0, HOUR, DAY]),
        "detection__timeouts__timeout_in_point__factor": st.sampled_from([0.01, 1, 5]),
        "detection__timeouts__timeout_between_points__factor": st.sampled_from([0.01, 1, 5]),
        "detection__timeouts__timeout_in_point__minimum_seconds": st.sampled_from([0, 5 * HOUR]),
        "detection__timeouts__timeout_in_point__enabled": st.booleans(),
        "retention__notifications_seconds": st.sampled_from([None, 1, HOUR, DAY]),
        "retention__intervals_seconds": st.sampled_from([None, 1, HOUR, DAY]),
    }
)
CALLS = st.one_of(
    st.tuples(st.just("record"), EVENTS),
    st.tuples(st.just("apply"), CHANGES),
    st.tuples(st.just("skip"), POINTS),
    st.tuples(st.just("detect"), MINUTES),
    st.tuples(st.just("deliver"), st.none()),
    st.tuples(st.just("prune"), st.none()),
)


def call(database: TestDatabase, name: str, argument: Any) -> None:
    match name:
        case "record":
            record(database, *argument)
        case "apply":
            database.apply_config(**argument)
        case "skip":
            skip(database, argument)
        case "detect":
            detect(database, argument)
        case "deliver":
            deliver(database)
            grow_old(database)
        case "prune":
            database.connection.execute(PRUNE)


@seed(SEED)
@given(
    past=st.lists(EVENTS, min_size=2, max_size=10),
    end=st.integers(-290, 0),
    calls=st.lists(CALLS, max_size=12),
)
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.slow
def test_no_sequence_of_calls_inserts_a_pruned_notification_again(
    shared: TestDatabase, past: list[Any], end: int, calls: list[Any]
) -> None:
    start_over(shared)
    shared.create_mission()
    for each in past:
        record(shared, *each)
    skip(shared, "p2")
    detect(shared)
    record(shared, "mission_completed", end)
    detect(shared)
    deliver(shared)
    grow_old(shared)
    shared.apply_config(**SHORT)

    note(f"HYPOTHESIS_SEED={SEED}")
    pruned: set[str] = set()
    there = set(shared.tokens())
    last_look = [
        ("apply", {"detection__notify_within_seconds": None}),
        ("detect", 0),
        ("detect", 10_000),
    ]
    for name, argument in [("prune", None), *calls, *last_look]:
        call(shared, name, argument)
        now_there = set(shared.tokens())
        pruned |= there - now_there
        there = now_there
        assert not pruned & there, (name, argument)
