"""No output holds a secret. Commands run at the most verbose log level; then every output and every
column of the database is searched for the tokens and passwords."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from notifier import cli
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from sandbox.standins import RESET_AFTER, Fault, json_reply, page
from tests.conftest import TestDatabase, until
from tests.delivery_rigs import LOGIN, SECRETS, TELEGRAM, TICKET, House, make_house

pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-battery"
PROXY_AUTH = "proxy-user:proxy-staple"
LOCKED_OUT = "locked_out"
"""A user who must give a password and has none."""


@dataclass
class Listener:
    """Runs commands and keeps what they print."""

    house: House
    url: str
    heard: list[str] = field(default_factory=list)

    def run(
        self, *arguments: str, checkout: Path = ROOT, **changes: Any
    ) -> subprocess.CompletedProcess[str]:
        """`notifier --log-level debug ARGUMENTS`, with the password in DATABASE_URL."""
        changes = {"DATABASE_URL": self.url, "PROXY_AUTH": PROXY_AUTH, **changes}
        finished = self.house.process_in(checkout, "--log-level", "debug", *arguments, **changes)
        self.heard += [finished.stdout, finished.stderr]
        return finished

    def stored(self) -> list[str]:
        """Every row of every table of the database, as text."""
        tables = self.house.database.values(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        assert "scooters_ops.notification_recipients" in tables
        return [
            row
            for table in tables
            for row in self.house.database.values(f"select t::text from {table} as t")
        ]

    def assert_no_secret(self, *more: str) -> None:
        """Not even part of one: a token has two parts, and a URL may cut a password in two."""
        bot, _, key = SECRETS["TELEGRAM_BOT_TOKEN"].partition(":")
        secrets = {key, SECRETS["TRACKER_TOKEN"], PASSWORD, PROXY_AUTH.partition(":")[2], *more}
        secrets |= {f"{bot}:", quote(f"{bot}:", safe=""), SECRETS["TRACKER_ORG_ID"]}
        for text in [*self.heard, *self.stored()]:
            assert "Traceback" not in text
            for secret in secrets:
                assert secret not in text


@pytest.fixture
def listener(database: TestDatabase) -> Iterator[Listener]:
    with make_house(database) as house:
        url = f"postgresql://{LOGIN}:{PASSWORD}@127.0.0.1:{database.cluster.port}/{database.name}"
        yield Listener(house, url)


@pytest.fixture(scope="module")
def _locked_out(cluster: Postgres) -> None:
    """Makes the server ask LOCKED_OUT for a password from now on."""
    hba = Path(cluster.get_data_directory()) / "pg_hba.conf"
    hba.write_text(f"host all {LOCKED_OUT} 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create role {LOCKED_OUT} login password 'another'")
        admin.execute("select pg_reload_conf()")
    locked_out = make_conninfo(cluster.conninfo("postgres"), user=LOCKED_OUT)

    def is_locked_out() -> bool:
        try:
            psycopg.connect(locked_out).close()
        except psycopg.OperationalError:
            return True
        return False

    until(is_locked_out)


def test_successful_commands_show_no_secret(listener: Listener) -> None:
    listener.house.skip()
    assert listener.run("run", "--once").returncode == 0
    assert listener.house.is_sent()
    assert listener.run("status").returncode == 0
    assert listener.run("config", "show").returncode == 0
    assert listener.run("retry", "--failed").returncode == 0
    token = "m1_p1_j1_job_skipped"
    assert listener.run("preview", "job_skipped", "--token", token).returncode == 0
    assert listener.run("--help").returncode == 0
    assert "DEBUG" in listener.heard[1]
    listener.assert_no_secret()


def test_failures_show_no_secret_even_if_the_server_repeats_it(
    listener: Listener,
) -> None:
    house = listener.house
    house.configure(TELEGRAM, TICKET)
    telegram, tracker = SECRETS["TELEGRAM_BOT_TOKEN"], SECRETS["TRACKER_TOKEN"]

    def refusals(status: int) -> tuple[Fault, Fault]:
        return (
            house.telegram.refusal(status, f"/bot{telegram}/ {quote(telegram, safe='')}: no"),
            house.tracker.refusal(status, f"OAuth {tracker} of {SECRETS['TRACKER_ORG_ID']}: no"),
        )

    redirect = Fault(reply=json_reply(307, {}, {"Location": f"http://127.0.0.1/bot{telegram}/"}))
    for of_telegram, of_tracker in (
        *map(refusals, (401, 403, 404, 500)),
        (RESET_AFTER, page(502)),
        (redirect, Fault(reply=json_reply(201, {"key": f"DUTY-{tracker}"}))),
    ):
        house.telegram.script(of_telegram)
        house.tracker.script(of_tracker)
    house.skip_many(6)
    assert listener.run("run", "--once").returncode == 0
    assert {*house.states("telegram")} == {"failed", "pending"}
    assert {*house.states("st")} == {"failed", "pending", "sent"}

    assert listener.run("status").returncode == 1
    assert listener.run("retry", "--failed").returncode == 0
    errors = [row["last_error"] for row in house.deliveries() if row["last_error"]]
    assert any("***" in error for error in errors)
    listener.assert_no_secret()


def test_unreachable_servers_show_no_secret(listener: Listener) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
        house = listener.house
        unreachable = {
            "channels__telegram__base_url": f"http://{nowhere}",
            "channels__st__base_url": f"http://{nowhere}",
        }
        house.configure(TELEGRAM, TICKET, **unreachable)
        house.skip("m1")
        assert listener.run("run", "--once").returncode == 0
        through_proxy = {
            "channels__telegram__proxy": f"http://{nowhere}",
            "channels__telegram__proxy_auth_env": "PROXY_AUTH",
        }
        house.configure(TELEGRAM, TICKET, **unreachable, **through_proxy)
        house.make_due()
        assert listener.run("run", "--once").returncode == 0
    assert house.states() == ["pending", "pending"]
    assert all("not sent" in row["last_error"] for row in house.deliveries())
    listener.assert_no_secret()


def test_a_proxy_that_refuses_us_and_malformed_proxy_credentials_show_no_secret(
    listener: Listener,
) -> None:
    house = listener.house
    house.configure(
        TELEGRAM,
        channels__telegram__base_url="https://127.0.0.1:1",
        channels__telegram__proxy=house.tracker.base_url,  # does not support CONNECT
        channels__telegram__proxy_auth_env="PROXY_AUTH",
    )
    house.skip()
    assert listener.run("run", "--once").returncode == 0
    assert house.states() == ["pending"]
    assert listener.run("run", "--once", PROXY_AUTH="no-colon-staple").returncode == 2
    listener.assert_no_secret("no-colon-staple")


def test_failing_templates_show_no_secret(listener: Listener, tmp_path: Path) -> None:
    for folder in ("notifier", "templates", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("telegram.text.j2", "st.summary.j2"):
        text = "{{ environ.TELEGRAM_BOT_TOKEN }}{{ self.__class__.__mro__ }}"
        (tmp_path / "templates/en/job_skipped" / name).write_text(text)
    listener.house.skip()
    assert listener.run("run", "--once", checkout=tmp_path).returncode == 0
    assert listener.house.states() == ["pending", "pending"]  # blocked
    listener.assert_no_secret()


def test_unusable_secrets_are_not_shown(listener: Listener, tmp_path: Path) -> None:
    listener.house.skip()
    for value in ("two words-staple", "кот-staple"):
        assert listener.run("run", "--once", TRACKER_TOKEN=value).returncode == 2
    (tmp_path / "TRACKER_TOKEN").write_bytes(b"\xff-staple")
    finished = listener.run(
        "run", "--once", TRACKER_TOKEN=None, CREDENTIALS_DIRECTORY=str(tmp_path)
    )
    assert finished.returncode == 2
    listener.assert_no_secret("-staple")


@pytest.mark.usefixtures("_locked_out")
def test_a_wrong_password_is_not_shown(listener: Listener) -> None:
    port, name = listener.house.database.cluster.port, listener.house.database.name
    url = f"postgresql://{LOCKED_OUT}:{PASSWORD}@127.0.0.1:{port}/{name}"
    for arguments in (["run"], ["run", "--once"], ["status"], ["config", "show"]):
        finished = listener.run(*arguments, DATABASE_URL=url)
        assert finished.returncode == 2
        assert "password authentication failed" in finished.stderr
    listener.assert_no_secret()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresq://u:{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://u:{PASSWORD}%zz@127.0.0.1:1/db",
        f"postgresql://u:{PASSWORD}/1@127.0.0.1:1/db",
        f"postgresql://u:1/{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://u:1@{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://u:{PASSWORD}@[::1/db",
        f"host=127.0.0.1 port=1 password=1 {PASSWORD}",
        f"host=127.0.0.1 port=1 password='{PASSWORD}",
    ],
)
def test_an_unreadable_database_url_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert cli.main(["--log-level", "debug", "status"]) == 2
    assert cli.main(["migrate"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 3  # asyncio's own line for debuggers, and ours
    assert PASSWORD not in shown.err


def test_the_search_would_find_a_secret(listener: Listener) -> None:
    """Otherwise the tests above prove nothing."""
    listener.assert_no_secret()
    listener.heard.append(f"https://api.telegram.org/bot{SECRETS['TELEGRAM_BOT_TOKEN']}/")
    with pytest.raises(AssertionError):
        listener.assert_no_secret()
    listener.heard.clear()
    document = listener.house.document()
    document["detection"]["job_eta_seconds"][PASSWORD] = 1
    listener.house.database.value("select scooters_ops.apply_config(%s)", json.dumps(document))
    with pytest.raises(AssertionError):
        listener.assert_no_secret()
