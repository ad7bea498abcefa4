"""notifier test: a message to see whether messages arrive, and nothing of it afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.config import ConfigError
from notifier.resources import ROOT
from notifier.test_message import facts, named_by, recipient
from sandbox.standins import page
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import (
    GROUP,
    LOST_GROUP,
    OTHER_GROUP,
    SLOW_RETRY,
    TELEGRAM,
    TICKET,
    House,
    command,
    running,
)

CHAT = f"chat_id={GROUP}"


@contextmanager
def alive(house: House) -> Iterator[None]:
    """Inside, a notifier runs beside the command."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        async with running():
            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            started.set_result((loop, over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    loop, over = started.result(PATIENCE_SECONDS)
    try:
        until(lambda: house.database.value("select count(*) from scooters_ops.notifier_status"))
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE_SECONDS)


def assert_nothing_remains(database: TestDatabase) -> None:
    assert database.value("select count(*) from scooters_ops.monitoring_notifications") == 0
    assert database.value("select count(*) from scooters_ops.notification_recipients") == 0


# --- Through the queue -------------------------------------------------------------------------


def test_a_test_arrives_and_nothing_of_it_remains(house: House) -> None:
    house.configure(TELEGRAM, channels__telegram__buttons=True)
    with alive(house):
        finished = house.cli("test", "telegram", CHAT)
    assert finished.returncode == 0
    assert finished.stdout == f"telegram {CHAT}: sent, 1\n"
    (message,) = house.telegram.messages
    assert "Test message: nothing has happened" in message.text
    assert "test__" in message.text
    assert message.buttons == {}
    assert_nothing_remains(house.database)
    planned = house.database.rows("select * from scooters_ops.planned_totals()")
    assert {row["planned"] for row in planned} == {0}
    assert "test" not in {row["type"] for row in planned}


def test_every_recipient_that_a_route_or_a_level_names_is_told_once(house: House) -> None:
    other = {"type": "telegram", "chat_id": OTHER_GROUP}
    house.configure(
        routes=[
            {
                "match": {"type": "job_skipped", "city": "Moscow"},
                "recipients": [TELEGRAM],
                "escalate": [{"after_seconds": 60, "recipients": [TICKET, TELEGRAM]}],
                "continue": True,
            },
            {"match": {"city": "Omsk"}, "recipients": [other]},
            {"match": {"type": "job_skipped"}, "recipients": [TELEGRAM]},
        ]
    )
    with alive(house):
        by_route = house.cli("test", "--route", "type=job_skipped", "city=Moscow")
        to_all = house.cli("test", "--all", "--output", "json")
        nowhere = house.cli("test", "--route", "type=timeout_in_point", "city=Kursk")
    assert by_route.stdout == f"telegram {CHAT}: sent, 1\nst queue=DUTY: sent, DUTY-1\n"
    arrivals = json.loads(to_all.stdout)
    assert [arrival["target"] for arrival in arrivals] == [TELEGRAM, TICKET, other]
    assert {arrival["state"] for arrival in arrivals} == {"sent"}
    assert (by_route.returncode, to_all.returncode) == (0, 0)
    assert nowhere.returncode == 2
    assert nowhere.stderr == "notifier: no route matches these facts\n"
    (first, second) = house.tracker.tickets
    assert first.unique != second.unique
    assert first.summary.startswith("Test, please close")


def test_what_does_not_arrive_is_said_with_its_reason(house: House) -> None:
    house.configure(notifier__retry=SLOW_RETRY)
    with alive(house):
        refused = house.cli("test", "telegram", f"chat_id={LOST_GROUP}")
        house.tracker.script(page(503))
        late = house.cli("test", "st", "queue=DUTY", "--wait", "1")
    assert (refused.returncode, late.returncode) == (1, 1)
    assert refused.stdout.startswith(f"telegram chat_id={LOST_GROUP}: failed, HTTP 403")
    assert late.stdout.startswith("st queue=DUTY: retrying, HTTP 503")
    assert_nothing_remains(house.database)


def test_without_a_notifier_nothing_is_sent(house: House) -> None:
    finished = house.cli("test", "telegram", CHAT)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("notifier: no notifier is alive, so nothing was sent")
    assert_nothing_remains(house.database)


def test_a_test_that_is_interrupted_leaves_nothing(house: House) -> None:
    house.database.value("select scooters_ops.report_notifier('deaf', 1, '0017_steps')")
    with subprocess.Popen(
        command("test", "telegram", CHAT),
        env=os.environ | house.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: house.states() or house.database.value(WAITING))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (1, "")
    assert output == f"telegram {CHAT}: pending, no notifier has taken it yet\n"
    assert_nothing_remains(house.database)


WAITING = "select count(*) from scooters_ops.notification_recipients"


def test_a_test_that_nobody_ended_is_pruned_after_a_day(house: House) -> None:
    database = house.database
    for _ in range(2):
        database.value(
            "select scooters_ops.send_test(%s, 'galina', 'duty-1')", json.dumps([TELEGRAM])
        )
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = now() - interval '25 hours'"
        " where notification_id = (select min(notification_id)"
        " from scooters_ops.monitoring_notifications)"
    )
    database.value("select scooters_ops.prune_bookkeeping()")
    assert database.value(WAITING) == 1


def test_a_test_is_no_notification_that_can_be_acknowledged(house: House) -> None:
    token = house.database.value(
        "select scooters_ops.send_test(%s, 'galina', 'duty-1')", json.dumps([TELEGRAM])
    )
    finished = house.cli("acknowledge", token)
    assert finished.returncode == 2
    assert finished.stderr == f'notifier: no notification "{token}" (SQLSTATE P0002)\n'


def test_the_database_names_what_is_wrong_with_a_recipient(house: House) -> None:
    house.configure(TELEGRAM, channels__st=None)
    for recipients, problem in (
        ("[]", "recipients: must be 1 to 1000"),
        ("{}", "recipients: must be array, not object"),
        ('[{"type": "sms"}]', "recipients[0].type: must be one of st, telegram"),
        ('[{"type": "telegram"}]', "recipients[0].chat_id: missing"),
        ('[{"type": "st", "queue": "DUTY"}]', "recipients[0].type: channel 'st' is not configured"),
    ):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=re.escape(problem)):
            house.database.value("select scooters_ops.send_test(%s, 'g', 'h')", recipients)


# --- Without the database ------------------------------------------------------------------------


def test_a_direct_test_needs_no_database(house: House, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(house.document(TELEGRAM, TICKET)), "utf-8")
    options = ("--direct", "--config", str(file))
    nowhere = {"DATABASE_URL": "postgresql://nowhere.invalid/x", "PGHOST": None}
    to_all = house.cli("test", "--all", *options, **nowhere)
    refused = house.cli("test", "telegram", f"chat_id={LOST_GROUP}", *options, **nowhere)
    assert (to_all.returncode, to_all.stderr) == (0, "")
    assert to_all.stdout == f"telegram {CHAT}: sent, 1\nst queue=DUTY: sent, DUTY-1\n"
    assert refused.returncode == 1
    assert refused.stdout.startswith(f"telegram chat_id={LOST_GROUP}: failed, HTTP 403")
    assert_nothing_remains(house.database)


# --- Bad input -----------------------------------------------------------------------------------


BAD_ARGUMENTS: list[tuple[tuple[str, ...], str]] = [
    ((), "test needs a CHANNEL"),
    (("sms", "number=1"), "CHANNEL must be one of telegram, st"),
    (("--all", "telegram"), "test --all takes no recipient"),
    (("--route",), "test --route needs facts"),
    (("--route", "type=job_skipped", "--direct"), "leave out --direct"),
    (("telegram", CHAT, "--config", "config.json"), "--config FILE needs --direct"),
    (("telegram", CHAT, "--wait", "soon"), "must be a number of seconds"),
    (("telegram", "chatid=-1"), "chatid: unknown key"),
    (("telegram", "-1001"), "'-1001' is not of the form key=value"),
    (("telegram", "1001"), "'1001' is not of the form key=value"),
    (("telegram", "chat_id=0"), "chat_id: must be a number other than 0"),
    (("telegram", CHAT, "message_thread_id=x"), "message_thread_id: must be a valid integer"),
    (("telegram", CHAT, CHAT), "chat_id: given twice"),
    (("st", "queue=two words"), "queue: must be"),
    (("--route", "city=Moscow"), "type: must be one of timeout_in_point"),
]


def test_bad_arguments_are_named_and_nothing_is_sent(house: House) -> None:
    for arguments, problem in BAD_ARGUMENTS:
        finished = house.cli("test", *arguments)
        assert finished.returncode == 2, arguments
        assert problem in finished.stderr
    assert_nothing_remains(house.database)


def test_numbers_are_numbers_where_the_channel_wants_them() -> None:
    assert recipient("telegram", ["chat_id=-1001", "message_thread_id=7"]) == {
        **TELEGRAM,
        "message_thread_id": 7,
    }
    assert recipient("telegram", ["chat_id=@moscow"])["chat_id"] == "@moscow"
    with pytest.raises(ConfigError):
        recipient("st", ["queue=7"])
    assert facts(["type=job_skipped", "job_type=pickup", "zone=7", 'city="7"', "vip=true"]) == {
        "type": "job_skipped",
        "job_type": "pickup",
        "mission_id": None,
        "point_id": None,
        "performer_id": None,
        "attributes": {"zone": 7, "city": "7", "vip": True},
    }


def test_a_recipient_that_is_named_twice_is_told_once() -> None:
    routes: list[dict[str, Any]] = [
        {"recipients": [TELEGRAM, TICKET]},
        {"recipients": [dict(reversed(TELEGRAM.items()))]},
    ]
    assert named_by(routes) == [TELEGRAM, TICKET]
