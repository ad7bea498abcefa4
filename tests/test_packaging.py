"""The wheel, installed into an environment of its own, does what a checkout does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener
from zipfile import ZipFile

import psycopg
import pytest

from notifier import __version__
from notifier.database.schema_version import known_migrations
from notifier.resources import CONFIG, MIGRATIONS, ROOT, SQL, TEMPLATES
from sandbox.postgres import Postgres
from sandbox.standins import Chat, TelegramStandIn, TrackerStandIn
from tests.conftest import PATIENCE_SECONDS, TestDatabase, config
from tests.upgrade_rigs import mission, new_database

pytestmark = pytest.mark.slow

SECRETS = {"TELEGRAM_BOT_TOKEN": "1:a", "TRACKER_TOKEN": "b", "TRACKER_ORG_ID": "c"}
HTTP_TOKEN = {"SCOOTERS_OPS_HTTP_TOKEN": "d"}
GROUP = -1001


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network by the hatchling of requirements-dev.txt."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(
        "wheel", "--no-build-isolation", "--check-build-dependencies", f"--wheel-dir={folder}", ROOT
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment that has the wheel, and from ours only the dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip("--python", python, "install", wheel)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "notifier"


def pip(*arguments: str | Path) -> None:
    """pip ARGUMENTS, without the network."""
    subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_QUIET": "1"},
        check=True,
        timeout=PATIENCE_SECONDS,
    )


@pytest.fixture
def empty(cluster: Postgres) -> Iterator[TestDatabase]:
    with new_database(cluster) as database:
        yield database


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder.parent).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_wheel_holds_the_package_and_its_resources_and_nothing_else(wheel: Path) -> None:
    resources = {
        CONFIG.name: CONFIG.read_bytes(),
        "config.schema.json": (ROOT / "config.schema.json").read_bytes(),
    }
    for folder in (MIGRATIONS, SQL, TEMPLATES):
        resources |= files_below(folder)
    expected = files_below(ROOT / "notifier")
    expected |= {f"notifier/_resources/{name}": content for name, content in resources.items()}
    with ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    metadata = f"scooters_ops-{__version__}.dist-info/"
    assert {name: packed[name] for name in packed if not name.startswith(metadata)} == expected


def test_the_installed_wheel_detects_and_delivers_like_a_checkout(
    installed: Path, empty: TestDatabase, tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], **empty.environment, **SECRETS}

    def notifier(*arguments: str | Path) -> str:
        finished = subprocess.run(
            [installed, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    assert notifier("--version").startswith(f"notifier {__version__}, ")
    first, second = notifier("migrate").splitlines()
    assert first == f"migrated: {', '.join(known_migrations())}; sql/ installed"
    assert second.startswith(f"{installed.parent.parent.resolve()}/lib/")
    assert second.endswith("/notifier/_resources/config.json: in force as config 1")

    with (
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], [Chat(GROUP)]) as telegram,
        TrackerStandIn(
            SECRETS["TRACKER_TOKEN"], organization=("X-Org-ID", SECRETS["TRACKER_ORG_ID"])
        ) as tracker,
    ):
        file = tmp_path / "config.json"
        recipients = [{"type": "telegram", "chat_id": GROUP}, {"type": "st", "queue": "DUTY"}]
        document = config(
            channels__telegram__base_url=telegram.base_url,
            channels__st__base_url=tracker.base_url,
            routes=[{"match": {}, "recipients": recipients}],
        )
        file.write_text(json.dumps(document))
        assert notifier("config", "apply", file) == f"{file}: in force as config 2\n"

        empty.value("select scooters_ops.create_mission(%s)", json.dumps(mission("m1")))
        empty.value(
            "select scooters_ops.record_event("
            "'m1', 'mission_started', occurred_at => now() - interval '1 hour')"
        )
        assert empty.value("select scooters_ops.detect_timeouts()") == 1
        assert "Nothing needs a person." in notifier("status")
        notifier("run", "--once")
        assert len(telegram.messages) == len(tracker.tickets) == 1
    assert empty.values("select completed from scooters_ops.monitoring_notifications") == [True]
    assert json.loads(notifier("status", "--output", "json"))["detection"]
    assert 'id="late_by_city"' in notifier("report", "--since", "1d")


def test_the_installed_wheel_schedules_detection_by_psql(
    installed: Path, database: TestDatabase
) -> None:
    def notifier(*arguments: str) -> str:
        return subprocess.check_output(
            [installed, *arguments],
            env={"PATH": os.environ["PATH"], **database.environment},
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
        jobs = "select count(*) from cron.job where database = %s"
        try:
            notifier("schedule", "--wait", "0")
            assert admin.execute(jobs, (database.name,)).fetchone() != (0,)
            notifier("unschedule")
            assert admin.execute(jobs, (database.name,)).fetchone() == (0,)
        finally:
            admin.execute("select cron.unschedule(jobid) from cron.job")
    assert notifier("psql", "-At", "-c", "select current_database()") == f"{database.name}\n"


def test_the_installed_wheel_serves_the_board(installed: Path, database: TestDatabase) -> None:
    with subprocess.Popen(
        [installed, "serve", "--listen", "127.0.0.1:0"],
        env={"PATH": os.environ["PATH"], **database.environment, **HTTP_TOKEN},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = next((line for line in process.stderr if " listening " in line), "")
            address = re.search(r" address=(\S+)", said)
            assert address is not None
            opener = build_opener(ProxyHandler({}))
            for path in ("/board", "/openapi.json"):
                url = f"http://{address[1]}{path}"
                with opener.open(url, timeout=PATIENCE_SECONDS) as answer:
                    assert answer.status == 200
        finally:
            process.terminate()
    assert process.returncode == 0
