"""The command line's forms of output, its version, and the options it refuses."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from notifier import __version__
from notifier.channels import CHANNELS
from notifier.cli import main
from notifier.database.schema_version import known_migrations
from notifier.notification_types import NOTIFICATION_TYPES
from tests.conftest import PATIENCE_SECONDS, TestDatabase
from tests.delivery_rigs import command


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def test_the_version_names_the_program_and_the_migration_that_it_expects(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == (
        f"notifier {__version__}, for a database at migration {known_migrations()[-1]}\n"
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--log", "debug", "status"),
        ("status", "--out", "json"),
        ("status", "--js"),
        ("run", "--onc"),
        ("preview", "job_skipped", "--chan", "st"),
        ("retry", "--fail"),
        ("schedule", "--wai", "0"),
    ],
)
def test_an_abbreviated_option_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert exit_code(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: notifier ")


def test_status_takes_json_or_jobs_but_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    for form in (("--json",), ("--output", "json")):
        assert exit_code("status", *form, "--jobs") == 2
        assert "not allowed with argument" in capsys.readouterr().err


def test_status_prints_the_same_json_by_either_option(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    database.value("select scooters_ops.detect_timeouts()")
    documents = []
    for form in (("--json",), ("--output", "json")):
        assert main(["status", *form]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0].keys() == documents[1].keys()
    assert "detection" in documents[0]
    assert main(["status", "--output", "text"]) == 0
    assert capsys.readouterr().out.startswith("Detection: ")


def test_config_show_prints_json_by_default_and_by_option(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    in_force = database.value("select config from scooters_ops.config_in_force")
    for form in ((), ("--output", "json")):
        assert main(["config", "show", *form]) == 0
        assert json.loads(capsys.readouterr().out) == in_force


@pytest.mark.parametrize("type", NOTIFICATION_TYPES)
def test_preview_as_json_holds_the_parts_of_each_channel(
    capsys: pytest.CaptureFixture[str], type: str
) -> None:
    assert main(["preview", type]) == 0
    as_text = capsys.readouterr().out
    assert main(["preview", type, "--output", "json"]) == 0
    rendered = json.loads(capsys.readouterr().out)
    assert {name: list(parts) for name, parts in rendered.items()} == {
        name: list(channel.parts) for name, channel in CHANNELS.items()
    }
    for parts in rendered.values():
        for text in parts.values():
            assert text in as_text
    assert main(["preview", type, "--output", "json", "--channel", "st"]) == 0
    assert json.loads(capsys.readouterr().out) == {"st": rendered["st"]}


@pytest.mark.parametrize(("script", "code"), [("schedule", 1), ("unschedule", 0)])
def test_a_failed_script_of_pg_cron_is_exit_code_1(
    database: TestDatabase, script: str, code: int
) -> None:
    """psql's own code for it is 3."""
    database.connection.execute("delete from scooters_ops.configs")
    finished = subprocess.run(
        command(script),
        env=database.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert finished.returncode == code, finished.stderr
    assert ("no config is in force" in finished.stderr) == (code == 1)
