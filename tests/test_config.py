"""The config: what the notifier and the database refuse, and what is in force."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier import cli
from notifier.commands import config as commands
from notifier.config import ConfigError, load, parse, parse_stored, read_json, warnings
from notifier.notification_types import NOTIFICATION_TYPES
from notifier.resources import ROOT
from tests.config_rigs import APPLY, EXAMPLE, FACTOR, REMOVED, TELEGRAM, TRACKER, Path_, changed
from tests.conftest import CONFIG, TestDatabase, config


def written(path: Path_) -> str:
    """A path as messages write it, for example routes[0].recipients[1].queue."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).lstrip(".")


# --- Refused by both ------------------------------------------------------------------------------


BAD_ZONES: list[Any] = [
    *("Mars/Olympus", "europe/moscow", "UTC+3", "", 3, [], {}),
    *({"attribute": ""}, {"attribute": 7}, {"attribute": "tz", "zone": "UTC"}),
]

# A change, and the path in the message if it is not that of the change.
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
    (
        ("routes", 0, "escalate"),
        [{"after_seconds": 60}],
        ("routes", 0, "escalate", 0, "recipients"),
    ),
    (
        ("routes", 0, "escalate"),
        [{"after_seconds": 60, "recipients": []}],
        ("routes", 0, "escalate", 0, "recipients"),
    ),
    (
        ("routes", 0, "remind"),
        {"every_seconds": 0, "times": 1},
        ("routes", 0, "remind", "every_seconds"),
    ),
    (("routes", 0, "remind"), {"every_seconds": 60}, ("routes", 0, "remind", "times")),
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
    (("silences",), {"longest": 1}, ("silences", "longest")),
    (("silences",), {"longest_seconds": 0}, ("silences", "longest_seconds")),
    (("silences",), {"longest_seconds": 31_622_401}, ("silences", "longest_seconds")),
    (("silences",), {"longest_seconds": None}, ("silences", "longest_seconds")),
    (("silences",), None, None),
    (("channels", "telegram", "digest_above"), 0, None),
    (("channels", "telegram", "digest_above"), 1001, None),
    (("channels", "st", "digest_above"), 2.5, None),
    (("channels", "st", "digest_above"), True, None),
    (("detection", "silent_input_after_seconds"), 0, None),
    (("detection", "silent_input_after_seconds"), "15 minutes", None),
    (("detection", "silent_input_after_seconds"), 31_622_401, None),
    *(
        (("detection", "overrides"), [override], ("detection", "overrides", 0, *culprit))
        for override, culprit in (
            ("winter", ()),
            ({"match": {}}, ("name",)),
            ({"name": "winter"}, ("match",)),
            ({"name": "", "match": {}}, ("name",)),
            ({"name": "x" * 101, "match": {}}, ("name",)),
            ({"name": 7, "match": {}}, ("name",)),
            ({"name": "winter", "match": {}, "factor": 2}, ("factor",)),
            ({"name": "winter", "match": {}, "continue": True}, ("continue",)),
            ({"name": "winter", "match": []}, ("match",)),
            ({"name": "winter", "match": {"city": None}}, ("match", "city")),
            ({"name": "winter", "match": {"city": []}}, ("match", "city")),
            ({"name": "winter", "match": {"job_type": "pickup"}}, ("match", "job_type")),
            ({"name": "winter", "match": {"type": "job_skipped"}}, ("match", "type")),
            ({"name": "winter", "match": {"at": "night"}}, ("match", "at")),
            ({"name": "winter", "match": {"at": 7}}, ("match", "at")),
            ({"name": "winter", "match": {"at": [True]}}, ("match", "at", 0)),
            ({"name": "winter", "match": {}, "timeouts": None}, ("timeouts",)),
            (
                {"name": "winter", "match": {}, "timeouts": {"job_skipped": {}}},
                ("timeouts", "job_skipped"),
            ),
            *(
                (
                    {"name": "winter", "match": {}, "timeouts": {"timeout_in_point": rule}},
                    ("timeouts", "timeout_in_point", key),
                )
                for key, rule in (
                    ("factor", {"factor": 0}),
                    ("factor", {"factor": 100.5}),
                    ("factor", {"factor": "2"}),
                    ("minimum_seconds", {"minimum_seconds": -1}),
                    ("minimum_seconds", {"minimum_seconds": 31_622_401}),
                    ("enabled", {"enabled": False}),
                )
            ),
            (
                {"name": "winter", "match": {}, "job_eta_seconds": {"pickup": -1}},
                ("job_eta_seconds", "pickup"),
            ),
            ({"name": "winter", "match": {}, "job_eta_seconds": None}, ("job_eta_seconds",)),
            (
                {"name": "winter", "match": {}, "default_job_eta_seconds": -1},
                ("default_job_eta_seconds",),
            ),
        )
    ),
    *(
        (
            ("calendars",),
            {"night": {"from": "22:00", "to": "07:00", "time_zone": zone}},
            ("calendars", "night", "time_zone"),
        )
        for zone in BAD_ZONES
    ),
    (
        ("detection", "overrides"),
        [{"name": "a", "match": {}}, {"name": "b", "match": {}}, {"name": "a", "match": {}}],
        ("detection", "overrides", 2, "name"),
    ),
    (
        ("detection", "overrides"),
        [{"name": str(n), "match": {}} for n in range(1001)],
        ("detection", "overrides"),
    ),
    (("routes", 0, "match", "at"), "night", None),
    (("routes", 0, "match", "at"), ["night"], ("routes", 0, "match", "at", 0)),
    (("calendars",), [], None),
    (("calendars",), None, None),
    *(
        (("calendars",), {"night": calendar}, ("calendars", "night", *culprit))
        for calendar, culprit in (
            ("22:00-07:00", ()),
            ({"to": "07:00"}, ("from",)),
            ({"from": "22:00"}, ("to",)),
            ({"from": "24:00", "to": "07:00"}, ("from",)),
            ({"from": "9:00", "to": "18:00"}, ("from",)),
            ({"from": "22:00", "to": "24:01"}, ("to",)),
            ({"from": "22:00", "to": "07:60"}, ("to",)),
            ({"from": "22:00", "to": "07:00:00"}, ("to",)),
            ({"from": "22:00", "to": 7}, ("to",)),
            ({"from": "22:00", "to": "22:00"}, ("to",)),
            ({"from": "22:00", "to": "07:00", "day": ["mon"]}, ("day",)),
            ({"from": "22:00", "to": "07:00", "days": []}, ("days",)),
            ({"from": "22:00", "to": "07:00", "days": "mon"}, ("days",)),
            ({"from": "22:00", "to": "07:00", "days": ["mon", "Tue"]}, ("days", 1)),
            ({"from": "22:00", "to": "07:00", "days": [1]}, ("days", 0)),
        )
    ),
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
    """Or with the path of a part: in a list of values to match, it names the bad one."""
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
def test_only_an_object_is_a_config(database: TestDatabase, document: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the document: "):
        parse(document)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^the document: "):
        database.value(APPLY, json.dumps(document))


def test_the_database_refuses_null(database: TestDatabase) -> None:
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
def test_an_impossible_time_zone_or_url_is_refused_by_both(
    database: TestDatabase, path: Path_, value: Any
) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(changed(path, value))
    (problem,) = refusal.value.problems
    assert problem.startswith(f"{written(path)}: ")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^{written(path)}: ") as error:
        database.value(APPLY, json.dumps(changed(path, value)))
    for message in (problem, str(error.value)):
        assert value not in message


# --- A secret instead of its name -----------------------------------------------------------------

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


def test_a_pasted_secret_is_refused_and_never_repeated(
    command: Any, database: TestDatabase, tmp_path: Path
) -> None:
    """Neither by the command line nor by psql, in any field of the error."""
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
def test_common_names_of_environment_variables_are_accepted(name: str) -> None:
    parse(changed(("channels", "telegram", "token_env"), name))


def test_the_error_in_psql_is_short(database: TestDatabase) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.value(APPLY, json.dumps(changed((*TELEGRAM, "chat_id"), 0)))
    assert len(str(refusal.value)) < 600


# --- Routes ---------------------------------------------------------------------------------------


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
def test_a_warning_is_given_if_no_last_route_matches_everything(
    routes: list[dict[str, Any]], missed: str
) -> None:
    (warning,) = warned(*routes)
    assert warning.startswith(f"routes: no route matches every {missed}: ")


@pytest.mark.parametrize(
    "routes",
    [
        [route()],
        [route(city="Moscow"), route()],
        [route(type=ALL_BUT_SKIPS), route(type=["job_skipped"])],
        [route() | {"continue": True}],
    ],
)
def test_no_warning_is_given_if_the_routes_cover_everything(routes: list[dict[str, Any]]) -> None:
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
def test_a_warning_is_given_for_a_route_that_can_never_be_reached(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    harmless = route(zone="North")
    assert warned(harmless, first, second, route(country="none"), route())[:1] == [
        "routes[2]: never reached: routes[1] decides everything it matches"
    ]
    assert warned(harmless, first | {"continue": True}, second, route()) == []


def test_a_warning_is_given_if_earlier_routes_decide_all_types_of_a_route() -> None:
    by_type = [route(type="job_skipped"), route(zone="North"), route(type=ALL_BUT_SKIPS)]
    assert warned(*by_type, route(city="Moscow")) == [
        "routes[3]: never reached: routes[0] and routes[2] decide everything it matches"
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
def test_no_warning_is_given_for_a_reachable_route(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert warned(first, second, route()) == []


NIGHT = {"from": "22:00", "to": "07:00"}
DUTY = [{"type": "st", "queue": "DUTY"}]


@pytest.mark.parametrize(
    ("first", "second", "is_reached"),
    [
        ({"at": "night"}, {"at": "night", "city": "Moscow"}, False),
        ({"at": ["day", "night"]}, {"at": "night"}, False),
        ({"at": "night"}, {"city": "Moscow"}, True),
        ({"at": "night"}, {"at": ["day", "night"]}, True),
        ({"performer_id": ["c1", "c2"]}, {"performer_id": "c1", "mission_id": "m1"}, False),
        ({"point_id": "p1"}, {"point_id": "p1", "city": "Moscow"}, False),
        ({"point_id": "p1"}, {"mission_id": "m1"}, True),
        ({"type": "timeout_in_point"}, {"type": TIMEOUTS, "city": "Moscow"}, True),
        ({"type": TIMEOUTS}, {"city": "Moscow"}, False),
    ],
)
def test_a_warning_is_given_for_an_override_or_a_route_that_is_never_reached(
    first: dict[str, Any], second: dict[str, Any], is_reached: bool
) -> None:
    document = config(
        calendars={"night": NIGHT, "day": {"from": "07:00", "to": "22:00"}},
        detection__overrides=[
            {"name": str(n), "match": match} for n, match in enumerate((first, second))
        ],
        routes=[
            {"match": {"at": ["day", "night"]}, "recipients": [], "continue": True},
            *({"match": match, "recipients": []} for match in (first, second)),
            route(),
        ],
    )
    unreached = [
        "routes[2]: never reached: routes[1] decides everything it matches",
        "detection.overrides[1]: never reached: detection.overrides[0] decides everything it"
        " matches",
    ]
    if first == {"type": TIMEOUTS}:  # a route decides about skipped jobs, too
        del unreached[0]
    assert warnings(parse(document)) == ([] if is_reached else unreached)


def test_a_route_for_a_calendar_does_not_decide_everything() -> None:
    document = config(
        calendars={"always": {"from": "00:00", "to": "24:00"}},
        routes=[{"match": {"at": "always"}, "recipients": []}],
    )
    (warning,) = warnings(parse(document))
    assert warning.startswith(f"routes: no route matches every {ALL_TYPES}")


def test_a_warning_is_given_for_what_can_have_no_effect() -> None:
    """Calendars that nothing uses, numbers where values are text, and levels that would come
    together with the alert."""
    document = config(
        calendars={"day": NIGHT, "night": NIGHT, "dawn": NIGHT},
        detection__timeouts__timeout_between_points__enabled=False,
        detection__overrides=[
            {
                "name": "moscow",
                "match": {"city": "Moscow"},
                "timeouts": {"timeout_in_point": {"factor": 3}},
            },
            {
                "name": "by-night",
                "match": {"at": "night", "performer_id": [7, "c1"]},
                "timeouts": {
                    "timeout_in_point": {"factor": 2.5},
                    "timeout_between_points": {"factor": 9},
                },
            },
            {
                "name": "elsewhere",
                "match": {"zone": 1},
                "timeouts": {"timeout_in_point": {"factor": 1.9, "minimum_seconds": 60}},
            },
        ],
        routes=[
            {
                "match": {"city": "Omsk", "at": "day"},
                "recipients": [],
                "escalate": [
                    {"at_factor": 2, "recipients": DUTY},
                    {"after_seconds": 60, "recipients": DUTY},
                    {"at_factor": 3, "recipients": DUTY},
                ],
            },
            {
                "match": {"type": "timeout_between_points"},
                "recipients": [],
                "escalate": [{"at_factor": 2, "recipients": DUTY}],
            },
            {"match": {"job_type": 7}, "recipients": []},
            route(),
        ],
    )
    together = ": where that override holds, this level comes together with the alert"
    assert warnings(parse(document)) == [
        "routes[0].escalate[0].at_factor: is not more than"
        f" detection.overrides[1].timeouts.timeout_in_point.factor{together}",
        "routes[2].match.job_type: never matches: a job_type is text, in quotes",
        "detection.overrides[1].match.performer_id[0]: never matches: a performer_id is text, in"
        " quotes",
        "calendars.dawn: no route and no override uses it",
    ]


def test_a_warning_is_given_for_a_job_type_on_a_route_for_timeouts() -> None:
    assert warned(route(type=TIMEOUTS, job_type="pickup"), route()) == [
        "routes[0]: never matches: only job_skipped has a job_type"
    ]
    assert warned(route(job_type="pickup"), route()) == []


def test_what_may_be_null_is_refused_with_its_types(database: TestDatabase) -> None:
    document = json.dumps(changed(("channels", "telegram", "digest_above"), "3"))
    with pytest.raises(psycopg.DataError) as refused:
        database.value(APPLY, document)
    said = refused.value.diag.message_primary
    assert said == "channels.telegram.digest_above: must be integer or null"


def test_both_refuse_an_unknown_type_with_the_same_message(database: TestDatabase) -> None:
    for value, path in (
        ("job_skiped", "routes[0].match.type"),
        (["job_skipped", "timeout"], "routes[0].match.type[1]"),
        (True, "routes[0].match.type"),
        ("test", "routes[0].match.type"),
    ):
        document = changed(("routes", 0, "match", "type"), value)
        with pytest.raises(ConfigError) as refusal:
            parse(document)
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
            database.value(APPLY, json.dumps(document))
        assert refusal.value.problems == [refused.value.diag.message_primary]
        assert refusal.value.problems == [f"{path}: must be one of {', '.join(NOTIFICATION_TYPES)}"]


@pytest.mark.parametrize(
    ("match", "levels", "problem"),
    [
        ({}, [{}], "routes[0].escalate[0]: must have after_seconds or at_factor"),
        (
            {},
            [{"after_seconds": 900}, {"at_factor": 3}, {"after_seconds": 900.0}],
            "routes[0].escalate[2].after_seconds: must be more than that of routes[0].escalate[0]",
        ),
        (
            {"type": "timeout_in_point"},
            [{"at_factor": 3}, {"after_seconds": 1}, {"at_factor": 2.5}],
            "routes[0].escalate[2].at_factor: must be more than that of routes[0].escalate[0]",
        ),
        (
            {"type": ["timeout_in_point", "job_skipped"]},
            [{"at_factor": 1.8}],
            "routes[0].escalate[0].at_factor: must be more than the factor of"
            " detection.timeouts.timeout_in_point",
        ),
        (
            {},
            [{"at_factor": 1.5}],
            "routes[0].escalate[0].at_factor: must be more than the factor of"
            " detection.timeouts.timeout_between_points",
        ),
        (
            {"type": "job_skipped"},
            [{"at_factor": 3}],
            "routes[0].escalate[0].at_factor: this route matches no timeout, and nothing else has"
            " an eta: use after_seconds",
        ),
        (
            {"job_type": "pickup"},
            [{"at_factor": 3}],
            "routes[0].escalate[0].at_factor: this route matches no timeout, and nothing else has"
            " an eta: use after_seconds",
        ),
        ({}, [{"at_factor": 1.6}, {"after_seconds": 1}, {"at_factor": 1.7}], None),
        ({"type": "timeout_in_point"}, [{"at_factor": 1.9}], None),
    ],
)
def test_both_refuse_a_level_that_can_never_come_with_the_same_message(
    database: TestDatabase,
    match: dict[str, Any],
    levels: list[dict[str, Any]],
    problem: str | None,
) -> None:
    document = config(
        detection__timeouts__timeout_in_point__factor=1.8,
        detection__timeouts__timeout_between_points__factor=1.5,
        routes=[
            {
                "match": match,
                "recipients": [],
                "escalate": [{**level, "recipients": DUTY} for level in levels],
            }
        ],
    )
    if problem is None:
        assert parse(document).routes[0].escalate
        assert database.value(APPLY, json.dumps(document))
        return
    with pytest.raises(ConfigError) as refusal:
        parse(document)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        database.value(APPLY, json.dumps(document))
    assert refusal.value.problems == [refused.value.diag.message_primary] == [problem]


def test_both_refuse_a_level_for_nobody_with_the_same_message(database: TestDatabase) -> None:
    level = {"after_seconds": 60, "recipients": []}
    document = config(routes=[{"match": {}, "recipients": [], "escalate": [level]}])
    with pytest.raises(ConfigError) as refusal:
        parse(document)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        database.value(APPLY, json.dumps(document))
    assert refusal.value.problems == [refused.value.diag.message_primary]
    assert refusal.value.problems == ["routes[0].escalate[0].recipients: must have 1 items or more"]


def test_a_disabled_rule_bounds_no_level() -> None:
    document = config(
        detection__timeouts__timeout_in_point__enabled=False,
        detection__timeouts__timeout_between_points__enabled=False,
        routes=[
            {"match": {}, "recipients": [], "escalate": [{"at_factor": 0.5, "recipients": DUTY}]}
        ],
    )
    assert parse(document).routes[0].escalate[0].at_factor == 0.5


def test_both_refuse_a_level_whose_channel_is_not_configured_with_the_same_message(
    database: TestDatabase,
) -> None:
    document = config(
        channels__st=None,
        routes=[
            {"match": {}, "recipients": []},
            {
                "match": {},
                "recipients": [],
                "escalate": [
                    {"after_seconds": 60, "recipients": []},
                    {"after_seconds": 90, "recipients": DUTY},
                ],
            },
        ],
    )
    document["routes"][1]["escalate"][0]["recipients"] = [{"type": "telegram", "chat_id": 1}]
    with pytest.raises(ConfigError) as refusal:
        parse(document)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        database.value(APPLY, json.dumps(document))
    assert refusal.value.problems == [refused.value.diag.message_primary]
    assert refusal.value.problems == [
        "routes[1].escalate[1].recipients[0].type: channel 'st' is not configured under channels"
    ]


def test_an_unknown_type_in_the_config_in_force_stops_nothing(
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


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{\n  "detection": {\n    "enabled": true,,\n', r"broken JSON at line 3, column 21: "),
        ("", r"broken JSON at line 1, column 1: "),
        ('{"a": NaN}', r"broken JSON: NaN is not a number$"),
        ('{"a": -Infinity}', r"broken JSON: -Infinity is not a number$"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', r"'c'.*twice"),
        ("[" * 100_000, r"broken JSON"),
        ("// comment\n{}", r"broken JSON at line 1, column 1"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_position(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: .*{problem}"):
        read_json(file)


def test_a_file_that_is_missing_unreadable_or_binary_is_refused_with_its_name(
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
    """Runs notifier ARGUMENTS on the test's database; returns exit code, output and errors."""
    monkeypatch.setenv("DATABASE_URL", database.conninfo)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

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
    monkeypatch.setattr(commands, "TEMPLATES", templates)
    file = tmp_path / "config.json"
    for locale in ("ru", "en"):
        file.write_text(json.dumps(config(notifier__locale=locale)))
        code, output, errors = command("config", action, str(file))
        assert (code, output) == (2, "")
        assert "ru/job_skipped/st.summary.j2" in errors
    assert database.value("select count(*) from scooters_ops.configs") == 1


def test_the_command_applies_and_shows_a_config_and_reports_when_nothing_changes(
    command: Any, database: TestDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(changed(FACTOR, 2)))
    assert command("config", "check", str(file)) == (0, f"{file}: good\n", "")
    assert database.value("select count(*) from scooters_ops.configs") == 1
    assert command("config", "apply", str(file)) == (0, f"{file}: in force as config 2\n", "")
    assert command("config", "apply", str(file)) == (
        0,
        f"{file}: already in force as config 2\n",
        "",
    )
    code, output, _ = command("config", "show")
    assert code == 0
    assert parse(json.loads(output)) == parse(changed(FACTOR, 2))


@pytest.mark.parametrize("action", ["check", "apply"])
def test_the_command_prints_warnings_and_continues(
    command: Any, tmp_path: Path, action: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(routes=[route(city="Moscow"), route(city="Moscow")])))
    code, output, errors = command("config", action, str(file))
    assert code == 0
    assert output in (f"{file}: good\n", f"{file}: in force as config 2\n")
    first, second = errors.splitlines()
    assert first.startswith("notifier: warning: routes[1]: never reached")
    assert second.startswith("notifier: warning: routes: no route matches every")


def test_the_command_mentions_a_changed_schedule(command: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(detection__schedule="30 seconds")))
    _, output, _ = command("config", "apply", str(file))
    assert output.endswith("What pg_cron runs, or when, has changed: make schedule\n")
    file.write_text(json.dumps(config(detection__schedule="30 seconds", notifier__batch_size=7)))
    _, output, _ = command("config", "apply", str(file))
    assert "make schedule" not in output


# --- In force -------------------------------------------------------------------------------------


def test_the_config_of_the_repository_and_the_example_of_the_design_are_valid() -> None:
    assert warnings(load(ROOT / "config.json")) == []
    assert warnings(parse(json.loads(EXAMPLE))) == []


def test_python_and_the_database_fill_in_the_same_defaults(
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
        "intervals_seconds": None,
        "batch_size": 1000,
    }
    assert parse(stored) == parse(json.loads(EXAMPLE))


def test_applying_the_same_config_twice_adds_no_row_and_wakes_no_mission(
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


def test_the_history_records_who_applied_a_config_and_when(database: TestDatabase) -> None:
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
        "select detection_enabled, default_job_eta, notify_within, job_eta_seconds"
        " from scooters_ops.config_in_force"
    ) == [
        {
            "detection_enabled": False,
            "default_job_eta": timedelta(seconds=0.5),
            "notify_within": timedelta(seconds=90),
            "job_eta_seconds": {"pickup": 61},
        }
    ]
    (rule,) = database.rows(
        "select * from scooters_ops.timeout_rules where type = 'timeout_in_point'"
    )
    assert (rule["is_enabled"], float(rule["factor"]), rule["minimum"]) == (
        False,
        1.25,
        timedelta(seconds=30),
    )
