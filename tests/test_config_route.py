"""notifier config route: whom a notification would reach, by which route, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier import cli
from notifier.config import seen_warnings, wanted_values
from notifier.database.values import SeenValue
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, config, shared_database
from tests.pages import DOCS, blocks

LEADS = {"type": "telegram", "chat_id": -1009}
DUTY = {"type": "st", "queue": "DUTY"}
TOPIC = {"type": "telegram", "chat_id": "@night_duty", "message_thread_id": 7}
NIGHT = "2026-01-31T23:30+03:00"

CALENDARS = {"night": {"from": "22:00", "to": "07:00", "time_zone": "Europe/Moscow"}}
ROUTES: list[dict[str, Any]] = [
    {"match": {"type": "job_skipped", "job_type": ["pickup", "dropoff"]}, "recipients": [LEADS]},
    {
        "match": {"city": "Omsk"},
        "recipients": [DUTY],
        "escalate": [
            {"after_seconds": 900, "recipients": [LEADS]},
            {"at_factor": 3, "recipients": [DUTY]},
        ],
        "remind": {"every_seconds": 1800, "times": 3},
        "continue": True,
    },
    {"match": {"at": "night", "zone": 7}, "recipients": [TOPIC, DUTY]},
    {"match": {"performer_id": "c-1"}, "recipients": []},
]
OVERRIDES: list[dict[str, Any]] = [
    {
        "name": "kazan",
        "match": {"city": ["Kazan", "Tver"]},
        "timeouts": {"timeout_in_point": {"factor": 2}},
    },
    {
        "name": "omsk-night",
        "match": {"city": "Omsk", "at": "night"},
        "timeouts": {"timeout_in_point": {"factor": 2.5, "minimum_seconds": 60}},
        "job_eta_seconds": {"pickup": 420},
    },
]
CHANGES: dict[str, Any] = {
    "routes": ROUTES,
    "calendars": CALENDARS,
    "detection__overrides": OVERRIDES,
    "notifier__time_zone": "Europe/Moscow",
}

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def database(cluster: Postgres) -> Iterator[TestDatabase]:
    """A database for this file; tests leave it as they found it."""
    with shared_database(cluster) as shared:
        shared.apply_config(**CHANGES)
        yield shared


@pytest.fixture
def command(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs notifier config ARGUMENTS on the database; returns exit code, output and errors."""
    monkeypatch.setenv("DATABASE_URL", database.conninfo)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["config", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


EXPLAIN = "select scooters_ops.explain_route(%s, %s, %s)"


def facts(type: str = "timeout_in_point", **given: Any) -> str:
    keys = ("job_type", "mission_id", "point_id", "performer_id")
    event = {key: given.pop(key) for key in keys if key in given}
    return json.dumps({"type": type, **event, "attributes": given})


@contextmanager
def rolled_back(database: TestDatabase) -> Iterator[None]:
    with database.connection.transaction(force_rollback=True):
        yield


def written(tmp_path: Path, **changes: Any) -> str:
    file = tmp_path / "trial.json"
    file.write_text(json.dumps(config(**changes)), "utf-8")
    return str(file)


# --- What it says ------------------------------------------------------------------------------


SAID: list[tuple[list[str], str]] = [
    (
        ["job_skipped", "job_type=pickup", "city=Omsk"],
        """\
routes[0]: decides
told: telegram:-1009
""",
    ),
    (
        ["job_skipped", "job_type=battery_exchange", "city=Omsk"],
        """\
routes[0]: does not match: job_type is "battery_exchange", not "pickup" or "dropoff"
routes[1]: decides
routes[2]: does not match: zone is not given, not 7
routes[3]: does not match: performer_id is not given, not "c-1"
told: st:DUTY
routes[1].escalate[0]: after 900 s: telegram:-1009
routes[1].remind: every 1800 s, 3 times: st:DUTY
""",
    ),
    (
        ["timeout_in_point", "city=Omsk", "zone=7", "--at", NIGHT],
        """\
routes[0]: does not match: type is "timeout_in_point", not "job_skipped"
routes[1]: decides
routes[2]: decides
told: st:DUTY, telegram:@night_duty:7
routes[1].escalate[0]: after 900 s: telegram:-1009
routes[1].escalate[1]: at 3 times the eta: st:DUTY
routes[1].remind: every 1800 s, 3 times: st:DUTY
detection.overrides[0] (kazan): does not match: city is "Omsk", not "Kazan" or "Tver"
detection.overrides[1] (omsk-night): sets the limit
limit: 2.5 times the eta, at least 60 s by omsk-night (detection.overrides[1])
""",
    ),
    (
        ["timeout_in_point", "city=Ufa", "zone=7", "performer_id=c-1", "--at", "2026-02-01T04:00Z"],
        """\
routes[0]: does not match: type is "timeout_in_point", not "job_skipped"
routes[1]: does not match: city is "Ufa", not "Omsk"
routes[2]: does not match: at Sun 2026-02-01 07:00 MSK it is not "night"
routes[3]: decides
told: nobody
detection.overrides[0] (kazan): does not match: city is "Ufa", not "Kazan" or "Tver"
detection.overrides[1] (omsk-night): does not match: city is "Ufa", not "Omsk"
limit: 1.5 times the eta (detection.timeouts.timeout_in_point)
""",
    ),
    (
        ["job_skipped", "zone=07", "--at", NIGHT],
        """\
routes[0]: does not match: job_type is not given, not "pickup" or "dropoff"
routes[1]: does not match: city is not given, not "Omsk"
routes[2]: does not match: zone is "07", not 7
routes[3]: does not match: performer_id is not given, not "c-1"
no route matches: nobody would be told, and it would need a person
""",
    ),
]


def test_it_says_which_route_decides_and_why_the_others_do_not(command: Command) -> None:
    for arguments, said in SAID:
        assert command("route", *arguments) == (0, said, "")


def test_it_says_which_silence_would_hold_it_and_until_when(
    command: Command, database: TestDatabase
) -> None:
    long, over, elsewhere = database.values(
        "insert into scooters_ops.silences"
        " (match, starts_at, ends_at, comment, created_by)"
        " select match::jsonb, '2026-01-31T00:00Z', ends_at::timestamptz, 'snow', 'olga'"
        " from (values ('{\"city\": \"Omsk\"}', '2099-02-01T20:00Z'),"
        " ('{\"city\": \"Omsk\"}', '2026-01-31T20:00Z'),"
        " ('{\"city\": \"Ufa\"}', '2099-02-01T20:00Z')) as given (match, ends_at)"
        " returning silence_id"
    )
    database.connection.execute(
        "select scooters_ops.compile_match('silence', silence_id, match) from scooters_ops.silences"
    )
    arguments = ("route", "job_skipped", "city=Omsk", "--at", NIGHT)
    try:
        _, output, _ = command(*arguments)
        _, as_json, _ = command(*arguments, "--output", "json")
    finally:
        database.connection.execute(
            "select scooters_ops.forget_match('silence', silence_id) from scooters_ops.silences;"
            " delete from scooters_ops.silences"
        )
    assert output.splitlines()[-1] == (
        f"held until Sun 2099-02-01 23:00 MSK (silence {long} by olga: snow)"
    )
    assert output.count("held until") == 1
    (hold,) = json.loads(as_json)["holds"]
    assert hold["silence_id"] == long
    assert hold["match"] == {"city": "Omsk"}
    assert {over, elsewhere}.isdisjoint({hold["silence_id"]})


def first_failure(match: dict[str, Any], given: dict[str, Any], is_night: bool) -> str | None:
    """A reference: the first key of a match that fails."""

    def fails(key: str) -> bool:
        if key == "at":
            return not is_night
        wanted = match[key] if isinstance(match[key], list) else [match[key]]
        return given.get(key) not in wanted

    order = ("type", "job_type", "city", "performer_id", "zone", "point_id", "at")
    return next((key for key in order if key in match and fails(key)), None)


def test_the_reason_is_the_first_key_that_fails(database: TestDatabase) -> None:
    """For every combination of what the routes and overrides of this file look at."""
    query = """
    with fact as (
        select
            jsonb_build_object(
                'type', type, 'job_type', job_type, 'performer_id', performer_id,
                'attributes', jsonb_build_object('city', city, 'zone', zone::jsonb)
            ) as facts,
            hour
        from unnest(array['job_skipped', 'timeout_in_point']) as type,
            unnest(array[null, 'pickup', 'swap']) as job_type,
            unnest(array[null, 'c-1']) as performer_id,
            unnest(array['Omsk', 'omsk', 'Tver']) as city,
            unnest(array['7', '7.0', '"7"', '[7]']) as zone,
            unnest(array[0, 12]) as hour
    )
    select fact.*, scope, failure.match_id, failure.key
    from fact
    cross join unnest(array['route', 'override']) as scope
    cross join scooters_ops.config_in_force
    cross join scooters_ops.match_failures(
        config, scope, facts, timestamptz '2026-02-01T00:00+03:00' + make_interval(hours => hour)
    ) as failure
    """
    rows = database.rows(query)
    assert len(rows) == 2 * 3 * 2 * 3 * 4 * 2 * (len(ROUTES) + len(OVERRIDES))
    for row in rows:
        match = (ROUTES if row["scope"] == "route" else OVERRIDES)[row["match_id"] - 1]["match"]
        given = {**row["facts"], **row["facts"]["attributes"]}
        assert row["key"] == first_failure(match, given, row["hour"] == 0), row


# --- A config that is not applied ----------------------------------------------------------------


def everything(database: TestDatabase) -> dict[str, list[str]]:
    """The rows of which a config in force consists."""
    tables = database.values(
        "select relname::text from pg_class where relnamespace = 'scooters_ops'::regnamespace"
        " and relkind = 'r' and (relname = 'configs' or relname ~ '^compiled_')"
    )
    return {
        table: database.values(f"select t::text from scooters_ops.{table} as t order by 1")
        for table in tables
    }


def test_a_config_that_is_not_applied_explains_as_it_would_and_leaves_nothing(
    database: TestDatabase, command: Command, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        **CHANGES,
        "routes": [{"match": {"at": "noon", "city": "Omsk"}, "recipients": [LEADS]}, *ROUTES],
        "calendars": {"noon": {"from": "12:00", "to": "13:00"}, "night": CALENDARS["night"]},
        "detection__overrides": OVERRIDES[1:],
    }
    before = everything(database)
    assert len(before) == 9
    at = "2026-01-31T12:30+03:00"
    asked = (facts(city="Omsk", zone=7), at)
    with rolled_back(database):
        database.connection.execute("set transaction read only")
        tried = database.value(EXPLAIN, *asked, json.dumps(config(**changes)))
    with rolled_back(database):
        database.apply_config(**changes)
        applied = database.value(EXPLAIN, *asked, None)
    assert tried.pop("config_id") is None
    assert applied.pop("config_id") > 0
    assert tried == applied
    assert tried["recipients"] == [LEADS]
    assert tried["limit"]["overrides"][0]["failed_key"] == "at"

    file = written(tmp_path, **changes)
    _, output, _ = command("route", "timeout_in_point", "city=Omsk", "--config", file, "--at", at)
    assert output.startswith("routes[0]: decides\ntold: telegram:-1009\n")
    assert everything(database) == before


def test_a_bad_config_or_fact_is_refused_with_what_is_wrong(
    database: TestDatabase, command: Command, tmp_path: Path
) -> None:
    calendars = {"night": {"from": "22:00", "to": "07:00", "time_zone": "Mars/Olympus"}}
    before = everything(database)
    refusals: list[tuple[str, str | None, dict[str, Any] | None, str]] = [
        (facts("test"), NIGHT, None, "facts.type: must be one of timeout_in_point"),
        ("[]", NIGHT, None, "facts.type: must be one of"),
        ('{"type": "job_skipped", "attributes": [1]}', NIGHT, None, "facts.attributes: must be"),
        (facts(), None, None, "at: must be a time, not null"),
        (facts(), NIGHT, {"notifier__batch_size": 0}, "notifier.batch_size: must be at least 1"),
        (
            facts(),
            NIGHT,
            {"routes": [{"match": {"at": "never"}, "recipients": []}]},
            "routes[0].match.at: must name one of calendars",
        ),
        (facts(), NIGHT, {"calendars": calendars}, "calendars.night.time_zone: is not a time zone"),
    ]
    for given, at, changes, problem in refusals:
        document = None if changes is None else json.dumps(config(**changes))
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
            database.value(EXPLAIN, given, at, document)
        assert (refusal.value.diag.message_primary or "").startswith(problem)
    assert everything(database) == before

    bad = written(tmp_path, calendars=calendars)
    for arguments, problem in [
        (("timeout_in_point", "--config", bad), "calendars.night.time_zone: must be a time zone"),
        (("timeout_in_point", "--config", "/nowhere.json"), "/nowhere.json: No such file"),
        (("timeout_in_point", "job_type=pickup"), "job_type: a timeout_in_point has none"),
        (("job_skipped", "type=job_skipped"), "type: given twice"),
        (("job_skipped", "at=night"), "at: is no attribute; config route has --at"),
        (("job_skipped", "Omsk"), "'Omsk' is not of the form key=value"),
        (("job_skipped", "--expect", "sms:1"), "--expect sms:1: must be CHANNEL:ADDRESS"),
        (("job_skipped", "--expect", "telegram"), "--expect telegram: chat_id: missing"),
        (("job_skipped", "--expect", "st:DUTY:7"), "--expect st:DUTY:7: must have queue and no"),
        (("job_skipped", "--expect", "{"), "--expect {: broken JSON"),
        (("job_skipped", "--expect", "[7]"), "--expect [7]: must be a recipient whose type"),
        (
            ("job_skipped", "--expect", "nobody", "--expect", "st:DUTY"),
            "--expect: nobody and no-route each stand alone",
        ),
    ]:
        code, output, errors = command("route", *arguments)
        assert (code, output) == (2, ""), arguments
        assert errors.startswith(f"notifier: {problem}"), errors


def test_a_time_without_its_offset_and_an_unknown_type_are_no_arguments(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["job_skipped", "--at", "2026-01-31T23:00"], ["test"]):
        with pytest.raises(SystemExit) as refusal:
            command("route", *arguments)
        assert refusal.value.code == 2
    assert "must be a time with its offset" in capsys.readouterr().err


def test_analysts_and_notifiers_may_ask_and_the_mission_service_may_not(
    database: TestDatabase,
) -> None:
    asked = (facts(city="Omsk"), NIGHT)
    for role in ("scooters_ops_analyst", "scooters_ops_notifier"):
        with database.connect(role=role) as connection:
            for document in (None, json.dumps(config(**CHANGES))):
                (explained,) = connection.execute(EXPLAIN, (*asked, document))
                assert explained[0]["recipients"] == [DUTY]
    with (
        database.connect(role="scooters_ops_writer") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(EXPLAIN, (*asked, None))


def test_without_a_database_or_a_config_in_force_it_says_so(
    command: Command, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rolled_back(database):
        database.connection.execute("delete from scooters_ops.configs")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="no config is in"):
            database.value(EXPLAIN, facts(), NIGHT, None)
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/x")
    code, output, errors = command("route", "job_skipped")
    assert (code, output) == (2, "")
    assert errors.startswith("notifier: no database: ")


# --- What scripts expect -------------------------------------------------------------------------


def test_what_differs_from_the_expectation_is_printed_and_the_exit_code_is_1(
    command: Command, tmp_path: Path
) -> None:
    omsk = ("timeout_in_point", "city=Omsk", "zone=7", "--at", NIGHT)
    mute = ("job_skipped", "performer_id=c-1")
    unrouted = ("job_skipped",)
    for arguments, expected in [
        (omsk, ["telegram:@night_duty:7", "st:DUTY"]),
        (omsk, [json.dumps([DUTY, TOPIC])]),
        (omsk, [json.dumps(TOPIC), "st:DUTY", "st:DUTY"]),
        (mute, ["nobody"]),
        (mute, ["[]"]),
        (unrouted, ["no-route"]),
    ]:
        code, output, errors = command(
            "route", *arguments, *(word for each in expected for word in ("--expect", each))
        )
        assert (code, errors) == (0, ""), expected
        assert "routes[0]: does not match" in output

    for arguments, expected, differences in [
        (
            omsk,
            ["st:DUTY", "telegram:-1001"],
            ["expected, but not so: telegram:-1001", "not expected: telegram:@night_duty:7"],
        ),
        (mute, ["no-route"], ["expected, but not so: no-route", "not expected: nobody"]),
        (unrouted, ["nobody"], ["expected, but not so: nobody", "not expected: no-route"]),
        (unrouted, ["st:DUTY"], ["expected, but not so: st:DUTY", "not expected: no-route"]),
    ]:
        code, output, errors = command(
            "route", *arguments, *(word for each in expected for word in ("--expect", each))
        )
        assert code == 1
        assert errors.splitlines() == [f"notifier: {difference}" for difference in differences]
        assert output


# --- Values that no mission had ------------------------------------------------------------------


def create_mission(database: TestDatabase, n: int, hours_ago: float, **attributes: Any) -> None:
    """A mission whose courier set off so many hours ago, as a pass has recorded it."""
    mission_id = database.create_mission(f"m{n}", points=1, attributes=attributes)
    database.connection.execute(
        "insert into scooters_ops.recorded_intervals"
        " (mission_id, type, is_judged, point_id, started_at)"
        " values (%s, 'timeout_between_points', true, 'p1', now() - make_interval(hours => %s))",
        (mission_id, hours_ago),
    )


def test_values_that_no_mission_had_lately_are_named_with_their_path(
    database: TestDatabase, command: Command, tmp_path: Path
) -> None:
    zones = ["Europe/Moscow", "europe/moscow", "CET", 3]
    file = written(
        tmp_path,
        calendars={
            "day": {"from": "09:00", "to": "18:00", "time_zone": {"attribute": "time_zone"}},
            "evening": {"from": "18:00", "to": "22:00", "time_zone": {"attribute": "timezone"}},
        },
        detection__overrides=[
            {"name": "mosow", "match": {"city": ["Mosow", "Moscow"], "at": "day"}},
            {"name": "courier", "match": {"performer_id": ["c1", "c2"], "at": "evening"}},
        ],
        routes=[
            {"match": {"city": ["Omsk", "moscow", "Atlantis"]}, "recipients": []},
            {"match": {"zone": ["7", 8, 5.0]}, "recipients": []},
            {"match": {"vip": "true", "point_id": "p9", "mission_id": "m9"}, "recipients": []},
            {"match": {"ctiy": "Omsk"}, "recipients": []},
            {"match": {"job_type": ["battery_exchange", "battery_swap"]}, "recipients": []},
            {"match": {}, "recipients": []},
        ],
    )
    assert command("check", file) == (0, f"{file}: good\n", "")  # there are no missions yet

    with_zone = [{"zone": 7, "vip": True, "time_zone": zone} for zone in zones]
    try:
        for n, attributes in enumerate(with_zone):
            create_mission(database, n, 24 * 7 * n + 1, city="Moscow", **attributes)
        create_mission(database, 8, 24 * 29, city="Omsk", zone="8")
        create_mission(database, 9, 24 * 31, city="Atlantis", zone=5)
        code, output, errors = command("check", file)
        rows = database.rows(
            "select * from scooters_ops.seen_values('{\"zone\": [7]}', array['city'])"
        )
    finally:
        database.connection.execute(
            "delete from scooters_ops.recorded_intervals; delete from scooters_ops.missions"
        )
    assert (code, output) == (0, f"{file}: good\n")
    of = "of 5 missions of the last 30 days"
    assert errors.splitlines() == [
        f"notifier: warning: {warning}"
        for warning in [
            f'routes[0].match.city[1]: none {of} has "moscow"; did you mean "Moscow"?',
            f'routes[0].match.city[2]: none {of} has "Atlantis"',
            'routes[1].match.zone[0]: missions have the number 7, which is not the text "7"',
            'routes[1].match.zone[1]: missions have the text "8", which is not the number 8',
            f"routes[1].match.zone[2]: none {of} has 5.0",
            'routes[2].match.vip: missions have the truth value true, which is not the text "true"',
            f'routes[3].match.ctiy: none {of} has a ctiy; did you mean "city"?',
            f'routes[4].match.job_type[1]: none {of} has "battery_swap"',
            f'detection.overrides[0].match.city[0]: none {of} has "Mosow"; did you mean "Moscow"?',
            f'detection.overrides[1].match.performer_id[1]: none {of} has "c2"',
            *(
                f"calendars.day.time_zone.attribute: {zone} is not a time zone such as"
                " Europe/Moscow that the server knows: for 1 of 5 missions of the last 30 days"
                " notifier.time_zone counts"
                for zone in ('"CET"', "3")
            ),
            f"calendars.evening.time_zone.attribute: none {of} has a timezone; did you mean"
            ' "time_zone"?',
        ]
    ]
    assert [(row["value"], row["missions"]) for row in rows if row["key"] == "zone"] == [
        (7, 4),
        ("8", 1),
        (None, 5),
    ]
    assert {row["is_time_zone"] for row in rows if row["value"] is not None} == {None, False}


def test_what_several_databases_saw_is_added_up() -> None:
    document = config(
        calendars={"day": {"from": "09:00", "to": "18:00", "time_zone": {"attribute": "tz"}}},
        routes=[{"match": {"city": ["Omsk", "Tver", "Ufa"]}, "recipients": []}],
    )
    assert wanted_values(document) == {"city": ["Omsk", "Tver", "Ufa"]}
    shard = [SeenValue(None, None, 4), SeenValue("city", None, 4), SeenValue("tz", None, 4)]
    seen = [
        *(SeenValue("city", "Omsk", 4), SeenValue("tz", "Mars", 1, is_time_zone=False)),
        *(SeenValue("city", "Tver", 2), SeenValue("tz", "Mars", 2, is_time_zone=False)),
    ]
    assert seen_warnings(document, [*shard, *seen[:2], *shard, *seen[2:]]) == [
        'routes[0].match.city[2]: none of 8 missions of the last 30 days has "Ufa"',
        'calendars.day.time_zone.attribute: "Mars" is not a time zone such as Europe/Moscow that'
        " the server knows: for 3 of 8 missions of the last 30 days notifier.time_zone counts",
    ]


def test_without_a_database_one_line_says_that_values_were_not_compared(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/x")
    nothing_to_compare = written(tmp_path, routes=[{"match": {}, "recipients": []}])
    assert command("check", nothing_to_compare)[2] == ""
    code, _, errors = command("check", written(tmp_path))
    assert code == 0
    assert errors == (
        "notifier: warning: no database says which values missions have: those of matches were not"
        " compared\n"
    )


# --- The documentation ----------------------------------------------------------------------------


def test_the_example_of_the_docs_is_explained_as_they_say(
    database: TestDatabase, command: Command, tmp_path: Path
) -> None:
    found = {
        block.language: block.text for block in blocks((DOCS / "config.md").read_text("utf-8"))
    }
    example = json.loads(found["json"])
    changes: dict[str, Any] = {
        "detection__overrides": example["detection"]["overrides"],
        "calendars": example["calendars"],
        "routes": example["routes"],
    }
    assert command("check", written(tmp_path, **changes))[::2] == (0, "")
    at = ("--at", "2026-01-31T22:30+06:00")
    asked = ("timeout_in_point", "city=Omsk", "time_zone=Asia/Omsk", *at)
    code, output, _ = command("route", *asked, "--config", written(tmp_path, **changes))
    assert (code, output) == (0, found["text"] + "\n")
