"""The command line: what it prints, and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from notifier.cli import main
from notifier.database.statements import Database
from notifier.locales import LOCALES
from notifier.notification_types import SAMPLE_FACTS, TEST_TYPE, sample_facts, steps_of
from notifier.resources import CONFIG, ROOT
from notifier.steps import FOLLOW_UPS
from sandbox.standins import RESET_AFTER, held
from tests.conftest import PATIENCE_SECONDS, TestDatabase, config, until
from tests.delivery_rigs import (
    GROUP,
    KICKED,
    LOST_GROUP,
    TELEGRAM,
    TICKET,
    House,
    command,
    make_house,
)

Finished = subprocess.CompletedProcess[str]


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as made:
        yield made


@pytest.fixture
def superuser(house: House) -> dict[str, str]:
    """Changes to the environment: a user who may apply a config."""
    return {"PGUSER": house.database.environment["PGUSER"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the notifier reads."""
    for folder in ("notifier", "templates", "migrations"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "config.json", tmp_path)
    return tmp_path


def assert_done(finished: Finished) -> None:
    assert (finished.returncode, finished.stderr) == (0, "")


def assert_refused(finished: Finished, *culprits: str) -> None:
    """The command exits with 2 and prints one line, which names each culprit."""
    assert finished.returncode == 2, finished
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert line.startswith("notifier: ")
    for culprit in culprits:
        assert culprit in line


# --- run ---------------------------------------------------------------------------------------


def test_run_once_delivers_what_is_due_and_exits(house: House) -> None:
    token = house.skip()
    finished = house.process("run", "--once")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert house.states() == ["sent", "sent"]
    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (1, 1)
    started, *sent = finished.stderr.splitlines()
    assert " INFO started notifier=" in started
    assert sorted(line.split(" ", 1)[1] for line in sent) == [
        f"INFO sent token={token} channel=st attempt=1 reference=DUTY-1",
        f"INFO sent token={token} channel=telegram attempt=1 reference=1",
    ]


def test_run_once_exits_0_even_if_a_recipient_failed(house: House) -> None:
    house.configure({"type": "telegram", "chat_id": LOST_GROUP})
    house.skip()
    finished = house.cli("run", "--once", "--log-level", "warning")
    assert finished.returncode == 2, "global options come before the command"
    finished = house.cli("--log-level", "warning", "run", "--once")
    assert finished.returncode == 0
    (line,) = finished.stderr.splitlines()
    assert " WARNING failed " in line
    assert line.endswith(f'reason="HTTP 403: {KICKED}"')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_after_a_signal_run_finishes_the_sends_in_flight_and_exits_0(
    house: House, number: signal.Signals
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    house.skip()
    answer = threading.Event()
    house.telegram.script(held(answer))
    with subprocess.Popen(
        command("run"), env=house.environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until(lambda: bool(house.telegram.messages))
            assert house.states() == ["sending"]
            process.send_signal(number)
            assert process.stderr is not None
            begun: list[str] = []
            while not begun or " stopping " not in begun[-1]:
                begun.append(process.stderr.readline())
                assert begun[-1], "the process has ended"
            answer.set()
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0
    assert house.states() == ["sent"]
    said = [line.split()[2] for line in [*begun, *errors.splitlines()]]
    assert said == ["started", "stopping", "sent"]


@pytest.mark.slow
def test_run_reports_results_that_it_could_not_record(house: House) -> None:
    house.configure(TELEGRAM, notifier__lease_seconds=1)
    house.skip()
    answer = threading.Event()
    house.telegram.script(held(answer))
    with subprocess.Popen(
        command("--log-level", "error", "run"),
        env=house.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(lambda: bool(house.telegram.messages))
            with house.without_database():
                process.terminate()
                answer.set()
                _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 1
    lost, *still, last = errors.splitlines()
    assert " ERROR database_lost " in lost
    assert all(" ERROR database_still_lost " in line for line in still)  # for another reason
    assert last == "notifier: 1 results could not be recorded; they will be sent again"


# --- bin/notifier ------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of hostile modules; each creates the file `taken` when it is imported."""
    trap = f"open({str(tmp_path / 'taken')!r}, 'w').close()\n"
    for name in ("json", "psycopg", "notifier"):
        package = tmp_path / name
        package.mkdir()
        for module in ("__init__", "__main__"):
            (package / f"{module}.py").write_text(trap)
    return tmp_path


@pytest.mark.parametrize("way", ["by its path", "by a link", "by PATH"])
@pytest.mark.slow
def test_bin_notifier_runs_no_code_from_the_current_folder(
    hostile: Path, tmp_path_factory: pytest.TempPathFactory, way: str
) -> None:
    link = tmp_path_factory.mktemp("bin") / "notifier"
    link.symlink_to(ROOT / "bin" / "notifier")
    program = str(ROOT / "bin" / "notifier")
    called = {"by its path": program, "by a link": str(link), "by PATH": "notifier"}
    finished = subprocess.run(
        [called[way], "preview", "job_skipped", "--config", str(CONFIG)],
        cwd=hostile,
        env={"PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(hostile)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "--- telegram.text" in finished.stdout
    assert not (hostile / "taken").exists()


def test_bin_notifier_without_its_environment_says_how_to_make_it(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "notifier"
    program.parent.mkdir()
    shutil.copy(ROOT / "bin" / "notifier", program)
    ended = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"notifier: {tmp_path}/.venv/bin/python is missing: run make install in {tmp_path}\n"
    )


# --- config ------------------------------------------------------------------------------------


def test_a_config_is_checked_applied_and_shown(
    house: House, superuser: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    document = house.document(TELEGRAM, detection__schedule="30 seconds")
    file.write_text(json.dumps(document))

    finished = house.cli("config", "check", str(file))
    assert_done(finished)
    assert finished.stdout == f"{file}: good\n"

    finished = house.cli("config", "apply", str(file), **superuser)
    assert_done(finished)
    config_id = house.database.value("select config_id from scooters_ops.config_in_force")
    assert finished.stdout.splitlines() == [
        f"{file}: in force as config {config_id}",
        "What pg_cron runs, or when, has changed: make schedule",
    ]

    finished = house.cli("config", "show")
    assert_done(finished)
    shown = json.loads(finished.stdout)
    assert shown["detection"] == document["detection"] | {"overrides": []}
    assert shown["routes"] == [
        {"match": {}, "recipients": [TELEGRAM], "escalate": [], "continue": False}
    ]


def test_applying_a_config_without_the_right_to_is_refused(house: House) -> None:
    assert_refused(house.cli("config", "apply"), "permission denied", "apply_config")


def test_a_bad_config_is_refused_and_nothing_changes(
    house: House, superuser: dict[str, str], tmp_path: Path
) -> None:
    before = house.database.values("select config_id from scooters_ops.configs")
    file = tmp_path / "bad.json"
    no_number = config(detection__timeouts__timeout_in_point__factor=float("nan"))
    for text, culprits in (
        (json.dumps(config(notifier__batch_size=0)), ["notifier.batch_size: must be greater"]),
        (json.dumps(no_number), [str(file), "broken JSON", "NaN"]),
        ('{"detection": ', [str(file), "broken JSON at line 1, column 15"]),
    ):
        file.write_text(text)
        assert_refused(house.cli("config", "apply", str(file), **superuser), *culprits)
    assert_refused(house.cli("config", "check", "/nowhere.json"), "/nowhere.json: No such file")
    assert house.database.values("select config_id from scooters_ops.configs") == before


def test_without_a_config_in_force_the_error_says_what_to_do(house: House) -> None:
    house.database.connection.execute("delete from scooters_ops.configs")
    for arguments in (["run", "--once"], ["config", "show"]):
        assert_refused(house.cli(*arguments), "no config is in force: make config")


@pytest.mark.slow
def test_a_missing_template_is_named_and_nothing_is_sent(house: House, checkout: Path) -> None:
    house.skip()
    (checkout / "templates/en/job_skipped/st.summary.j2").unlink()
    for arguments in (["config", "check"], ["run", "--once"]):
        assert_refused(
            house.process_in(checkout, *arguments),
            "notifier.locale: no template en/job_skipped/st.summary.j2",
        )
    assert house.telegram.calls == []


@pytest.mark.slow
def test_a_broken_template_is_found_before_it_is_needed(house: House, checkout: Path) -> None:
    path = checkout / "templates/en/job_skipped/telegram.text.j2"
    path.write_text("{{ courier_name }}")
    assert_refused(
        house.process_in(checkout, "config", "check"),
        "en/job_skipped/telegram.text.j2: line 1",
        "'courier_name' is undefined",
    )


# --- preview -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("locale", "courier"), [("en", "Courier: "), ("ru", "Курьер: ")])
@pytest.mark.parametrize("type", SAMPLE_FACTS)
def test_preview_shows_each_type_for_each_channel_in_each_language(
    capsys: pytest.CaptureFixture[str], type: str, locale: str, courier: str
) -> None:
    assert main(["preview", type, "--locale", locale]) == 0
    shown = capsys.readouterr().out
    headings = [line for line in shown.splitlines() if line.startswith("--- ")]
    assert headings == ["--- telegram.text", "--- st.summary", "--- st.description"]
    assert shown.count("Ivan Petrov") == 3
    assert shown.count(courier) == 2
    assert shown.count(str(SAMPLE_FACTS[type]["token"])) == 2


@pytest.mark.parametrize("type", [*SAMPLE_FACTS, TEST_TYPE])
@pytest.mark.parametrize("locale", LOCALES)
def test_preview_shows_each_step_in_each_language(
    capsys: pytest.CaptureFixture[str], type: str, locale: str
) -> None:
    for step in steps_of(type):
        assert main(["preview", type, "--step", step, "--locale", locale]) == 0
        shown = capsys.readouterr().out
        is_comment = "--- st.comment" in shown
        assert is_comment == (step in FOLLOW_UPS)
        assert sample_facts(type, step)["token"] in shown


def test_preview_refuses_a_step_that_a_type_cannot_have(house: House) -> None:
    for type, step in (("job_skipped", "resolved"), (TEST_TYPE, "escalation")):
        finished = house.cli("preview", type, "--step", step)
        assert finished.returncode == 2
        assert f"a {type} has only: alert" in finished.stderr


def test_preview_of_one_channel_needs_neither_a_database_nor_secrets(house: House) -> None:
    finished = house.cli(
        "preview", "job_skipped", "--channel", "st", PGHOST="/nowhere", TRACKER_TOKEN=None
    )
    assert finished.returncode == 0
    assert finished.stderr == f"notifier: no database with a config in force: {CONFIG} is used\n"
    assert "--- st.summary" in finished.stdout
    assert "--- telegram" not in finished.stdout


def test_preview_uses_the_config_in_force_unless_it_is_given_a_file(
    house: House, tmp_path: Path
) -> None:
    house.configure(notifier__locale="ru")
    assert "Пропущена задача" in house.cli("preview", "job_skipped").stdout
    file = tmp_path / "config.json"
    file.write_text(json.dumps(house.document()))
    finished = house.cli("preview", "job_skipped", "--config", str(file), PGHOST="/nowhere")
    assert_done(finished)
    assert "Job skipped" in finished.stdout


def test_preview_of_a_real_notification_shows_its_facts(house: House) -> None:
    token = house.skip(performer_name="Anna Nowak")
    finished = house.cli("preview", "job_skipped", "--token", token)
    assert_done(finished)
    assert finished.stdout.count("Anna Nowak") == 3
    for step in steps_of("job_skipped"):
        assert_done(house.cli("preview", "job_skipped", "--token", token, "--step", step))


def test_preview_refuses_a_token_of_another_type_and_an_unknown_token(house: House) -> None:
    token = house.skip()
    for type, asked, culprit in (
        ("timeout_in_point", token, f"'{token}' is of type job_skipped"),
        ("job_skipped", "m9_p1_j1_job_skipped", "no notification 'm9_p1_j1_job_skipped'"),
        ("job_skipped", "", "no notification ''"),
    ):
        assert_refused(house.cli("preview", type, "--token", asked), culprit)


# --- acknowledge -------------------------------------------------------------------------------


def test_acknowledge_records_who_takes_care_once(house: House) -> None:
    token = house.skip()
    first = house.cli("acknowledge", token, "--by", "Olga")
    again = house.cli("acknowledge", token, LOGNAME="galina")
    assert (first.returncode, first.stdout) == (0, "acknowledged by Olga\n")
    assert (again.returncode, again.stdout) == (0, "somebody has acknowledged it already\n")
    assert who_has(house, token) == "Olga"


def who_has(house: House, token: str) -> str | None:
    name = house.database.value(
        "select acknowledged_by from scooters_ops.monitoring_notifications"
        " where idempotency_token = %s",
        token,
    )
    return None if name is None else str(name)


def test_acknowledge_is_by_the_user_of_the_system_unless_it_says_who(house: House) -> None:
    token = house.skip()
    assert house.cli("acknowledge", token, LOGNAME="galina").stdout == "acknowledged by galina\n"
    assert who_has(house, token) == "galina"


def test_acknowledge_refuses_what_is_unknown_resolved_or_by_nobody(house: House) -> None:
    token = house.skip()
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set resolved_at = now(), resolution = 'withdrawn'"
    )
    for asked, by, culprit in (
        (token, "Olga", "is resolved already"),
        ("m9_p1_j1_job_skipped", "Olga", 'no notification "m9_p1_j1_job_skipped"'),
        (token, " ", "by must not be empty"),
        (token, "x" * 201, "by is longer than 200 characters"),
    ):
        assert_refused(house.cli("acknowledge", asked, "--by", by), culprit)
    assert who_has(house, token) is None


# --- status ------------------------------------------------------------------------------------


def test_status_exits_0_when_nothing_needs_a_person(house: House) -> None:
    house.database.value("select scooters_ops.detect_timeouts()")
    finished = house.cli("status")
    assert_done(finished)
    detection, *rest = finished.stdout.splitlines()
    assert detection.startswith("Detection: last pass ")
    assert detection.endswith(
        " s ago, 0 missions, 0 inserted, 0 intervals recorded, 0 judged, 0 resolved"
    )
    assert rest == ["Notifiers: none", "Deliveries: nothing waits", "Nothing needs a person."]


def test_status_shows_what_waits_and_that_nothing_needs_a_person(house: House) -> None:
    house.configure(TELEGRAM, detection__enabled=False)
    house.skip("m1")
    house.telegram.script(house.telegram.refusal(500, "Internal Server Error"))
    assert house.cli("run", "--once").returncode == 0
    house.skip("m2")
    finished = house.cli("status")
    assert_done(finished)
    detection, notifiers, heading, *rows, last = finished.stdout.splitlines()
    assert detection == (
        "Detection: no pass yet; 2 missions wait for the next pass; disabled by config"
    )
    assert notifiers == "Notifiers: none"
    assert heading.split() == ["channel", "state", "count", "oldest", "error"]
    assert [row.split()[:3] for row in rows[:2]] == [
        ["telegram", "retrying", "1"],
        ["-", "unplanned", "1"],
    ]
    assert rows[2] == "Recipients, the worst first:"
    assert [row.partition(", for ")[0] for row in rows[3:]] == ["  telegram -1001: 1 retrying"]
    assert rows[0].endswith("HTTP 500: Internal Server Error")
    assert last == "Nothing needs a person."


def test_status_exits_1_and_says_why_and_what_to_do(house: House) -> None:
    house.configure(
        {"type": "telegram", "chat_id": LOST_GROUP}, channels__telegram__in_doubt="hold"
    )
    house.skip()
    assert house.cli("run", "--once").returncode == 0
    house.configure(TELEGRAM, channels__telegram__in_doubt="hold")
    house.skip("m2")
    house.telegram.script(RESET_AFTER)
    assert house.cli("run", "--once").returncode == 0
    house.database.connection.execute(
        "update scooters_ops.configs set applied_at = now() - interval '4 min'"
    )

    finished = house.process("status")

    assert (finished.returncode, finished.stderr) == (1, "")
    assert finished.stdout.splitlines()[0] == (
        "Detection: no pass yet; 2 missions wait for the next pass"
    )
    rows = [line.split(maxsplit=5) for line in finished.stdout.splitlines()[3:5]]
    assert [(row[:3], row[-1]) for row in rows] == [
        (["telegram", "failed", "1"], f"HTTP 403: {KICKED}"),
        (["telegram", "in_doubt", "1"], "sent, but no answer came (ReadError)"),
    ]
    assert [line.partition(", for ")[0] for line in finished.stdout.splitlines()[5:8]] == [
        "Recipients, the worst first:",
        f"  telegram {LOST_GROUP}: 1 failed",
        f"  telegram {GROUP}: 1 in_doubt",
    ]
    assert finished.stdout.splitlines()[8:] == [
        "Detection has stopped: notifier status --jobs (make status) asks pg_cron why.",
        "Fix what the errors name, then: notifier retry --failed",
        "Check whether the doubtful messages arrived. If so: notifier retry TOKEN --as-sent;"
        " to send them again: notifier retry TOKEN",
    ]


def test_status_exits_1_when_passes_have_stopped(house: House) -> None:
    house.database.value("select scooters_ops.detect_timeouts()")
    house.database.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - interval '4 min'"
    )
    house.database.connection.execute(
        "update scooters_ops.configs set applied_at = now() - interval '1 day'"
    )
    finished = house.cli("status")
    assert finished.returncode == 1
    assert "Detection: last pass 4 min ago" in finished.stdout
    assert "Detection has stopped" in finished.stdout


KEYS_OF_STATUS = {
    "as_of": None,
    "is_person_needed": None,
    "advice": None,
    "config_id": None,
    "shards": {
        "shard",
        "name",
        "is_up",
        "reason",
        "missing_migration",
        "newer_migration",
        "is_config_ours",
        "lacked_columns",
    },
    "detection": {
        "is_enabled",
        "is_stalled",
        "last_pass_at",
        "last_pass_elapsed_seconds",
        "last_pass_missions",
        "last_pass_inserted",
        "last_pass_recorded",
        "last_pass_judged",
        "last_pass_resolved",
        "missions_waiting",
        "unrecorded_missions",
        "lock_holder",
        "lock_waiters",
    },
    "notifiers": {
        "name",
        "started_at",
        "seen_at",
        "seen_age_seconds",
        "config_id",
        "version",
        "is_alive",
        "leases",
        "problem",
    },
    "deliveries": {
        "channel",
        "state",
        "recipients",
        "is_lower_bound",
        "oldest_created_at",
        "oldest_age_seconds",
        "next_attempt_at",
        "sample_error",
        "is_stuck",
    },
    "recipients": {
        "channel",
        "address",
        "state",
        "recipients",
        "is_lower_bound",
        "oldest_created_at",
        "oldest_age_seconds",
        "next_attempt_at",
        "sample_error",
    },
    "holds": {"channel", "address", "held_until", "held_for_seconds", "reason", "failures"},
    "input": {
        "newest_event_at",
        "newest_event_age_seconds",
        "silent_after_seconds",
        "is_silent",
        "silent_shards",
    },
    "silences": {
        "silence_id",
        "match",
        "starts_at",
        "ends_at",
        "comment",
        "created_by",
        "ended_at",
        "ended_by",
        "is_active",
        "alerts_held",
        "alerts_total",
    },
    "buttons": {"channel", "polled_by", "polled_until", "is_polled", "problem"},
}
"""As docs/ops.md lists them."""


def test_status_for_programs_has_the_keys_that_the_docs_list(house: House) -> None:
    house.configure(TELEGRAM, TICKET)
    house.skip()
    house.telegram.script(house.telegram.refusal(403, KICKED))
    house.tracker.script(house.tracker.refusal(500, "Internal Server Error"))
    assert house.cli("run", "--once").returncode == 0
    house.database.value("select scooters_ops.report_notifier('n1', 1, '0001')")

    finished = house.cli("status", "--json")

    assert (finished.returncode, finished.stderr) == (1, "")
    document = json.loads(finished.stdout)
    assert document["is_person_needed"]
    assert document["advice"] == ["Fix what the errors name, then: notifier retry --failed"]
    (notifier,) = document["notifiers"]
    assert (notifier["name"], notifier["is_alive"], notifier["leases"]) == ("n1", True, 0)
    assert [
        (row["channel"], row["address"], row["state"], row["recipients"], row["is_lower_bound"])
        for row in document["recipients"]
    ] == [("st", "DUTY", "retrying", 1, False), ("telegram", str(GROUP), "failed", 1, False)]
    assert 0 <= document["recipients"][0]["oldest_age_seconds"] < PATIENCE_SECONDS
    assert datetime.fromisoformat(document["as_of"]).tzinfo is not None

    page = (ROOT / "docs" / "ops.md").read_text("utf-8")
    assert document.keys() == KEYS_OF_STATUS.keys()
    for part, keys in KEYS_OF_STATUS.items():
        assert f"`{part}`" in page
        rows = document[part] if isinstance(document[part], list) else [document[part]]
        for row in rows if keys is not None else []:
            assert row.keys() == keys
        for key in keys or ():
            assert f"`{key}`" in page, key


def test_status_exits_1_when_something_is_due_and_no_notifier_is_alive(house: House) -> None:
    house.configure(
        TELEGRAM,
        notifier__poll_seconds=300,
        notifier__lease_seconds=300,
        notifier__stuck_after_seconds=86400,
    )
    house.skip()
    assert "No notifier is alive" not in house.cli("status").stdout
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = now() - interval '1 hour'"
    )
    alone = house.cli("status")
    assert alone.returncode == 1
    assert "No notifier is alive, and something is due" in alone.stdout
    house.database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    assert house.cli("status").returncode == 0


@pytest.mark.slow
def test_status_shows_a_running_notifier_and_forgets_one_that_stopped(house: House) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=0.1)
    seen = "select name, seen_at, leases from scooters_ops.notifier_status where is_alive"
    with subprocess.Popen(command("run"), env=house.environment, cwd=ROOT) as process:
        try:
            until(lambda: bool(house.database.rows(seen)))
            (first,) = house.database.rows(seen)
            until(lambda: house.database.rows(seen)[0]["seen_at"] > first["seen_at"])
            assert first["name"].split(":")[1] == str(process.pid)
            assert "Notifiers: 1 alive\n" in house.cli("status").stdout
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert house.database.rows("select name from scooters_ops.notifier_status") == []


def test_status_shows_a_dead_notifier_which_needs_nobody(house: House) -> None:
    house.configure(TELEGRAM, detection__enabled=False)
    house.skip()
    house.database.value("select scooters_ops.plan_deliveries(1)")
    house.lease("n1", "telegram", 60)
    for name in ("n1", "n2"):
        house.database.value("select scooters_ops.report_notifier(%s, 1, '0001')", name)
    house.database.connection.execute(
        "update scooters_ops.notifiers set seen_at = now() - interval '3 min' where name = 'n1'"
    )
    finished = house.cli("status")
    assert finished.returncode == 0
    heading, dead, alive = finished.stdout.splitlines()[1:4]
    assert heading == "Notifiers: 1 alive, 1 dead"
    assert re.fullmatch(
        r"  n1: dead, seen \d+ min ago, 1 leases, which come back by themselves", dead
    )
    assert re.fullmatch(r"  n2: seen \d+ s ago, 0 leases", alive)


def test_the_notifier_connects_with_jit_off(house: House) -> None:
    async def jit() -> str:
        database = await Database.connect(30)
        try:
            (row,) = await database.rows("show jit")
            return str(row["jit"])
        finally:
            await database.close()

    house.database.connection.execute(f"alter database {house.database.name} set jit = on")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", house.conninfo)
        assert asyncio.run(jit()) == "off"


# --- retry -------------------------------------------------------------------------------------


def test_retry_revives_one_notification_or_all(house: House) -> None:
    house.configure(TELEGRAM, TICKET)
    tokens = house.skip_many(2)
    house.telegram.script(*[house.telegram.refusal(403, KICKED)] * 2)
    assert house.cli("run", "--once").returncode == 0
    assert house.states() == ["failed", "sent"] * 2

    finished = house.cli("retry", tokens[1])
    assert_done(finished)
    assert finished.stdout == "1 deliveries will be tried again\n"
    assert house.cli("run", "--once").returncode == 0
    assert house.states() == ["failed", "sent", "sent", "sent"]

    assert house.cli("retry", "--failed").stdout == "1 deliveries will be tried again\n"
    assert house.cli("run", "--once").returncode == 0
    assert house.is_sent()
    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (2, 2)


def test_retry_of_one_channel_leaves_the_others_alone(house: House) -> None:
    house.configure(TELEGRAM, TICKET)
    token, _ = house.skip_many(2)
    house.telegram.script(*[house.telegram.refusal(403, KICKED)] * 2)
    house.tracker.script(*[house.tracker.refusal(403, "Forbidden")] * 2)
    assert house.cli("run", "--once").returncode == 0
    assert house.states() == ["failed"] * 4

    finished = house.cli("retry", token, "--channel", "telegram")
    assert_done(finished)
    assert finished.stdout == "1 deliveries will be tried again\n"
    assert house.states() == ["pending", "failed", "failed", "failed"]

    finished = house.cli("retry", "--failed", "--channel", "st")
    assert_done(finished)
    assert finished.stdout == "2 deliveries will be tried again\n"
    assert house.states() == ["pending", "pending", "failed", "pending"]


def test_retry_as_sent_records_a_doubtful_recipient_as_sent_and_sends_nothing(
    house: House,
) -> None:
    house.configure(TELEGRAM, channels__telegram__in_doubt="hold")
    token = house.skip()
    house.telegram.script(RESET_AFTER)
    assert house.cli("run", "--once").returncode == 0
    assert house.states() == ["in_doubt"]

    finished = house.cli("retry", token, "--as-sent", "--channel", "telegram")
    assert_done(finished)
    assert finished.stdout == "1 recipients recorded as sent\n"
    assert house.cli("run", "--once").returncode == 0
    assert house.is_sent()
    assert len(house.telegram.messages) == 1


def test_retry_of_an_unknown_token_is_refused(house: House) -> None:
    assert_refused(house.cli("retry", "m9_p1_j1_job_skipped"), 'no notification "m9_p1_j1_job_')


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["deliver"],
        ["retry"],
        ["retry", "t", "--failed"],
        ["retry", "--failed", "--as-sent"],
        ["retry", "--channel", "st"],
        ["retry", "t", "--channel", "pigeon"],
        ["preview", "late"],
    ],
)
def test_an_unknown_command_shows_the_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: notifier ")


def test_an_unreachable_database_is_reported_in_one_line(house: House) -> None:
    for arguments in (["run"], ["run", "--once"], ["status"], ["retry", "--failed"]):
        assert_refused(house.cli(*arguments, PGPORT="1"), "no database", "port 1", "refused")


def test_libpqs_hint_is_a_sentence_of_its_own(house: House) -> None:
    ended = house.cli("status", PGHOST="127.0.0.1", PGPORT="1")
    assert_refused(ended, "Connection refused. Is the server running on that host")


@pytest.mark.parametrize(
    ("url", "culprit"),
    [
        ("host=127.0.0.1,127.0.0.2 port=1", "Connection refused"),
        ("postgresq://127.0.0.1/db", "DATABASE_URL"),
        ("postgresql://127.0.0.1:port/db", "DATABASE_URL"),
        ("host=/nowhere", "/nowhere"),
    ],
)
def test_a_bad_database_url_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, culprit: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["status"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("notifier: ")
    assert culprit in line


def test_a_database_that_does_not_exist_is_named(house: House) -> None:
    assert_refused(
        house.cli("status", PGDATABASE="no_such_database"),
        'database "no_such_database" does not exist',
    )


def test_database_url_takes_precedence_over_libpqs_variables(house: House) -> None:
    finished = house.cli("config", "show", DATABASE_URL=house.conninfo, PGPORT="1")
    assert_done(finished)


def test_a_database_that_was_never_migrated_is_named(house: House) -> None:
    for arguments in (["run", "--once"], ["status"]):
        assert_refused(
            house.cli(*arguments, PGDATABASE="postgres"),
            "database 'postgres' was never migrated: make migrate",
        )


def test_a_database_that_a_newer_version_migrated_is_refused(house: House) -> None:
    house.skip()
    house.database.connection.execute(
        "insert into scooters_ops._yoyo_migration (migration_hash, migration_id)"
        " values ('9', '9999_of_tomorrow')"
    )
    for arguments in (["run", "--once"], ["status"]):
        assert_refused(house.cli(*arguments), house.database.name, "newer", "9999_of_tomorrow")
    assert house.telegram.calls == []


@pytest.mark.slow
def test_a_database_that_lacks_a_migration_is_refused(house: House, checkout: Path) -> None:
    (checkout / "migrations/9999_of_today.sql").write_text("select 1;\n")
    assert_refused(
        house.process_in(checkout, "run", "--once"),
        house.database.name,
        "lacks the migration 9999_of_today: make migrate",
    )


def test_a_missing_secret_is_named_and_nothing_is_sent(house: House) -> None:
    house.skip()
    for name, value in (
        ("TELEGRAM_BOT_TOKEN", None),
        ("TRACKER_TOKEN", " "),
        ("TRACKER_ORG_ID", None),
    ):
        assert_refused(house.cli("run", "--once", **{name: value}), f"secret {name} is missing")
    assert house.states() == []


def test_a_role_that_is_not_a_notifier_is_refused(house: House) -> None:
    house.database.connection.execute(
        "do $$ begin create role nobody_special login;"
        " exception when duplicate_object then null; end $$"
    )
    assert_refused(house.cli("run", "--once", PGUSER="nobody_special"), "permission denied")
