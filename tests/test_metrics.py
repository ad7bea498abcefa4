"""Health, readiness and metrics of a running notifier, and the alerts that are built on them."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifier.channels import CHANNELS
from notifier.metrics import OUTCOMES, Metrics
from notifier.notification_types import NOTIFICATION_TYPES
from notifier.resources import ROOT
from notifier.web.database_metrics import DatabaseMetrics
from notifier.web.pool import DatabaseAway, read_pool
from sandbox.standins import held, late
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import LOST_GROUP, TELEGRAM, TICKET, House, make_house
from tests.http_rigs import LOGIN as HTTP_LOGIN
from tests.http_rigs import HttpProcess, away, end_sessions, http_process, http_user, is_problem

ALERTS = ROOT / "deploy" / "alerts.yml"
LOST = {"type": "telegram", "chat_id": LOST_GROUP}
LABELS = {
    "channel": {*CHANNELS},
    "late_because": {
        "config_changed",
        "detection_down",
        "event_late",
        "failing",
        "limits",
        "no_notifier",
        "on_hold",
        "silenced",
        "unrouted",
    },
    "outcome": {*OUTCOMES.values()},
    "part": {"notifier", "http"},
    "pool": {"api", "readiness", "metrics", "board"},
    "reason": {"slow", "crowded"},
    "state": {"pending", "retrying", "blocked", "sending", "failed", "in_doubt", "alive", "dead"},
    "type": {*NOTIFICATION_TYPES},
}

pytestmark = pytest.mark.slow
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as made:
        made.configure(TELEGRAM, TICKET, notifier__poll_seconds=0.2)
        yield made


@pytest.fixture
def at_work(house: House) -> Iterator[HttpProcess]:
    """`notifier run --listen` as a user with the notifier's role alone."""
    with http_process(house.environment, "run") as process:
        until(lambda: " started " in process.log)
        yield process


class Scrape:
    """The samples of /metrics."""

    def __init__(self, process: HttpProcess) -> None:
        answer = process.client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        self.samples = [
            sample
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the series with that name and these labels; None: there is none."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == f"scooters_ops_{name}" and sample.labels == labels
        ]
        assert len(found) <= 1
        return found[0] if found else None


# --- metrics -------------------------------------------------------------------------------------


def test_deliveries_are_counted_by_channel_and_outcome(house: House, at_work: HttpProcess) -> None:
    house.configure(TELEGRAM, TICKET, LOST, notifier__poll_seconds=0.2)
    house.skip()
    until(lambda: sorted(house.states()) == ["failed", "sent", "sent"])
    scrape = Scrape(at_work)
    assert scrape.value("deliveries_total", channel="telegram", outcome="sent") == 1
    assert scrape.value("deliveries_total", channel="telegram", outcome="failed") == 1
    assert scrape.value("deliveries_total", channel="st", outcome="sent") == 1
    assert scrape.value("leases_total", channel="telegram") == 2
    assert scrape.value("notifications_total", type="job_skipped") == 1
    assert scrape.value("notifications_total", type="timeout_in_point") == 0
    assert scrape.value("told_after_seconds_count", type="job_skipped") == 1
    assert scrape.value("told_after_seconds_bucket", type="job_skipped", le="86400.0") == 1
    assert scrape.value("told_after_seconds_bucket", type="job_skipped", le="+Inf") == 1
    assert (scrape.value("told_after_seconds_sum", type="job_skipped") or 0) > 0
    assert scrape.value("told_after_seconds_count", type="timeout_in_point") == 0
    assert scrape.value("told_late_total", type="job_skipped", late_because="failing") == 0
    assert scrape.value("recipients", channel="telegram", state="failed") == 1
    assert scrape.value("recipients", channel="st", state="failed") == 0
    assert scrape.value("unplanned_notifications") == 0
    assert scrape.value("notifiers", state="alive") == 1
    assert scrape.value("database_up") == 1
    assert (scrape.value("cycles_total") or 0) > 0


def test_latency_is_measured_from_the_notifications_insertion_until_it_is_sent(
    house: House, at_work: HttpProcess
) -> None:
    at_work.stop()
    token = house.skip()
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = now() - interval '100 s'"
        " where idempotency_token = %s",
        (token,),
    )
    house.tracker.script(late(1))
    with http_process(house.environment, "run") as process:
        until(house.is_sent)
        scrape = Scrape(process)
    for channel in ("telegram", "st"):
        assert scrape.value("delivery_latency_seconds_count", channel=channel) == 1
        assert scrape.value("delivery_latency_seconds_bucket", channel=channel, le="60.0") == 0
        assert scrape.value("delivery_latency_seconds_bucket", channel=channel, le="300.0") == 1
    telegram, ticket = (
        scrape.value("delivery_latency_seconds_sum", channel=channel) or 0
        for channel in ("telegram", "st")
    )
    assert telegram >= 100
    assert ticket >= 101


def test_waiting_recipients_are_counted_with_their_age(house: House, at_work: HttpProcess) -> None:
    house.configure(
        TELEGRAM, notifier__poll_seconds=0.2, channels__telegram__timeout_seconds=PATIENCE_SECONDS
    )
    house.telegram.script(held(threading.Event()))
    house.skip()
    until(lambda: house.states("telegram") == ["sending"])
    until(lambda: Scrape(at_work).value("in_flight") == 1)
    house.database.connection.execute(
        "update scooters_ops.notification_recipients set created_at = now() - interval '1 hour'"
    )
    scrape = Scrape(at_work)
    assert scrape.value("recipients", channel="telegram", state="sending") == 1
    age = scrape.value("recipients_oldest_age_seconds", channel="telegram", state="sending")
    assert age == pytest.approx(3600, abs=60)


def test_a_channel_that_refuses_all_requests_shows_as_paused(house: House) -> None:
    with http_process(house.environment | {"TELEGRAM_BOT_TOKEN": "1:revoked"}, "run") as process:
        assert Scrape(process).value("channel_paused", channel="telegram") == 0
        house.skip()
        until(lambda: Scrape(process).value("channel_paused", channel="telegram") == 1)
        scrape = Scrape(process)
        assert scrape.value("channel_paused", channel="st") == 0
        assert scrape.value("deliveries_total", channel="telegram", outcome="refused") == 1


def test_unrouted_notifications_are_counted(house: House, at_work: HttpProcess) -> None:
    assert Scrape(at_work).value("unrouted_notifications") == 0
    house.configure(routes=[])
    house.skip_many(2)
    until(lambda: Scrape(at_work).value("unrouted_notifications") == 2)
    house.configure(TELEGRAM)
    house.database.value("select scooters_ops.retry_deliveries()")
    until(lambda: Scrape(at_work).value("unrouted_notifications") == 0)


def test_passes_are_counted_with_their_duration_and_their_notifications(
    house: House, at_work: HttpProcess
) -> None:
    house.database.create_mission()
    house.database.record("mission_started", 0)
    assert Scrape(at_work).value("detection_passes_total") is None
    assert (house.database.detect(1), house.database.detect(16)) == (0, 1)
    scrape = Scrape(at_work)
    passes = house.database.rows("select * from scooters_ops.recent_detection_passes")
    assert scrape.value("detection_passes_total") == 2
    assert scrape.value("detection_inserted_total") == 1
    assert scrape.value("detection_last_pass_inserted") == 1
    assert scrape.value("detection_last_pass_missions") == 0  # it fell due by time alone
    assert scrape.value("detection_still_due_missions") == 0
    assert scrape.value("detection_recorded_total") == 1
    assert scrape.value("detection_judged_total") == 1
    assert scrape.value("detection_resolved_total") == 0
    assert scrape.value("detection_unrecorded_missions") == 0
    total = sum(row["elapsed"].total_seconds() for row in passes)
    assert scrape.value("detection_pass_seconds_total") == pytest.approx(total)
    assert 0 < (scrape.value("detection_last_pass_duration_seconds") or 0) < total
    assert 0 <= (scrape.value("detection_last_pass_age_seconds") or 0) < PATIENCE_SECONDS
    assert (scrape.value("detection_enabled"), scrape.value("detection_stalled")) == (1, 0)


def test_missions_that_wait_for_a_pass_and_those_that_passes_missed_are_counted(
    house: House, at_work: HttpProcess
) -> None:
    for mission_id in ("m1", "m2", "m3"):
        house.database.create_mission(mission_id)
    assert Scrape(at_work).value("detection_waiting_missions") == 3
    house.database.detect(1)
    assert Scrape(at_work).value("detection_waiting_missions") == 0
    assert Scrape(at_work).value("detection_unrecorded_missions") == 0
    house.database.connection.execute("set session_replication_role = replica")
    house.database.record("mission_started", 0, mission_id="m2")
    assert Scrape(at_work).value("detection_unrecorded_missions") == 1


def test_the_databases_counters_survive_a_restart_and_pruning(
    house: House, at_work: HttpProcess
) -> None:
    house.skip_many(3)
    until(house.is_sent)
    house.database.detect(1)
    assert at_work.stop() == 0
    house.database.connection.execute("delete from scooters_ops.monitoring_notifications")
    with http_process(house.environment, "run") as process:
        scrape = Scrape(process)
    assert scrape.value("notifications_total", type="job_skipped") == 3
    assert scrape.value("detection_passes_total") == 1


def test_no_label_holds_an_identifier(house: House, at_work: HttpProcess) -> None:
    house.skip_many(20)
    until(house.is_sent)
    samples = Scrape(at_work).samples
    for sample in samples:
        for label, value in sample.labels.items():
            assert label == "le" or value in LABELS[label], sample
    assert len(samples) < 350


def test_each_metric_of_the_view_has_one_help_text_and_one_set_of_labels(house: House) -> None:
    house.database.detect(1)
    rows = house.database.rows("select name, labels, help from scooters_ops.metrics")
    described = {(row["name"], row["help"], *sorted(row["labels"])) for row in rows}
    assert len(described) == len({row["name"] for row in rows})
    assert all(row["help"].endswith(".") for row in rows)


def test_docs_metrics_lists_what_is_exported(house: House, at_work: HttpProcess) -> None:
    """Nobody writes docs/metrics.md by hand: this test leaves its new text in build/metrics.md."""
    house.skip()
    until(house.is_sent)
    house.database.record("mission_started", 0)
    house.database.detect(1)
    families = text_string_to_metric_families(at_work.client.get("/metrics").text)
    lines = [
        f"| `{family.name}{'_total' if family.type == 'counter' else ''}` | {family.type} "
        f"| {', '.join(sorted({*family.samples[0].labels} - {'le'}))} | {family.documentation} |"
        for family in sorted(families, key=lambda each: each.name)
    ]
    head = (
        "# Metrics",
        "",
        "What `/metrics` exports; the alert rules in deploy/alerts.yml are built on it."
        " [What to do](ops.md#what-needs-a-person-and-what-to-do)",
        "when one fires is in ops.md.",
        "",
        "| metric | kind | labels | meaning |",
        "| --- | --- | --- | --- |",
    )
    page = "\n".join((*head, *lines)) + "\n"
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "metrics.md").write_text(page, "utf-8")
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == page


def test_two_planners_count_without_waiting_for_each_other(house: House) -> None:
    plan = "select scooters_ops.plan_deliveries(2)"
    house.skip_many(8)
    assert house.database.value(plan) == 2
    with house.database.connect() as other, other.transaction():
        assert other.execute(plan).fetchone() == (2,)
        house.database.connection.execute("set statement_timeout = '5s'")
        assert [house.database.value(plan) for _ in range(2)] == [2, 2]
    count = 'select value from scooters_ops.metrics where labels = \'{"type": "job_skipped"}\''
    assert house.database.value(count) == 8


# --- health and readiness ------------------------------------------------------------------------


@pytest.fixture
def serving(house: House) -> Iterator[HttpProcess]:
    """`notifier run --listen` with all roles and secrets."""
    with http_user(house.database) as environment, http_process(environment, "run") as process:
        until(lambda: " started " in process.log)
        yield process


def problems(process: HttpProcess) -> list[str]:
    """The problems that /readyz names."""
    answer = process.client.get("/readyz")
    found: list[str] = answer.json()["problems"]
    assert answer.json()["ready"] == (not found)
    assert answer.status_code == (503 if found else 200)
    return found


def test_a_notifier_at_work_is_alive_and_ready(serving: HttpProcess) -> None:
    assert serving.client.get("/healthz").json() == {"status": "alive"}
    assert serving.client.get("/readyz").json() == {"ready": True, "problems": [], "warnings": []}


def test_without_the_database_it_is_alive_but_not_ready_and_metrics_say_so(
    house: House, serving: HttpProcess
) -> None:
    assert problems(serving) == []
    with away(house.database):
        assert problems(serving) == ["the database cannot be reached"]
        assert serving.client.get("/healthz").status_code == 200
        scrape = Scrape(serving)
        assert scrape.value("database_up") == 0
        assert scrape.value("detection_enabled") is None
        assert (scrape.value("database_errors_total", part="http") or 0) > 0
        until(lambda: Scrape(serving).value("database_errors_total", part="notifier"))
    until(lambda: problems(serving) == [])
    assert Scrape(serving).value("database_up") == 1


def test_a_read_only_database_makes_it_not_ready(house: House, serving: HttpProcess) -> None:
    assert problems(serving) == []
    alter = f"alter role {HTTP_LOGIN} "
    house.database.connection.execute(f"{alter} set default_transaction_read_only = on")
    try:
        end_sessions(house.database)
        assert problems(serving) == ["the database is read-only"]
        house.database.create_mission()
        assert is_problem(serving.skip("m1", "p1", "j1"), 503)
    finally:
        house.database.connection.execute(f"{alter} reset all")


def test_a_missing_role_or_token_makes_it_not_ready(at_work: HttpProcess) -> None:
    """It delivers, but a load balancer must not send callers to it."""
    assert problems(at_work) == [
        "the database's user lacks the role scooters_ops_writer",
        "no token is configured: the secret SCOOTERS_OPS_HTTP_TOKEN is missing",
    ]


def test_stopped_detection_shows_in_metrics_and_leaves_it_ready(
    house: House, serving: HttpProcess
) -> None:
    house.database.detect(1)
    house.configure(notifier__poll_seconds=0.2, detection__stalled_after_seconds=0.1)
    until(lambda: Scrape(serving).value("detection_stalled") == 1)
    assert problems(serving) == []
    house.database.create_mission()
    assert serving.skip("m1", "p1", "j1").json() == {"skipped": True}


def test_a_hanging_work_loop_leaves_it_ready(house: House, serving: HttpProcess) -> None:
    house.database.create_mission()
    with house.database.connect() as other, other.transaction():
        other.execute("lock table scooters_ops.notification_recipients in exclusive mode")
        assert serving.skip("m1", "p1", "j1").json() == {"skipped": True}
        until(lambda: house.is_blocked("scooters_ops."))  # planning waits for the lock
        hung = Scrape(serving)
        assert problems(serving) == []
        assert serving.skip("m1", "p2", "j1").json() == {"skipped": True}
        assert Scrape(serving).value("cycles_total") == hung.value("cycles_total")
    until(house.is_sent)


def test_during_an_upgrade_it_stays_ready_while_its_connections_hold(
    house: House, serving: HttpProcess
) -> None:
    house.database.create_mission()
    assert serving.skip("m1", "p1", "j1").json() == {"skipped": True}
    assert problems(serving) == []
    house.database.connection.execute(
        "insert into scooters_ops._yoyo_migration (migration_hash, migration_id)"
        " values ('x', '9999_next')"
    )
    answer = serving.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "ready": True,
            "problems": [],
            "warnings": [
                "the database does not suit this program: a newer version migrated it (9999_next):"
                " update this program"
            ],
        },
    )
    assert serving.skip("m1", "p2", "j1").json() == {"skipped": True}


def test_a_crowd_at_metrics_shares_one_query_and_delays_nobody_else(
    house: House, serving: HttpProcess
) -> None:
    """/metrics needs no token. If a crowd there made the process unready, a load balancer would cut
    the mission service off."""
    house.database.value("select scooters_ops.detect_timeouts()")
    house.database.create_mission()
    age = "scooters_ops_detection_last_pass_age_seconds"

    def last_pass_age(_: int) -> list[str]:
        lines = serving.client.get("/metrics").text.splitlines()
        return [line for line in lines if line.startswith(age)]

    crowd = 30
    with ThreadPoolExecutor(crowd) as pool:
        with house.database.connect() as other, other.transaction():
            other.execute("lock table scooters_ops.detection_passes")
            answers = [pool.submit(last_pass_age, number) for number in range(crowd)]
            until(lambda: house.is_blocked("metrics"))
            assert problems(serving) == []
            assert serving.skip("m1", "p1", "j1").json() == {"skipped": True}
        scrapes = [answer.result() for answer in answers]
    assert all(len(lines) == 1 for lines in scrapes)
    assert len({lines[0] for lines in scrapes}) < crowd


def test_callers_that_wait_for_each_other_do_not_count_as_a_lost_database(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise strangers would fill the log, and raise an alert."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    metrics = Metrics()

    async def play() -> None:
        async with (
            read_pool("metrics", "scooters_ops_notifier", metrics) as pool,
            pool.connection(),
        ):
            monkeypatch.setattr("notifier.web.pool.STATEMENT_SECONDS", 0.01)
            for _ in range(5):
                with pytest.raises(DatabaseAway, match="too many wait"):
                    await pool.rows("select 1")

    asyncio.run(play())
    assert [record.msg for record in caplog.records] == ["http_busy"]
    assert metrics.database_errors.labels("http")._value.get() == 0


def test_operators_endpoints_need_no_token_and_only_read(at_work: HttpProcess) -> None:
    del at_work.client.headers["Authorization"]
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert at_work.client.get(path).status_code in (200, 503)
        assert is_problem(at_work.client.post(path), 405)


# --- alerts --------------------------------------------------------------------------------------


def test_every_metric_that_the_alerts_name_is_exported(house: House, at_work: HttpProcess) -> None:
    named = {*re.findall(r"scooters_ops_\w+", ALERTS.read_text("utf-8"))}
    assert len(named) > 9
    only_routers = {"scooters_ops_shard_up"}  # see tests/test_router_programs.py
    assert named - only_routers <= {sample.name for sample in Scrape(at_work).samples}


@needs_promtool
def test_promtool_accepts_the_alerts_and_they_fire_when_they_should() -> None:
    for arguments in (("check", "rules", ALERTS), ("test", "rules", ROOT / "tests/alerts.yml")):
        finished = subprocess.run(
            ["promtool", *arguments], capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr


def test_an_odd_row_of_a_newer_versions_view_does_not_hide_the_other_metrics() -> None:
    odd: list[dict[str, Any]] = [
        {"name": "a", "labels": {"shard": 1, "zone": None}, "value": 2.0, "help": None},
        {"name": "b", "labels": {}, "value": None, "help": "Nothing."},
        {"name": "c", "labels": {"x-y": 'q"'}, "value": 3.0, "help": "Odd."},
    ]
    for name, labels in (
        ("d_bucket", {"le": "+Inf"}),
        ("d_bucket", {"le": "soon"}),
        ("d_bucket", {"le": "5"}),
        ("d_sum", {}),
        ("e_bucket", {"le": "5"}),
        ("f_bucket", {"le": "5"}),
        ("f_sum", {}),
        ("g_sum", {}),
    ):
        odd.append({"name": name, "labels": labels, "value": 4.0, "help": "A histogram?"})
    text = DatabaseMetrics(odd).text().decode()
    assert [line for line in text.splitlines() if line.startswith("scooters_ops_d_")] == [
        'scooters_ops_d_bucket{le="5.0"} 4.0',
        'scooters_ops_d_bucket{le="+Inf"} 4.0',
        "scooters_ops_d_count 4.0",
        "scooters_ops_d_sum 4.0",
    ]
    assert 'scooters_ops_e_bucket{le="5"} 4.0' in text
    assert "scooters_ops_f_bucket" not in text  # without a bucket that has no bound
    assert "scooters_ops_g_sum 4.0" in text
    assert 'scooters_ops_a{shard="1",zone=""} 2.0' in text
    assert "scooters_ops_b" not in text
    assert 'scooters_ops_c{x_y="q\\""} 3.0' in text
