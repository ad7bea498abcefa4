"""The schema of the config: the notifier and the database read any document in the same way."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.channels import CHANNELS
from notifier.channels.settings import HOST_AND_PORT
from notifier.config import ConfigError, load, parse
from notifier.config.schema import generated_files, json_schema
from notifier.notification_types import NOTIFICATION_TYPES, TEST_TYPE, TIMEOUT_TYPES
from notifier.resources import ROOT
from notifier.text import UNSAFE_CHARACTERS
from sandbox.postgres import Postgres
from tests.config_rigs import APPLY, EXAMPLE, FACTOR, TELEGRAM, Path_, changed
from tests.conftest import CONFIG, TEMPLATE, TestDatabase

# --- The generated schema -------------------------------------------------------------------------


@pytest.mark.parametrize("file", generated_files(), ids=lambda file: file.name)
def test_generated_files_are_current(file: Path) -> None:
    assert file.read_text("utf-8") == generated_files()[file], "make schema"


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
def test_the_database_checks_every_keyword_of_the_schemas(
    database: TestDatabase, source: str
) -> None:
    schema = (
        json_schema()
        if source == "config"
        else database.value("select scooters_ops.mission_schema()")
    )
    keywords = {key for node in schema_nodes(schema) for key in node} - ANNOTATIONS
    checker = (ROOT / "sql/config/validate_json.sql").read_text("utf-8")
    assert {
        key for key in keywords if f"'{key}'" not in checker and f"'{{{key}," not in checker
    } <= {"oneOf", "maxJobs"}  # create_mission checks maxJobs
    for node in schema_nodes(schema):
        checked = node.keys() - ANNOTATIONS - {"$defs"}
        # The database ignores any keyword beside these.
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


def test_the_database_and_the_notifier_have_the_same_schema(database: TestDatabase) -> None:
    assert database.value("select scooters_ops.config_schema()") == json.loads(
        json.dumps(json_schema())
    )


def test_the_notifier_and_the_config_know_the_notification_types_of_the_database(
    database: TestDatabase,
) -> None:
    types = database.values(
        "select unnest(enum_range(null::scooters_ops.monitoring_notification_type))::text"
    )
    assert [type for type in types if type != TEST_TYPE] == [*NOTIFICATION_TYPES]
    assert TEST_TYPE in types
    rules = database.values(
        "select jsonb_object_keys(scooters_ops.config_schema() #> '{$defs,Timeouts,properties}')"
    )
    assert {*rules} == {*TIMEOUT_TYPES}
    comment = database.value(
        "select obj_description('scooters_ops.monitoring_notification_type'::regtype)"
    )
    assert all(type in comment for type in types)


# --- Both agree on any document -------------------------------------------------------------------

# Values that json.dumps cannot write, as they appear in a file.
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
    """The document as the text of a file."""
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
    {
        "match": {},
        "recipients": [],
        "escalate": [
            {"after_seconds": 900, "recipients": [{"type": "st", "queue": "DUTY"}]},
            {"at_factor": 3, "recipients": [{"type": "telegram", "chat_id": 1}]},
        ],
        "remind": {"every_seconds": 60, "times": 2},
    },
    {"name": "winter", "match": {"at": "night"}, "timeouts": {"timeout_in_point": {"factor": 2}}},
    {"name": "omsk-winter", "match": {"type": "timeout_in_point", "a": 5}},
    {"from": "09:00", "to": "18:00", "days": ["mon", "sun"], "time_zone": {"attribute": "a"}},
]


def containers(document: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Every object and array in a document."""
    if isinstance(document, dict | list):
        yield document
        for part in document.values() if isinstance(document, dict) else document:
            yield from containers(part)


@st.composite
def mutated_configs(draw: st.DrawFn) -> dict[str, Any]:
    """config.json, or the smallest config, with a few values removed, replaced or added."""
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
    """A connection to a database for this module; each example is rolled back."""
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database configs template {TEMPLATE} strategy file_copy")
        with psycopg.connect(cluster.conninfo("configs")) as connection:
            yield connection
        admin.execute("drop database configs with (force)")


@pytest.mark.slow(seconds=10)
@settings(
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=mutated_configs())
def test_the_notifier_and_the_database_accept_and_read_the_same_configs(
    connection: psycopg.Connection[Any], tmp_path_factory: Any, document: dict[str, Any]
) -> None:
    agree(connection, tmp_path_factory.getbasetemp() / "config.json", document)


def is_zone_unknown(connection: psycopg.Connection[Any], document: dict[str, Any]) -> bool:
    """Whether the server's own data lack a time zone: Debian 13 has names such as Singapore in a
    package of their own, and Python's data have them all."""
    zones = [
        place.get("time_zone")
        for place in (document.get("notifier", {}), *document.get("calendars", {}).values())
    ]
    named = [zone for zone in zones if isinstance(zone, str) and zone in available_timezones()]
    known = connection.execute("select from pg_timezone_names where name = any(%s)", (named,))
    return known.rowcount < len({*named})


def agree(connection: psycopg.Connection[Any], file: Path, document: dict[str, Any]) -> None:
    """Given the same file, the command line and psql either refuse it for the same key, or accept
    it and read the same config."""
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

    if not problems and refusal_of_database and is_zone_unknown(connection, document):
        return
    assert (refusal_of_database is None) == (not problems), (problems, refusal_of_database)
    if refusal_of_database is None:
        assert parse(stored) == understood
        return
    for message in (*problems, refusal_of_database.diag.message_primary or ""):
        assert not UNSAFE_CHARACTERS.search(message)
    # Text that is not JSON has no path.
    can_be_read = not problems[0].startswith(str(file)) and "cannot be stored" not in problems[0]
    if can_be_read and isinstance(refusal_of_database, psycopg.errors.InvalidParameterValue):
        # The notifier checks the size of numbers first, and may name one within a bad value.
        refused = str(refusal_of_database).partition(": ")[0]
        paths = [problem.partition(": ")[0] for problem in problems]
        assert any(refused.startswith(path) or path.startswith(refused) for path in paths), problems


def test_both_agree_on_every_number_zone_and_url(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """For an integer, a number, a bounded number and a value of any type."""
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
        calendar = {"from": "09:00", "to": "24:00", "time_zone": zone}
        agree(connection, file, changed(("calendars",), {"day": calendar}))
    for host in HOSTS:
        agree(connection, file, changed(("channels", "st", "base_url"), f"https://{host}"))
        agree(connection, file, changed(("channels", "telegram", "proxy"), f"socks5://{host}"))


def test_both_know_the_same_time_zones(connection: psycopg.Connection[Any]) -> None:
    query = "select name from pg_timezone_names where name ~ '^[A-Z]'"
    for (name,) in connection.execute(query):
        parse(changed(("notifier", "time_zone"), name))
    known = {name for (name,) in connection.execute(query)}
    table = (files("tzdata") / "zoneinfo" / "zone1970.tab").read_text("utf-8")
    today = {line.split("\t")[2] for line in table.splitlines() if not line.startswith("#")}
    assert len(today) > 300
    assert today | {"UTC"} <= known


@settings(max_examples=50, deadline=None)
@given(host=st.from_regex(re.compile(rf"\A{HOST_AND_PORT}\Z", re.ASCII)))
def test_every_accepted_host_can_be_called(host: str) -> None:
    url = httpx.URL(f"https://{host}/path")
    assert url.host
    assert url.port is None or 1 <= url.port <= 65535


def test_only_the_command_line_refuses_a_repeated_key(
    database: TestDatabase, tmp_path: Path
) -> None:
    """jsonb keeps only the last one, so psql cannot tell."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG)[:-1] + ', "routes": []}')
    with pytest.raises(ConfigError, match="'routes' is listed twice"):
        load(file)
    database.value(APPLY, file.read_text())


def test_every_channel_has_settings_in_the_schema() -> None:
    assert json_schema()["$defs"]["Channels"]["properties"].keys() == CHANNELS.keys()


def test_the_database_refuses_an_unknown_time_zone(database: TestDatabase) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^notifier\.time_zone: is not"):
        database.apply_config(notifier__time_zone="Mars/X")
    database.apply_config(notifier__time_zone="Europe/Moscow")
