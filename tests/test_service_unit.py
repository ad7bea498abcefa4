"""The systemd unit, and `make service`, which installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from notifier.database.connection import CONNECT_SECONDS, GRACE_SECONDS
from notifier.delivery.notifier import STATEMENT_SECONDS
from notifier.delivery.outage import RECONNECT
from notifier.resources import ROOT
from tests.conftest import CONFIG

UNIT = (ROOT / "deploy" / "scooters-notifier.service").read_text("utf-8")
OPS_PAGE = (ROOT / "docs" / "ops.md").read_text("utf-8")
MAX_EXPOSURE = 1.3
"""Out of 10. What remains is mostly the network, which the notifier needs."""


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (Debian: package systemd)",
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder into which `make service` has installed the unit."""
    folder = tmp_path / "system"
    make_service(folder)
    return folder


@pytest.fixture
def any_unit(installed: Path, request: pytest.FixtureRequest) -> Path:
    """The installed unit, or the installed template unit."""
    if request.param == "plain":
        return unit_of(installed)
    make_service(installed, shard="shard3")
    return template_of(installed)


both_units = pytest.mark.parametrize("any_unit", ["plain", "template"], indirect=True)


def make_service(folder: Path, shard: str = "") -> None:
    subprocess.run(
        ["sh", "deploy/service.sh"],
        cwd=ROOT,
        env=os.environ | {"DESTDIR": str(folder), "SHARD": shard},
        check=True,
    )


def template_of(folder: Path) -> Path:
    return folder / "etc/systemd/system/scooters-notifier@.service"


def unit_of(folder: Path) -> Path:
    return folder / "etc/systemd/system/scooters-notifier.service"


def settings(name: str) -> list[str]:
    """The values of a setting in the unit, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def seconds(name: str) -> float:
    (value,) = settings(name)
    return float(value.removesuffix("s"))


@needs_systemd
@both_units
def test_systemd_accepts_the_unit(any_unit: Path) -> None:
    finished = subprocess.run(
        ["systemd-analyze", "verify", any_unit], capture_output=True, text=True
    )
    about_it = [line for line in finished.stderr.splitlines() if "scooters" in line]
    assert (finished.returncode, about_it) == (0, [])


@needs_systemd
@both_units
def test_the_services_exposure_is_low(any_unit: Path) -> None:
    finished = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--no-pager",
            "--offline=true",
            f"--threshold={round(MAX_EXPOSURE * 10)}",
            any_unit,
        ],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_the_watchdog_allows_for_the_slowest_cycle() -> None:
    slowest = RECONNECT.max_seconds + CONNECT_SECONDS + STATEMENT_SECONDS + GRACE_SECONDS
    assert seconds("WatchdogSec") > slowest
    assert seconds("TimeoutStartSec") > slowest
    channels = [channel["timeout_seconds"] for channel in CONFIG["channels"].values()]
    assert seconds("TimeoutStopSec") > max(channels) + CONFIG["notifier"]["lease_seconds"]


def test_every_secret_in_the_config_is_a_credential() -> None:
    names = {
        value
        for channel in CONFIG["channels"].values()
        for key, value in channel.items()
        if key.endswith("_env")
    }
    names.add(CONFIG["http"]["token_env"])
    credentials = dict(value.split(":") for value in settings("LoadCredential"))
    assert credentials == {name: f"/etc/scooters-notifier/{name}" for name in names}


def test_make_service_installs_the_unit_for_this_checkout_and_private_files(
    installed: Path,
) -> None:
    unit = unit_of(installed).read_text("utf-8")
    assert f"\nExecStart={ROOT}/bin/notifier run $NOTIFIER_OPTIONS\n" in unit
    assert f"\nWorkingDirectory={ROOT}\n" in unit
    assert "/opt/scooters-ops" not in unit.partition("[Unit]")[2]
    folder = installed / "etc/scooters-notifier"
    files = {path.name: path for path in folder.iterdir()}
    named = [value.partition(":")[2] for value in settings("LoadCredential")]
    named += [*settings("EnvironmentFile"), settings("Environment")[0].partition("=")[2]]
    assert sorted(files) == sorted(Path(path).name for path in named)
    assert all(Path(path).parent == Path("/etc/scooters-notifier") for path in named)
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}


def test_running_make_service_again_keeps_what_was_filled_in(installed: Path) -> None:
    secret = installed / "etc/scooters-notifier/TELEGRAM_BOT_TOKEN"
    secret.write_text("110201543:secret")
    unit_of(installed).write_text("old")
    make_service(installed)
    assert secret.read_text() == "110201543:secret"
    assert unit_of(installed).read_text("utf-8").startswith("# The notifier as a systemd service.")


def test_the_template_differs_from_the_unit_in_its_environment_only(installed: Path) -> None:
    make_service(installed, shard="shard3")
    plain, template = (
        path.read_text("utf-8").partition("[Unit]")[2].splitlines()
        for path in (unit_of(installed), template_of(installed))
    )
    differing = [pair for pair in zip(plain, template, strict=True) if pair[0] != pair[1]]
    assert differing == [
        (
            f"Description={settings('Description')[0]}",
            f"Description={settings('Description')[0]} (%i)",
        ),
        (
            "EnvironmentFile=/etc/scooters-notifier/environment",
            "EnvironmentFile=/etc/scooters-notifier/%i/environment",
        ),
    ]
    environment = installed / "etc/scooters-notifier/shard3/environment"
    assert environment.stat().st_mode & 0o777 == 0o600
    assert "\nPGDATABASE=" in environment.read_text("utf-8")


def test_a_shards_name_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        make_service(tmp_path, shard="../shard")
    assert [*tmp_path.iterdir()] == []


def test_the_installed_environment_names_the_units_user() -> None:
    (user,) = settings("User")
    environment = (ROOT / "deploy" / "environment").read_text("utf-8")
    assert f"\nPGUSER={user}\n" in environment
    assert f"\nuser={user}\n" in (ROOT / "deploy" / "service.sh").read_text("utf-8")
    assert f"create role {user} login in role scooters_ops_notifier" in OPS_PAGE
