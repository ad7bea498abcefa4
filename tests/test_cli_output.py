"""The command line's forms of output, its version, and the options it refuses."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import subprocess
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from notifier import __version__
from notifier.channels import CHANNELS
from notifier.cli import main
from notifier.commands.output import psql_interval, say_rows
from notifier.commands.window import add_window, window
from notifier.config import ConfigError
from notifier.database.schema_version import known_migrations
from notifier.notification_types import NOTIFICATION_TYPES
from tests.conftest import NOON, PATIENCE_SECONDS, TestDatabase
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


# --- Rows ------------------------------------------------------------------------------------

ROWS = [
    {
        "day": date(2026, 11, 24),
        "at": NOON,
        "city": 'Omsk, "north"\x1b[2J',
        "a_day": Decimal("12.50"),
        "elapsed": timedelta(days=1, minutes=12, seconds=7),
        "is_few": True,
        "match": {"city": ["Омск"]},
    },
    dict.fromkeys(("day", "at", "city", "a_day", "elapsed", "is_few", "match")),
]
COLUMNS = list(ROWS[0])


def printed(capsys: pytest.CaptureFixture[str], output: str, *columns: str) -> str:
    say_rows(columns or COLUMNS, ROWS, output, durations=["elapsed"])
    return capsys.readouterr().out


def test_rows_are_a_table_whose_columns_are_aligned_and_whose_texts_are_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(capsys, "text", "city", "a_day", "elapsed", "is_few").splitlines() == [
        "city                    a_day  elapsed         is_few",
        'Omsk, "north"\\u001b[2J  12.50  1 day 00:12:07  true',
        "",
    ]
    say_rows(COLUMNS, [], "text", nothing="no skips")
    assert capsys.readouterr().out == "no skips\n"


def test_rows_as_json_have_iso_times_and_durations_in_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = json.loads(printed(capsys, "json"))
    assert first == {
        "day": "2026-11-24",
        "at": "2026-11-24T12:00:00+00:00",
        "city": 'Omsk, "north"\x1b[2J',
        "a_day": 12.5,
        "elapsed_seconds": 87127.0,
        "is_few": True,
        "match": {"city": ["Омск"]},
    }
    assert second == dict.fromkeys(first)


def test_rows_as_csv_are_read_back_by_any_reader(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "csv")
    assert "\x1b" not in text
    first, second = csv.DictReader(io.StringIO(text))
    assert first == {
        "day": "2026-11-24",
        "at": "2026-11-24T12:00:00+00:00",
        "city": 'Omsk, "north"\\u001b[2J',
        "a_day": "12.50",
        "elapsed": "1 day 00:12:07",
        "is_few": "true",
        "match": '{"city": ["Омск"]}',
    }
    assert second == dict.fromkeys(COLUMNS, "")
    say_rows(COLUMNS, [], "csv")
    assert capsys.readouterr().out == ",".join(COLUMNS) + "\n"


def test_intervals_are_shown_as_psql_shows_them(database: TestDatabase) -> None:
    seconds = [0.0, 727.0, -727.0, 1.5, -0.25, 86400.0, -86400.0, 93784.000001, -93600.0]
    shown = database.values(
        "select justify_hours(seconds * interval '1 second')::text"
        " from unnest(%s::double precision[]) as seconds",
        seconds,
    )
    assert [psql_interval(timedelta(seconds=each)) for each in seconds] == shown


# --- --since and --until ---------------------------------------------------------------------


def asked(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_window(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "since", "until"),
    [
        ([], NOON - timedelta(days=7), NOON),
        (["--since", "12h"], NOON - timedelta(hours=12), NOON),
        (["--since", "90m", "--until", "1h30s"], NOON - timedelta(minutes=90), None),
        (
            ["--since", "2026-11-01", "--until", "2026-11-02"],
            datetime(2026, 10, 31, 21, tzinfo=UTC),
            datetime(2026, 11, 1, 21, tzinfo=UTC),
        ),
        (["--since", "2026-11-01T10:00Z"], datetime(2026, 11, 1, 10, tzinfo=UTC), NOON),
        (["--since", "2026-11-01T10:00+07:00"], datetime(2026, 11, 1, 3, tzinfo=UTC), NOON),
    ],
)
def test_a_window_is_given_by_durations_before_now_or_by_dates_and_times(
    arguments: list[str], since: datetime, until: datetime | None
) -> None:
    until = NOON - timedelta(hours=1, seconds=30) if until is None else until
    assert window(asked(*arguments), "Europe/Moscow", NOON) == (since, until)


def test_a_window_that_is_empty_or_unreadable_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["--since", "1h", "--until", "2h"], ["--since", "2027-01-01"]):
        with pytest.raises(ConfigError, match=r"--since: .* is not before --until"):
            window(asked(*arguments), "UTC", NOON)
    with pytest.raises(ConfigError, match=r"notifier\.time_zone"):
        window(asked("--since", "2026-11-01"), "Nowhere/Never", NOON)
    with pytest.raises(ConfigError, match="out of range"):
        window(asked("--since", "0001-01-01"), "Europe/Moscow", NOON)
    for text in ("yesterday", "7", "400d", "-7d", "0d"):
        with pytest.raises(SystemExit):
            asked(f"--since={text}")
        assert "--since: must be a duration before now" in capsys.readouterr().err
