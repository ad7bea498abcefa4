"""Config as history: who applied which config when and why, what differs, and how to go back."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.cli import main
from notifier.config import parse
from notifier.config.differences import Difference, decides, differences
from tests.conftest import CONFIG, TestDatabase, config

FACTOR = "detection.timeouts.timeout_in_point.factor"
TELEGRAM = {"type": "telegram", "chat_id": -1001}
APPLY = "select scooters_ops.apply_config(%s, %s, %s)"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs `notifier config ...`; returns its exit code and what it printed."""
    monkeypatch.setenv("DATABASE_URL", database.conninfo)

    def running(*arguments: str) -> tuple[int, str, str]:
        code = main(["config", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return running


def written(folder: Path, name: str = "new.json", **changes: Any) -> str:
    file = folder / name
    file.write_text(json.dumps(config(**changes)))
    return str(file)


# --- What differs --------------------------------------------------------------------------------


def route(city: Any, *chats: int) -> dict[str, Any]:
    recipients = [{"type": "telegram", "chat_id": chat} for chat in chats]
    return {"match": {"city": city}, "recipients": recipients}


def found(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [each.line() for each in differences(parse(old), parse(new))]


def test_changed_paths_have_their_old_and_new_values() -> None:
    everywhere = {"match": {}, "recipients": [TELEGRAM]}
    routes = [route("Omsk", -1), route("Tomsk", -2), everywhere]
    old = config(routes=routes)
    assert found(old, config(routes=routes, detection__timeouts__timeout_in_point__factor=2)) == [
        f"{FACTOR}: 1.5 -> 2.0"
    ]
    assert found(old, config(routes=[routes[0], route(["Tomsk", "Perm"], -2), everywhere])) == [
        'routes[1].match.city: "Tomsk" -> ["Tomsk", "Perm"]'
    ]
    (added,) = differences(parse(old), parse(config(routes=[route("Kazan", -3, -4), *routes])))
    assert (added.path, added.change, added.old) == ("routes[0]", "added", None)
    assert added.new["match"] == {"city": "Kazan"}
    (removed,) = differences(parse(old), parse(config(routes=[routes[0], everywhere])))
    assert (removed.path, removed.change, removed.new) == ("routes[1]", "removed", None)
    (chat,) = found(old, config(routes=[routes[0], route("Tomsk", -2, -9), everywhere]))
    assert chat.startswith("routes[1].recipients[1]: (none) -> {")


def test_a_default_that_is_left_out_is_no_difference() -> None:
    full = parse(CONFIG).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert full != CONFIG
    assert found(CONFIG, full) == found(full, CONFIG) == found(CONFIG, copy.deepcopy(CONFIG)) == []
    calendar = {"night": {"from": "22:00", "to": "07:00"}}
    assert [
        each.path for each in differences(parse(CONFIG), parse(config(calendars=calendar)))
    ] == ["calendars.night"]


@pytest.mark.parametrize(
    ("path", "is_decisive"),
    [
        (FACTOR, True),
        ("routes[1].match.city", True),
        ("calendars.night", True),
        ("notifier.time_zone", True),
        ("notifier.poll_seconds", False),
        ("channels.st", False),
    ],
)
def test_only_what_decides_is_tested(path: str, is_decisive: bool) -> None:
    assert decides([Difference(path, "changed", 1, 2)]) == is_decisive


# --- The database --------------------------------------------------------------------------------


def test_of_two_who_apply_at_once_one_is_told_by_whom_and_when(database: TestDatabase) -> None:
    before = database.value("select config_id from scooters_ops.config_in_force")
    mine, hers = (json.dumps(config(detection__batch_size=size)) for size in (11, 12))
    database.connection.execute("create role olga_of_configs superuser login")
    try:
        with psycopg.connect(database.conninfo, user="olga_of_configs", autocommit=True) as olga:
            (her_id,) = olga.execute(APPLY, (hers, " night shift ", before)).fetchone() or (0,)
    finally:
        database.connection.execute("drop role olga_of_configs")
    at = database.value(
        "select to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
        " from scooters_ops.config_in_force"
    )
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as error:
        database.value(APPLY, mine, None, before)
    assert error.value.diag.message_primary == (
        f"expected_config_id: config {before} is not in force:"
        f" olga_of_configs applied config {her_id} at {at} UTC (night shift)"
    )
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=f"config {her_id} at"):
        database.value(APPLY, mine, None, 999)
    # What is in force already undoes nobody's change.
    assert database.value(APPLY, hers, "again", before) == her_id
    with pytest.raises(psycopg.errors.StringDataRightTruncation, match="comment is longer than"):
        database.value(APPLY, mine, "x" * 1001, None)
    assert database.rows(
        "select config_id, comment from scooters_ops.config_history order by config_id"
    ) == [{"config_id": before, "comment": None}, {"config_id": her_id, "comment": "night shift"}]
    # As an earlier version calls it.
    assert database.value("select scooters_ops.apply_config(%s)", mine) > her_id


def test_a_config_is_checked_as_if_it_were_applied_and_nothing_changes(
    database: TestDatabase,
) -> None:
    with database.connect() as analyst:
        analyst.execute("set role scooters_ops_analyst")
        analyst.execute("begin read only")
        query = "select scooters_ops.check_config(%s)"
        (checked,) = analyst.execute(query, (json.dumps(CONFIG),)).fetchone() or (None,)
        assert checked == database.value("select config from scooters_ops.config_in_force")
        analyst.execute("savepoint before")
        for bad, culprit in (
            ({"notifier": {**CONFIG["notifier"], "batch_size": 0}}, "notifier.batch_size"),
            ({"notifier": {**CONFIG["notifier"], "time_zone": "No/Where"}}, "notifier.time_zone"),
            ({"routes": [{"match": {"at": "night"}, "recipients": []}]}, r"routes\[0\].match.at"),
        ):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match=culprit):
                analyst.execute(query, (json.dumps(CONFIG | bad),))
            analyst.execute("rollback to before")


# --- The command line ----------------------------------------------------------------------------


def test_configs_are_applied_compared_and_taken_back(
    database: TestDatabase, run: Run, tmp_path: Path
) -> None:
    first = database.value("select config_id from scooters_ops.config_in_force")
    file = written(tmp_path, detection__timeouts__timeout_in_point__factor=2)

    code, said, _ = run("apply", file, "--dry-run")
    assert code == 0
    assert said.splitlines()[0] == f"{FACTOR}: 1.5 -> 2.0"
    assert said.splitlines()[-1] == f"{file}: good, and not applied"
    assert database.value("select count(*) from scooters_ops.configs") == 1

    assert run("apply", file, "--comment", "calmer")[:2] == (
        0,
        f"{file}: in force as config {first + 1}\n",
    )
    assert run("apply", file)[1] == f"{file}: already in force as config {first + 1}\n"
    assert run("diff", file)[1] == (
        f"{file}: no difference from config {first + 1}, which is in force\n"
    )
    assert f"{FACTOR}: 2.0 -> 1.5\n" in run("diff", str(first))[1]

    assert run("apply", file, "--expect", str(first), "--dry-run")[0] == 0  # nothing would change

    # Edited from the first config, while a colleague applied another one.
    other = written(tmp_path, "other.json", detection__batch_size=17)
    for arguments in (["--expect", str(first)], ["--expect", str(first), "--dry-run"]):
        code, said, problem = run("apply", other, *arguments)
        assert (code, said.count("in force as")) == (2, 0)
        assert problem.startswith(f"notifier: --expect: config {first} is not in force: ")
    assert run("apply", other, "--expect", str(first + 1))[0] == 0

    assert run("rollback", str(first + 1))[:2] == (
        0,
        f"rollback to config {first + 1}: in force as config {first + 3}\n",
    )
    assert database.value("select config from scooters_ops.config_in_force") == database.value(
        "select config from scooters_ops.config_history where config_id = %s", first + 1
    )
    assert run("rollback", "99")[::2] == (
        2,
        "notifier: ID: no config 99 was applied: see notifier config history\n",
    )
    run("rollback", str(first), "--comment", "as ever")

    stored = json.loads(run("history", "--output", "json")[1])
    assert [(row["config_id"], row["is_in_force"], row["comment"]) for row in stored] == [
        (first + 4, True, "as ever"),
        (first + 3, False, f"rollback to config {first + 1}"),
        (first + 2, False, None),
        (first + 1, False, "calmer"),
        (first, False, None),
    ]
    assert {row["applied_by"] for row in stored} == {"postgres"}
    (newest, *_) = csv.DictReader(io.StringIO(run("history", "--output", "csv")[1]))
    assert (newest["config_id"], newest["is_in_force"]) == (str(first + 4), "true")
    assert run("history")[1].splitlines()[1].split()[:2] == [str(first + 4), "true"]


def test_a_config_that_is_applied_while_another_one_is_checked_is_not_undone(
    database: TestDatabase, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object) -> Sequence[str]:
        database.apply_config(detection__batch_size=23)
        return ()

    monkeypatch.setattr("notifier.config.warnings", meanwhile)
    code, _, problem = run("apply", written(tmp_path, detection__batch_size=29))
    assert code == 2
    assert "postgres applied config" in problem
    in_force = "select detection_batch_size from scooters_ops.config_in_force"
    assert database.value(in_force) == 23


BACKTEST = """
    create or replace function scooters_ops.backtest(
        config jsonb, since timestamptz, until timestamptz
    )
    returns table (day date, type text, rule text, would_tell bigint, told bigint)
    language plpgsql as $$
    begin
        raise notice 'a lower bound before 2026-11-20';
        return query select * from (values
            (date '2026-11-23', 'timeout_in_point', 'winter', 1::bigint, 2::bigint),
            (date '2026-11-23', 'timeout_in_point', null, 3, 3),
            (date '2026-11-24', 'job_skipped', null, 5, 5)
        ) as told
        where until - since = interval '7 days';
    end
    $$;
"""


def test_a_difference_says_what_the_config_would_have_told(
    database: TestDatabase, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path, detection__timeouts__timeout_in_point__factor=2)
    database.connection.execute(
        "drop function if exists scooters_ops.backtest(jsonb, timestamptz, timestamptz) cascade"
    )
    code, said, _ = run("diff", file)
    assert code == 0
    assert "what it would have told cannot be computed: " in said
    shown = json.loads(run("diff", file, "--output", "json")[1])
    assert shown["backtest"] is None
    assert "cannot be computed" in shown["backtest_notes"][0]

    database.connection.execute(BACKTEST)
    assert run("diff", file)[1].splitlines() == [
        f"{FACTOR}: 1.5 -> 2.0",
        "over the last 7 days it would have told:"
        " 5 job_skipped (told: 5), 4 timeout_in_point (told: 5)",
        "  2026-11-23: 4 timeout_in_point (told: 5)",
        "  2026-11-24: 5 job_skipped (told: 5)",
        "a lower bound before 2026-11-20",
    ]
    shown = json.loads(run("diff", file, "--output", "json")[1])
    assert shown["differences"] == [{"path": FACTOR, "change": "changed", "old": 1.5, "new": 2.0}]
    assert shown["backtest"][0] == {
        "day": "2026-11-23",
        "type": "timeout_in_point",
        "rule": "winter",
        "would_tell": 1,
        "told": 2,
    }
    (row,) = csv.DictReader(io.StringIO(run("diff", file, "--output", "csv")[1]))
    assert row == {"path": FACTOR, "change": "changed", "old": "1.5", "new": "2.0"}
    quiet = written(tmp_path, notifier__poll_seconds=9)
    assert run("diff", quiet)[1].splitlines() == [
        "notifier.poll_seconds: 5.0 -> 9.0",
        "nothing that decides what is reported, or to whom, differs",
    ]
