"""The config: what is refused, by the notifier and by the database, and what is in force then."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier import cli
from notifier.channels import CHANNELS
from notifier.channels.base import HOST_AND_PORT
from notifier.config import (
    ROOT,
    ConfigError,
    generated_files,
    json_schema,
    load,
    parse,
    parse_stored,
    read_json,
    warnings,
)
from notifier.templates import NOTIFICATION_TYPES
from notifier.text import STEERING
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TEMPLATE, TestDatabase, config

Path_ = tuple[str | int, ...]
"""Keys and positions from the top of a document."""
REMOVED = object()

APPLY = "select scooters_ops.apply_config(%s)"

# The example of the design, as it stands there: what is left out has a default.
EXAMPLE = """
{
  "detection": {
    "enabled": true,
    "schedule": "10 seconds",
    "notify_within_seconds": 86400,
    "timeouts": {
      "timeout_in_point":       {"enabled": true, "factor": 1.5, "minimum_seconds": 0},
      "timeout_between_points": {"enabled": true, "factor": 1.5, "minimum_seconds": 0}
    },
    "job_eta_seconds": {"battery_exchange": 300, "pickup": 180, "dropoff": 120},
    "default_job_eta_seconds": 300
  },
  "routes": [
    {"match": {"type": ["job_skipped"], "city": "Moscow"},
     "recipients": [{"type": "telegram", "chat_id": -1001}, {"type": "st", "queue": "DUTY"}]},
    {"match": {}, "recipients": [{"type": "telegram", "chat_id": -1001}]}
  ],
  "channels": {
    "telegram": {"base_url": "https://api.telegram.org", "token_env": "TELEGRAM_BOT_TOKEN"},
    "st": {"base_url": "https://api.tracker.yandex.net", "token_env": "TRACKER_TOKEN",
           "org_id_env": "TRACKER_ORG_ID"}
  },
  "notifier": {"locale": "en", "poll_seconds": 5, "batch_size": 100, "lease_seconds": 60,
               "retry": {"first_seconds": 5, "factor": 2, "max_seconds": 900,
                         "give_up_after_attempts": 12}}
}
"""


def changed(path: Path_, value: Any) -> dict[str, Any]:
    """config.json with another value at a path, or (REMOVED) without it."""
    document = copy.deepcopy(CONFIG)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def written(path: Path_) -> str:
    """A path as messages write it: routes[0].recipients[1].queue."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).lstrip(".")


# --- Refused, by both ---------------------------------------------------------------------------

FACTOR = ("detection", "timeouts", "timeout_in_point", "factor")
TELEGRAM = ("routes", 0, "recipients", 0)
TRACKER = ("routes", 0, "recipients", 1)

# A change, and the path that the message must name where it is not the changed one.
BAD: list[tuple[Path_, Any, Path_ | None]] = [
    (("detcetion",), {}, None),
    (("detection", "enabeld"), True, None),
    (("detection", "timeouts", "timeout_at_home"), CONFIG["detection"]["timeouts"], None),
    (("detection", "timeouts", "timeout_in_point", "faktor"), 1, None),
    (("routes", 0, "contniue"), True, None),
    ((*TELEGRAM, "chatid"), 1, None),
    (("channels", "sms"), {}, None),
    (("channels", "telegram", "token"), "123:abc", None),
    (("notifier", "retry", "forever"), True, None),
    (("detection",), REMOVED, None),
    (("routes",), REMOVED, None),
    (("detection", "timeouts", "timeout_between_points"), REMOVED, None),
    (FACTOR, REMOVED, None),
    (FACTOR, -1, None),
    (FACTOR, 0, None),
    (FACTOR, 101, None),
    (FACTOR, "NaN", None),
    (FACTOR, "1.5", None),
    (FACTOR, None, None),
    (FACTOR, True, None),
    (FACTOR, [1.5], None),
    (("detection", "timeouts", "timeout_in_point", "minimum_seconds"), -0.001, None),
    (("detection", "enabled"), "yes", None),
    (("detection", "enabled"), 1, None),
    (("detection", "notify_within_seconds"), -1, None),
    (("detection", "notify_within_seconds"), "a day", None),
    (("detection", "notify_within_seconds"), REMOVED, None),
    (("detection", "schedule"), "10 minutes", None),
    (("detection", "schedule"), "60 seconds", None),
    (("detection", "schedule"), "0 seconds", None),
    (("detection", "schedule"), "* * * *", None),
    (("detection", "schedule"), "61 * * * *", None),
    (("detection", "schedule"), "'; drop table x; --", None),
    (("detection", "schedule"), "10 seconds\n", None),
    (("detection", "stalled_after_seconds"), 0, None),
    (("detection", "job_eta_seconds", "pickup"), -180, None),
    (("detection", "job_eta_seconds"), [], None),
    (("detection", "default_job_eta_seconds"), 1e9, None),
    (("routes",), {}, None),
    (("routes", 0), "all", None),
    (("routes", 0, "match"), REMOVED, None),
    (("routes", 0, "match"), [], None),
    (("routes", 0, "match", "city"), None, None),
    (("routes", 0, "match", "city"), [], None),
    (("routes", 0, "match", "city"), {"not": "Moscow"}, None),
    (("routes", 0, "match", "city"), ["Moscow", None], None),
    (("routes", 0, "match", "type"), "job_skiped", None),
    (("routes", 0, "match", "type"), 7, None),
    (("routes", 0, "match", "type"), ["job_skipped", "timeout"], ("routes", 0, "match", "type", 1)),
    (("routes", 0, "continue"), "true", None),
    (("routes", 0, "recipients"), REMOVED, None),
    (("routes", 0, "recipients"), {"type": "telegram", "chat_id": 1}, None),
    (TELEGRAM, "-1001", None),
    ((*TELEGRAM, "type"), "sms", None),
    ((*TELEGRAM, "type"), None, None),
    ((*TELEGRAM, "type"), REMOVED, None),
    ((*TELEGRAM, "chat_id"), REMOVED, None),
    ((*TELEGRAM, "chat_id"), 0, None),
    ((*TELEGRAM, "chat_id"), 1.5, None),
    ((*TELEGRAM, "chat_id"), "1001", None),
    ((*TELEGRAM, "chat_id"), 2**63, None),
    ((*TELEGRAM, "message_thread_id"), 0, None),
    ((*TRACKER, "queue"), REMOVED, None),
    ((*TRACKER, "queue"), "", None),
    ((*TRACKER, "queue"), "two words", None),
    ((*TRACKER, "queue"), 7, None),
    (("channels", "telegram"), REMOVED, (*TELEGRAM, "type")),
    (("channels", "telegram"), None, (*TELEGRAM, "type")),
    (("channels", "st"), REMOVED, (*TRACKER, "type")),
    (("channels", "telegram", "base_url"), REMOVED, None),
    (("channels", "telegram", "base_url"), "api.telegram.org", None),
    (("channels", "telegram", "base_url"), "ftp://api.telegram.org", None),
    (("channels", "telegram", "token_env"), "123456:AAE-token", None),
    (("channels", "telegram", "timeout_seconds"), 0, None),
    (("channels", "telegram", "in_doubt"), "perhaps", None),
    (("channels", "st", "cloud_org_id_env"), "CLOUD_ORG", ("channels", "st")),
    (("channels", "st", "auth"), "basic", None),
    (("notifier", "locale"), "xx", None),
    (("notifier", "batch_size"), 0, None),
    (("notifier", "batch_size"), 10.5, None),
    (("notifier", "poll_seconds"), 0, None),
    (("notifier", "retry", "factor"), 0.5, None),
    (("notifier", "retry", "give_up_after_attempts"), 0, None),
    (("retention", "schedule"), "10 seconds", None),
    (("retention", "passes_seconds"), 0, None),
    (("retention", "notifications_seconds"), 0, None),
    (("retention", "batch_size"), 0, None),
]


@pytest.mark.parametrize(
    ("path", "value", "culprit"),
    [
        pytest.param(
            path,
            value,
            culprit or path,
            id=f"{written(path)}={'removed' if value is REMOVED else json.dumps(value)[:30]}",
        )
        for path, value, culprit in BAD
    ],
)
def test_a_bad_key_is_refused_with_its_path(path: Path_, value: Any, culprit: Path_) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(changed(path, value))
    assert refusal.value.problems[0].startswith(f"{written(culprit)}: ")
    assert len(refusal.value.problems) == 1 or culprit != path


def test_the_database_refuses_the_same_with_the_same_path_and_changes_nothing(
    database: TestDatabase,
) -> None:
    """Or with the path of a part of it: of a list of values to match, it names the bad one."""
    database.create_mission()
    state = (
        "select (select count(*) from scooters_ops.configs),"
        " (select count(*) from scooters_ops.mission_wakeups)"
    )
    before = database.rows(state)
    for path, value, culprit in BAD:
        with pytest.raises(psycopg.Error) as refusal:
            database.value(APPLY, json.dumps(changed(path, value)))
        assert refusal.value.sqlstate == "22023", (path, value)
        message = refusal.value.diag.message_primary
        assert message is not None
        bad_path, _, _ = message.partition(": ")
        assert bad_path.startswith(written(culprit or path)), (path, value)
    assert database.rows(state) == before


@pytest.mark.parametrize("document", [None, [], "config", 7, True])
def test_what_is_no_object_is_no_config(database: TestDatabase, document: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the document: "):
        parse(document)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^the document: "):
        database.value(APPLY, json.dumps(document))


def test_the_database_refuses_to_apply_nothing(database: TestDatabase) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^the document: "):
        database.value("select scooters_ops.apply_config(null)")


def test_every_bad_key_is_named_at_once() -> None:
    document = changed(FACTOR, -1)
    document["detcetion"] = {}
    del document["routes"][0]["recipients"][1]["queue"]
    with pytest.raises(ConfigError) as refusal:
        parse(document)
    assert sorted(problem.partition(":")[0] for problem in refusal.value.problems) == [
        "detcetion",
        "detection.timeouts.timeout_in_point.factor",
        "routes[0].recipients[1].queue",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("notifier", "time_zone"), "Mars/Olympus"),
        (("notifier", "time_zone"), "../../etc/passwd"),
        (("channels", "telegram", "base_url"), "https://bot:secret@api.telegram.org"),
        (("channels", "telegram", "proxy"), "socks5://user:secret@127.0.0.1:1080"),
        (("channels", "st", "base_url"), "https://127.0.0.1:99999"),
    ],
)
def test_a_zone_or_a_url_that_cannot_be_is_refused_by_both(
    database: TestDatabase, path: Path_, value: Any
) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(changed(path, value))
    (problem,) = refusal.value.problems
    assert problem.startswith(f"{written(path)}: ")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^{written(path)}: ") as error:
        database.value(APPLY, json.dumps(changed(path, value)))
    for said in (problem, str(error.value)):
        assert value not in said


# --- A secret where its name belongs --------------------------------------------------------------

BOT_TOKEN, OAUTH_TOKEN = "7000000000:AAEhBOweik6ad6PsWZBqmR5", "y0_AgAAAABVN3SYAADLWwAAAADPb5V3XQ"
IAM_TOKEN, ORGANIZATION = "t1.9euelZqOx5nOj5fDg3s0aA2t0", "8017263"
PASTED: list[tuple[Path_, Any]] = [
    (("channels", "telegram", "token_env"), BOT_TOKEN),
    (("channels", "telegram", "token"), BOT_TOKEN),
    (("channels", "telegram", BOT_TOKEN), True),
    (("channels", "telegram", OAUTH_TOKEN), {}),
    (("channels", "telegram", "proxy_auth_env"), "user:correct-horse"),
    (("channels", "telegram", "proxy"), "socks5://user:correct-horse@127.0.0.1:1080"),
    (("channels", "telegram", "base_url"), f"https://api.telegram.org/bot{BOT_TOKEN}"),
    (("channels", "telegram", "base_url"), f"https://{BOT_TOKEN}@api.telegram.org"),
    (("channels", "telegram", "in_doubt"), BOT_TOKEN),
    (("channels", "st", "token_env"), OAUTH_TOKEN),
    (("channels", "st", "token_env"), IAM_TOKEN),
    (("channels", "st", "org_id_env"), ORGANIZATION),
    (("channels", "st", "auth"), OAUTH_TOKEN),
    (("channels", OAUTH_TOKEN), {}),
    (("http", "token_env"), "correct-horse"),
    (("http",), OAUTH_TOKEN),
    (("routes", 0, "recipients", 0, "type"), BOT_TOKEN),
    (("routes", 0, "recipients", 0, "chat_id"), BOT_TOKEN),
    (("routes", 0, "recipients", 1, "queue"), OAUTH_TOKEN),
    (("notifier", "time_zone"), OAUTH_TOKEN),
    (("notifier", "locale"), OAUTH_TOKEN),
    ((OAUTH_TOKEN,), OAUTH_TOKEN),
]


def test_a_pasted_secret_is_refused_and_nobody_repeats_it(
    command: Any, database: TestDatabase, tmp_path: Path
) -> None:
    """Neither the command line, nor psql with all that an error carries."""
    file = tmp_path / "config.json"
    for path, value in PASTED:
        document = changed(path, value)
        file.write_text(json.dumps(document))
        code, output, errors = command("config", "check", str(file))
        assert (code, output) == (2, ""), (path, value)
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
            database.value(APPLY, json.dumps(document))
        for secret in (BOT_TOKEN, OAUTH_TOKEN, IAM_TOKEN, ORGANIZATION, "correct-horse"):
            assert secret not in errors
            assert secret not in str(refusal.value)


@pytest.mark.parametrize(
    "name",
    ["TOKEN", "_T2", "TELEGRAM_BOT_TOKEN_2", "telegram_token_2", "TelegramToken", "K8S_TOKEN"],
)
def test_a_secret_is_named_in_the_ways_that_people_name_them(name: str) -> None:
    parse(changed(("channels", "telegram", "token_env"), name))


def test_an_error_of_psql_is_short(database: TestDatabase) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.value(APPLY, json.dumps(changed((*TELEGRAM, "chat_id"), 0)))
    assert len(str(refusal.value)) < 600


# --- Routes -------------------------------------------------------------------------------------


def route(**match: Any) -> dict[str, Any]:
    return {"match": match, "recipients": []}


def warned(*routes: dict[str, Any]) -> list[str]:
    return warnings(parse(config(routes=[*routes])))


TIMEOUTS = ["timeout_in_point", "timeout_between_points"]
ALL_BUT_SKIPS = [type for type in NOTIFICATION_TYPES if type != "job_skipped"]
ALL_TYPES = ", ".join(sorted(NOTIFICATION_TYPES))


@pytest.mark.parametrize(
    ("routes", "missed"),
    [
        ([], ALL_TYPES),
        ([route(city="Moscow")], ALL_TYPES),
        ([route(type=ALL_BUT_SKIPS), route(type="job_skipped", city="Moscow")], "job_skipped"),
        ([route(type=ALL_BUT_SKIPS), route(type="job_skipped", job_type="pickup")], "job_skipped"),
    ],
)
def test_routes_without_a_last_one_that_matches_everything_are_warned_of(
    routes: list[dict[str, Any]], missed: str
) -> None:
    (warning,) = warned(*routes)
    assert warning.startswith(f"routes: no last one matches every {missed}: ")


@pytest.mark.parametrize(
    "routes",
    [
        [route()],
        [route(city="Moscow"), route()],
        [route(type=ALL_BUT_SKIPS), route(type=["job_skipped"])],
        [route() | {"continue": True}],
    ],
)
def test_routes_that_leave_nothing_out_are_not(routes: list[dict[str, Any]]) -> None:
    assert warned(*routes) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route(), route(city="Moscow")),
        (route(city="Moscow"), route(city="Moscow")),
        (route(city=["Moscow", "Kazan"]), route(city="Kazan", zone=7)),
        (route(city=["Moscow", 1]), route(city=[1, "Moscow"])),
        (route(type=TIMEOUTS), route(type="timeout_in_point")),
        (route(type=[*NOTIFICATION_TYPES], city="Omsk"), route(city="Omsk")),
        (route(type="job_skipped"), route(job_type="pickup")),
    ],
)
def test_a_route_that_can_never_be_reached_is_warned_of(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    harmless = route(zone="North")
    assert warned(harmless, first, second, route(country="none"), route())[:1] == [
        "routes[2]: never reached: what it matches, routes[1] decides"
    ]
    assert warned(harmless, first | {"continue": True}, second, route()) == []


def test_a_route_all_of_whose_types_others_decide_is_warned_of() -> None:
    by_type = [route(type="job_skipped"), route(zone="North"), route(type=ALL_BUT_SKIPS)]
    assert warned(*by_type, route(city="Moscow")) == [
        "routes[3]: never reached: what it matches, routes[0] and routes[2] decide"
    ]
    assert warned(*by_type[:2], route(city="Moscow"), by_type[2]) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route(city="Moscow"), route(city=["Moscow", "Kazan"])),
        (route(city="Moscow"), route(zone="North")),
        (route(city="Moscow", zone=7), route(city="Moscow")),
        (route(city=True), route(city=1)),
        (route(city="1"), route(city=1)),
        (route(type="job_skipped"), route(city="Moscow")),
    ],
)
def test_a_route_that_something_reaches_is_not(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert warned(first, second, route()) == []


def test_a_route_that_asks_for_the_job_of_a_timeout_is_warned_of() -> None:
    assert warned(route(type=TIMEOUTS, job_type="pickup"), route()) == [
        "routes[0]: never matches: only job_skipped has a job_type"
    ]
    assert warned(route(job_type="pickup"), route()) == []


def test_an_unknown_type_is_refused_by_both_in_the_same_words(database: TestDatabase) -> None:
    for value, path in (
        ("job_skiped", "routes[0].match.type"),
        (["job_skipped", "timeout"], "routes[0].match.type[1]"),
        (True, "routes[0].match.type"),
    ):
        document = changed(("routes", 0, "match", "type"), value)
        with pytest.raises(ConfigError) as refusal:
            parse(document)
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
            database.value(APPLY, json.dumps(document))
        assert refusal.value.problems == [refused.value.diag.message_primary]
        assert refusal.value.problems == [f"{path}: must be one of {', '.join(NOTIFICATION_TYPES)}"]


def test_a_config_with_an_unknown_type_that_is_in_force_already_stops_nobody(
    database: TestDatabase,
) -> None:
    """An earlier version accepted it, or a newer one that knows the type."""
    database.connection.execute(
        "update scooters_ops.configs set"
        " config = jsonb_set(config, '{routes,0,match,type}', '\"battery_low\"')"
    )
    stored = database.value("select config from scooters_ops.config_in_force")
    assert parse_stored(stored).routes[0].match["type"] == "battery_low"
    with pytest.raises(ConfigError):
        parse(stored)


# --- Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{\n  "detection": {\n    "enabled": true,,\n', r"broken JSON at line 3, column 21: "),
        ("", r"broken JSON at line 1, column 1: "),
        ('{"a": NaN}', r"broken JSON: NaN is no number$"),
        ('{"a": -Infinity}', r"broken JSON: -Infinity is no number$"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', r"'c'.*twice"),
        ("[" * 100_000, r"broken JSON"),
        ("// comment\n{}", r"broken JSON at line 1, column 1"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: .*{problem}"):
        read_json(file)


def test_a_file_that_is_missing_unreadable_or_no_text_is_refused_with_its_name(
    tmp_path: Path,
) -> None:
    latin = tmp_path / "latin.json"
    latin.write_bytes('{"city": "Zürich"}'.encode("latin-1"))
    for file, problem in (
        (tmp_path / "nowhere.json", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (latin, "not UTF-8 text: invalid start byte at byte 11"),
    ):
        with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: {problem}$"):
            load(file)


@pytest.fixture
def command(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """notifier ARGUMENTS, on the test's database; returns exit code, output and errors."""
    monkeypatch.setenv("DATABASE_URL", database.conninfo)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize("action", ["check", "apply"])
def test_the_command_names_each_problem_and_changes_nothing(
    command: Any, database: TestDatabase, tmp_path: Path, action: str
) -> None:
    file = tmp_path / "config.json"
    document = changed(FACTOR, -1)
    document["detcetion"] = {}
    file.write_text(json.dumps(document))
    code, output, errors = command("config", action, str(file))
    assert (code, output) == (2, "")
    assert errors.splitlines() == [
        "notifier: detection.timeouts.timeout_in_point.factor: must be greater than 0",
        "notifier: detcetion: unknown key",
    ]
    assert database.value("select count(*) from scooters_ops.configs") == 1


@pytest.mark.parametrize("action", ["check", "apply"])
def test_a_missing_template_is_named_and_nothing_is_changed(
    command: Any,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    action: str,
) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    (templates / "ru/job_skipped/st.summary.j2").unlink()
    monkeypatch.setattr(cli, "TEMPLATES", templates)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(notifier__locale="ru")))
    code, output, errors = command("config", action, str(file))
    assert (code, output) == (2, "")
    assert "ru/job_skipped/st.summary.j2" in errors
    assert database.value("select count(*) from scooters_ops.configs") == 1


def test_the_command_applies_shows_and_says_when_nothing_changes(
    command: Any, database: TestDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(changed(FACTOR, 2)))
    assert command("config", "check", str(file)) == (0, f"{file}: good\n", "")
    assert database.value("select count(*) from scooters_ops.configs") == 1
    assert command("config", "apply", str(file)) == (0, f"{file}: in force as config 2\n", "")
    assert command("config", "apply", str(file)) == (
        0,
        f"{file}: in force already, as config 2\n",
        "",
    )
    code, output, _ = command("config", "show")
    assert code == 0
    assert parse(json.loads(output)) == parse(changed(FACTOR, 2))


@pytest.mark.parametrize("action", ["check", "apply"])
def test_the_command_warns_of_routes_and_goes_on(command: Any, tmp_path: Path, action: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(routes=[route(city="Moscow"), route(city="Moscow")])))
    code, output, errors = command("config", action, str(file))
    assert code == 0
    assert output in (f"{file}: good\n", f"{file}: in force as config 2\n")
    first, second = errors.splitlines()
    assert first.startswith("notifier: warning: routes[1]: never reached")
    assert second.startswith("notifier: warning: routes: no last one matches every")


def test_a_changed_schedule_is_pointed_out(command: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(detection__schedule="30 seconds")))
    _, output, _ = command("config", "apply", str(file))
    assert output.endswith("What pg_cron runs, or when, has changed: make schedule\n")
    file.write_text(json.dumps(config(detection__schedule="30 seconds", notifier__batch_size=7)))
    _, output, _ = command("config", "apply", str(file))
    assert "make schedule" not in output


# --- In force -----------------------------------------------------------------------------------


def test_the_config_of_the_repository_is_good_and_so_is_the_designs_example() -> None:
    assert warnings(load(ROOT / "config.json")) == []
    assert warnings(parse(json.loads(EXAMPLE))) == []


def test_defaults_are_filled_in_and_are_the_same_in_python_and_in_the_database(
    database: TestDatabase,
) -> None:
    database.value(APPLY, EXAMPLE)
    stored = database.value("select config from scooters_ops.config_in_force")
    assert stored["detection"]["stalled_after_seconds"] == 180
    assert stored["routes"][0]["continue"] is False
    assert stored["channels"]["telegram"]["in_doubt"] == "resend"
    assert stored["channels"]["st"]["api_version"] == "v3"
    assert stored["notifier"]["time_zone"] == "UTC"
    assert stored["retention"] == {
        "schedule": "17 * * * *",
        "passes_seconds": 604800,
        "cron_runs_seconds": 259200,
        "idempotency_keys_seconds": 604800,
        "notifiers_seconds": 86400,
        "notifications_seconds": 7776000,
        "batch_size": 1000,
    }
    assert parse(stored) == parse(json.loads(EXAMPLE))


def test_applying_the_same_config_twice_makes_no_new_row_and_wakes_nobody(
    database: TestDatabase,
) -> None:
    database.create_mission()
    first = database.apply_config(detection__enabled=False)
    wakeups = database.value("select count(*) from scooters_ops.mission_wakeups")
    assert database.apply_config(detection__enabled=False) == first
    assert database.value("select max(config_id) from scooters_ops.config_history") == first
    assert database.value("select count(*) from scooters_ops.mission_wakeups") == wakeups
    assert database.apply_config() > first
    assert database.value("select count(*) from scooters_ops.config_history") == 3


def test_the_history_keeps_who_and_when(database: TestDatabase) -> None:
    database.connection.execute("create role dba_of_configs login superuser")
    try:
        with psycopg.connect(database.conninfo, user="dba_of_configs", autocommit=True) as dba:
            dba.execute("set role scooters_ops_notifier; reset role")
            dba.execute(APPLY, (json.dumps(changed(FACTOR, 3)),))
        rows = database.rows("select * from scooters_ops.config_history order by config_id")
        assert [row["applied_by"] for row in rows] == ["postgres", "dba_of_configs"]
        assert datetime.now(UTC) - rows[1]["applied_at"] < timedelta(minutes=1)
        assert [
            row["config"]["detection"]["timeouts"]["timeout_in_point"]["factor"] for row in rows
        ] == [1.5, 3]
        assert database.value("select applied_by from scooters_ops.config_in_force") == (
            "dba_of_configs"
        )
    finally:
        database.connection.execute("drop role dba_of_configs")


def test_the_views_read_the_config_in_force(database: TestDatabase) -> None:
    database.apply_config(
        detection__enabled=False,
        detection__notify_within_seconds=90,
        detection__default_job_eta_seconds=0.5,
        detection__job_eta_seconds={"pickup": 61},
        detection__timeouts__timeout_in_point={
            "enabled": False,
            "factor": 1.25,
            "minimum_seconds": 30,
        },
    )
    assert database.rows(
        "select detection_enabled, default_job_eta, notify_within from scooters_ops.config_in_force"
    ) == [
        {
            "detection_enabled": False,
            "default_job_eta": timedelta(seconds=0.5),
            "notify_within": timedelta(seconds=90),
        }
    ]
    assert database.rows("select * from scooters_ops.job_type_etas") == [
        {"type": "pickup", "eta": timedelta(seconds=61)}
    ]
    (rule,) = database.rows(
        "select * from scooters_ops.timeout_rules where type = 'timeout_in_point'"
    )
    assert (rule["is_enabled"], float(rule["factor"]), rule["minimum"]) == (
        False,
        1.25,
        timedelta(seconds=30),
    )


# --- The generated schema -----------------------------------------------------------------------


@pytest.mark.parametrize("file", generated_files(), ids=lambda file: file.name)
def test_generated_files_are_current(file: Path) -> None:
    assert file.read_text("utf-8") == generated_files()[file], "python -m notifier.config"


ANNOTATIONS = {"$schema", "title", "description", "default"}


def schema_nodes(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema and every schema within it."""
    yield schema
    for key in ("$defs", "properties"):
        for part in schema.get(key, {}).values():
            yield from schema_nodes(part)
    for key in ("anyOf", "oneOf"):
        for part in schema.get(key, []):
            yield from schema_nodes(part)
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), dict):
            yield from schema_nodes(schema[key])


@pytest.mark.parametrize("source", ["config", "mission"])
def test_every_keyword_of_the_schemas_is_one_that_the_database_checks(
    database: TestDatabase, source: str
) -> None:
    schema = (
        json_schema()
        if source == "config"
        else database.value("select scooters_ops.mission_schema()")
    )
    keywords = {key for node in schema_nodes(schema) for key in node} - ANNOTATIONS
    checker = (ROOT / "sql/config/checked_json.sql").read_text("utf-8")
    assert {
        key for key in keywords if f"'{key}'" not in checker and f"'{{{key}," not in checker
    } <= {"oneOf"}
    for node in schema_nodes(schema):
        checked = node.keys() - ANNOTATIONS - {"$defs"}
        # These decide alone: the database does not look at what stands beside them.
        if "oneOf" in node:
            assert checked == {"oneOf", "discriminator"}
            assert set(node["discriminator"]["mapping"].values()) == {
                option["$ref"] for option in node["oneOf"]
            }
        for alone in ("$ref", "anyOf"):
            assert alone not in node or checked == {alone}
        if "not" in node:
            assert node["not"].keys() == {"required"}
        if "additionalProperties" in node:
            assert node["additionalProperties"] is not True


def test_the_databases_schema_is_the_notifiers(database: TestDatabase) -> None:
    assert database.value("select scooters_ops.config_schema()") == json.loads(
        json.dumps(json_schema())
    )


# --- Both agree, whatever the document ----------------------------------------------------------

# What json.dumps cannot write, as it stands in a file.
VERBATIM = re.compile('"@@(.*?)@@"')
NUMBERS = [
    *("-0", "-0.0", "0e5", "0e-5", "5.0", "5e0", "1.5e1", "1.50e1", "100e-2", "5E+2", "1e16"),
    *("0e500", "0e-16384", "0e-20000", "0e9999999999", "1" + "0" * 300, "1" + "0" * 301),
    *("1e300", "1.0000000001e300", "1e-300", "9e-301", "1e400", "-1e400", "1e-400", "4e-324"),
    *("31622400.0000000001", "100.00000000000001", "100.0000000000000001", "1e131073"),
    *("1e999999999", "1e-999999999", "0.1000000000000000055511151231257827", "9" * 310, "9" * 5000),
    *("9223372036854775807.0", "9223372036854775808", "-9223372036854775809", "1e18", "NaN"),
]
DEEP = ["[" * depth + "]" * depth for depth in (40, 900, 20_000)]


def verbatim(text: str) -> str:
    return f"@@{text}@@"


def written_out(document: Any) -> str:
    """The document as a file has it."""
    return VERBATIM.sub(lambda found: found[1], json.dumps(document))


ZONES = [
    *("UTC", "utc", "Europe/Moscow", "europe/moscow", "posix/UTC", "right/UTC", "localtime"),
    *("posixrules", "Factory", "EST5EDT", "Etc/GMT+5", "UTC+3", "MSK", "/UTC", "Europe"),
    *("Europe/", "America/Argentina/Buenos_Aires", "UTC\n", "U/../UTC", "X" * 300),
]
HOSTS = [
    *("a", "a.", "a.b", "a..b", ".a", "-a", "a_b", "3proxy", "1.2.3", "1.2.3.4", "256.1.1.1"),
    *("1.2.3.04", "0x7f.1", "a:0", "a:1", "a:65535", "a:65536", "a:099", "a:", "[::1]", "[::]"),
    *("[1::2::3]", "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[12345::]"),
    *("[::1", "::1", "[g::]", "u@a", "u:p@a", "xn--a", "ab--c", "abc--d", "a.xn--b", "a b"),
    *("a?b", "a#b", "a/%zz", "a\\b"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [-1, 0, 1, 2, 59, 60, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1]
    ),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*NUMBERS, *DEEP]).map(verbatim),
    st.sampled_from(ZONES),
    st.sampled_from(HOSTS).map("http://{}".format),
    st.sampled_from(["x" * 3000, "A" * 128, "A" * 129, "a" * 40, "a" * 41, "a1" * 21]),
    st.sampled_from(
        [
            "",
            "NaN",
            "10 seconds",
            "1 second",
            "10 seconds\n",
            "*/5 * * * *",
            "1-5,7 0-23/2 * jan mon-fri",
            "* * * * * *",
            "telegram",
            "st",
            "resend",
            "hold",
            "en",
            "ru",
            "v2",
            "iam",
            "DUTY",
            "@moscow",
            "TOKEN_1",
            "1TOKEN",
            "UTC",
            "Europe/Moscow",
            "http://127.0.0.1:8080/a/b",
            "https://[::1]",
            "https://пример.рф",
            "http://a b",
            "http://a\n",
            "socks5://127.0.0.1:1080",
            "\u212aELVIN",
            "٣ seconds",
        ]
    ),
    st.text(max_size=6),
    st.sampled_from(["\0", "a\0", "\ud800", "\udc00\ud800", "\u202e", "\x1b[31m"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=2)
        | st.dictionaries(st.text("ab", min_size=1, max_size=1), values, max_size=2)
    ),
    max_leaves=4,
)
ROUTES: list[Any] = [
    {"match": {}, "recipients": []},
    {"match": {"a": [1, True, "x"]}, "recipients": [], "continue": True},
    {"type": "telegram", "chat_id": "@moscow", "message_thread_id": 7},
    {"type": "st", "queue": "DUTY"},
]


def containers(document: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Every object and array of a document."""
    if isinstance(document, dict | list):
        yield document
        for part in document.values() if isinstance(document, dict) else document:
            yield from containers(part)


@st.composite
def mutated_configs(draw: st.DrawFn) -> dict[str, Any]:
    """config.json, or the least that is one, with a few things removed, replaced or added."""
    document: dict[str, Any] = copy.deepcopy(draw(st.sampled_from([CONFIG, json.loads(EXAMPLE)])))
    keys = sorted(
        {key for node in schema_nodes(json_schema()) for key in node.get("properties", {})}
    )
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(containers(document))))
        value = draw(VALUES | st.sampled_from(ROUTES).map(copy.deepcopy))
        action = draw(st.sampled_from(["remove", "replace", "add"]))
        if isinstance(place, dict):
            old = st.sampled_from(sorted(place)) if place else st.nothing()
            new = st.sampled_from([*keys, "\x1b[2J", "a\0", "\ud800", "x" * 200]) | st.text(
                "aб", min_size=1, max_size=2
            )
            key = draw(new if action == "add" or not place else old)
            if action == "remove":
                place.pop(key, None)
            else:
                place[key] = value
        elif action == "add" or not place:
            place.append(value)
        else:
            position = draw(st.integers(0, len(place) - 1))
            place[position : position + 1] = [] if action == "remove" else [value]
    return document


@pytest.fixture(scope="module")
def connection(cluster: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database of this module's own; each example is rolled back."""
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database configs template {TEMPLATE} strategy file_copy")
        with psycopg.connect(cluster.conninfo("configs")) as connection:
            yield connection
        admin.execute("drop database configs with (force)")


@settings(
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=mutated_configs())
def test_the_notifier_and_the_database_accept_the_same_configs_and_understand_the_same(
    connection: psycopg.Connection[Any], tmp_path_factory: Any, document: dict[str, Any]
) -> None:
    agree(connection, tmp_path_factory.getbasetemp() / "config.json", document)


def agree(connection: psycopg.Connection[Any], file: Path, document: dict[str, Any]) -> None:
    """The command line and psql, given the same file, both refuse it, for the same key, or both
    accept it and understand the same."""
    text = written_out(document)
    file.write_text(text)
    try:
        understood = load(file)
        problems = []
    except ConfigError as refusal:
        problems = refusal.problems

    refusal_of_database, stored = None, None
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                connection.execute(APPLY, (text,))
                (stored,) = connection.execute(
                    "select config from scooters_ops.config_in_force"
                ).fetchone() or (None,)
        except (psycopg.DataError, psycopg.errors.StatementTooComplex) as refusal:
            refusal_of_database = refusal

    assert (refusal_of_database is None) == (not problems), (problems, refusal_of_database)
    if refusal_of_database is None:
        assert parse(stored) == understood
        return
    for said in (*problems, refusal_of_database.diag.message_primary or ""):
        assert not STEERING.search(said)
    # What cannot be read at all has no path.
    can_be_read = not problems[0].startswith(str(file)) and "cannot be stored" not in problems[0]
    if can_be_read and isinstance(refusal_of_database, psycopg.errors.InvalidParameterValue):
        paths = tuple(problem.partition(": ")[0] for problem in problems)
        assert str(refusal_of_database).startswith(paths), problems


def test_both_agree_on_every_number_zone_and_url(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """At a whole number, a number, a bounded one, and wherever a value of any kind may be."""
    file = tmp_path / "config.json"
    places: list[Path_] = [
        ("notifier", "batch_size"),
        (*TELEGRAM, "chat_id"),
        FACTOR,
        ("detection", "default_job_eta_seconds"),
        ("routes", 0, "match", "city"),
    ]
    for number in [*NUMBERS, *DEEP]:
        for place in places:
            agree(connection, file, changed(place, verbatim(number)))
    for zone in ZONES:
        agree(connection, file, changed(("notifier", "time_zone"), zone))
    for host in HOSTS:
        agree(connection, file, changed(("channels", "st", "base_url"), f"https://{host}"))
        agree(connection, file, changed(("channels", "telegram", "proxy"), f"socks5://{host}"))


def test_both_know_the_same_time_zones(connection: psycopg.Connection[Any]) -> None:
    query = "select name from pg_timezone_names where name ~ '^[A-Z]'"
    for (name,) in connection.execute(query):
        parse(changed(("notifier", "time_zone"), name))
    known = {name for (name,) in connection.execute(query)}
    assert {name for name in available_timezones() if name[0].isupper()} <= known


@settings(max_examples=50, deadline=None)
@given(host=st.from_regex(re.compile(rf"\A{HOST_AND_PORT}\Z", re.ASCII)))
def test_every_host_that_is_accepted_can_be_called(host: str) -> None:
    url = httpx.URL(f"https://{host}/path")
    assert url.host
    assert url.port is None or 1 <= url.port <= 65535


def test_a_repeated_key_is_refused_by_the_command_line_alone(
    database: TestDatabase, tmp_path: Path
) -> None:
    """jsonb keeps the last one and no trace of the others: psql cannot tell."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG)[:-1] + ', "routes": []}')
    with pytest.raises(ConfigError, match="'routes' stands twice"):
        load(file)
    database.value(APPLY, file.read_text())


def test_every_channel_has_settings_in_the_schema() -> None:
    assert json_schema()["$defs"]["Channels"]["properties"].keys() == CHANNELS.keys()


def test_the_database_knows_which_time_zones_there_are(database: TestDatabase) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^notifier\.time_zone: is not"):
        database.apply_config(notifier__time_zone="Mars/X")
    database.apply_config(notifier__time_zone="Europe/Moscow")
