"""The programs on a router: two servers with a shard each, and the router beside the first."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier import cli
from notifier.database.schema_version import known_migrations
from notifier.delivery import buttons
from notifier.locales import LOCALES
from notifier.router import build, make_router
from sandbox.databases import create_migrated
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, PATIENCE_SECONDS, TEMPLATE, TestDatabase, config, until
from tests.delivery_rigs import SECRETS, TELEGRAM, House, make_house, running
from tests.http_rigs import LOGIN, HttpProcess, http_process, http_user, is_problem, url_of

PLPROXY = "lib/plproxy.so"


@dataclass
class Rig:
    """A router over a shard in its own server (near) and one in another (far)."""

    router: TestDatabase
    near: TestDatabase
    far_server: Postgres
    file: Path

    @property
    def far_conninfo(self) -> str:
        return self.far_server.conninfo("far")

    @property
    def far_name(self) -> str:
        return f"far at 127.0.0.1:{self.far_server.port}"

    def far(self, query: str, *parameters: Any) -> Any:
        """The first column of a query's first row in the far shard."""
        with psycopg.connect(self.far_conninfo, autocommit=True) as connection:
            row = connection.execute(query, parameters or None).fetchone()
        return row and row[0]

    def missions(self, prefix: str) -> tuple[str, str]:
        """Identifiers of two missions: one that lives near and one that lives far away."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < 2:
            name = f"{prefix}{number}"
            found.setdefault(self.router.value("select scooters_router.shard_of(%s)", name), name)
            number += 1
        return found[0], found[1]

    def answers(self) -> bool:
        """Whether all shards answer this session. It may have to connect again."""
        return bool(self.router.value("select bool_and(is_up) from scooters_ops.shard_status"))

    @contextmanager
    def without_far(self) -> Iterator[None]:
        """The far server is killed, and starts again at the end."""
        self.far_server.kill()
        try:
            yield
        finally:
            self.far_server.start()
            until(self.answers)  # the first question over the lost connection is refused


@pytest.fixture(scope="module")
def rig(cluster: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    if not (cluster.programs.parent / PLPROXY).exists():
        pytest.skip("no PL/Proxy is installed (apt-get install postgresql-15-plproxy)")
    file = tmp_path_factory.mktemp("router") / "shards"
    admin = psycopg.connect(cluster.conninfo("postgres"), autocommit=True)
    with admin, Postgres() as far_server:
        create_migrated(far_server, "far")
        with psycopg.connect(far_server.conninfo("far"), autocommit=True) as far:
            far.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
        admin.execute(f"create database near template {TEMPLATE} strategy file_copy")
        admin.execute("create database router")
        file.write_text(f"{cluster.conninfo('near')}\n{far_server.conninfo('far')}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", cluster.conninfo("router"))
            make_router(file)
        with (
            psycopg.connect(cluster.conninfo("router"), autocommit=True) as router,
            psycopg.connect(cluster.conninfo("near"), autocommit=True) as near,
        ):
            router.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
            yield Rig(
                TestDatabase(cluster, "router", router),
                TestDatabase(cluster, "near", near),
                far_server,
                file,
            )
        for name in ("router", "near"):
            admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def server(rig: Rig) -> Iterator[HttpProcess]:
    with http_user(rig.router) as environment, http_process(environment) as process:
        yield process


# --- The HTTP API --------------------------------------------------------------------------------


def test_through_a_router_the_api_answers_as_on_one_database(rig: Rig, server: HttpProcess) -> None:
    for mission_id in rig.missions("api"):
        mission = {
            "mission_id": mission_id,
            "performer_id": "c1",
            "points": [
                {
                    "point_id": "p1",
                    "eta_seconds": 600,
                    "jobs": [{"job_id": "j1", "type": "battery_exchange"}],
                }
            ],
        }
        assert server.post("/v1/missions", mission).status_code == 201
        assert is_problem(server.post("/v1/missions", mission), 409)
        assert is_problem(server.post("/v1/missions", {"mission_id": mission_id}), 422)
        start = {"type": "mission_started"}
        assert server.record(mission_id, start, key="k1").status_code == 201
        assert server.record(mission_id, start, key="k1").status_code in (200, 201)
        assert is_problem(server.skip(mission_id, "p1", "nope"), 404)
        assert is_problem(server.record(f"{mission_id}-unknown", start), 404)
        assert server.skip(mission_id, "p1", "j1").is_success
        acknowledge = url_of(
            "v1", "notifications", f"{mission_id}_p1_j1_job_skipped", "acknowledge"
        )
        assert server.post(acknowledge, {"by": "Olga"}).json() == {"acknowledged": True}
        assert server.post(acknowledge, {"by": "Ivan"}).json() == {"acknowledged": False}
        assert server.client.get(f"/board/missions/{mission_id}").is_success
    works = {"match": {"city": "Omsk"}, "duration_seconds": 60, "comment": "works", "by": "Olga"}
    silenced = server.post("/v1/silences", works)
    assert silenced.status_code == 201
    number = silenced.json()["silence_id"]
    assert number >= 2**40
    (shown,) = server.client.get("/v1/silences").json()["silences"]
    assert (shown["silence_id"], shown["comment"]) == (number, "works")
    assert is_problem(server.post("/v1/silences", {**works, "match": {}}), 422)
    ended = url_of("v1", "silences", str(number)) + "?by=Ivan"
    assert server.client.delete(ended).json() == {"ended": True}
    assert server.client.delete(ended).json() == {"ended": False}
    assert is_problem(server.client.delete(url_of("v1", "silences", "7") + "?by=Ivan"), 404)
    assert server.client.get("/v1/silences").json() == {"silences": []}
    assert server.client.get("/readyz").json() == {"ready": True, "problems": [], "warnings": []}
    assert "scooters_ops_database_up 1.0" in server.client.get("/metrics").text


def sessions(rig: Rig) -> set[int]:
    """The HTTP server's connections to the router."""
    query = "select pid from pg_stat_activity where usename = %s and datname = 'router'"
    return {*rig.router.values(query, LOGIN)}


def test_a_shard_that_is_away_is_503_for_its_missions_only(rig: Rig, server: HttpProcess) -> None:
    near, far = rig.missions("away")
    for mission_id in (near, far):
        rig.router.create_mission(mission_id)
    up = f'scooters_ops_shard_up{{shard="{rig.far_name}"}}'
    assert f"{up} 1.0" in server.client.get("/metrics").text
    before = sessions(rig)
    with rig.without_far():
        for _ in range(5):
            refused = server.record(far, {"type": "mission_started"})
            assert is_problem(refused, 503)
            assert refused.headers["Retry-After"]
            assert "far at" not in refused.text
        assert server.record(near, {"type": "mission_started"}).status_code == 201
        ready = server.client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert ready.json()["warnings"] == [f"shard {rig.far_name} gives no answer"]
        metrics = server.client.get("/metrics").text
        assert f"{up} 0.0" in metrics
        assert "scooters_ops_detection_enabled 1.0" in metrics
        assert rig.far_name in server.client.get("/board").text
    assert server.record(far, {"type": "mission_started"}).status_code == 201
    assert f"{up} 1.0" in server.client.get("/metrics").text
    assert before <= sessions(rig)
    assert "http_without_database" not in server.log
    assert (
        'scooters_ops_database_errors_total{part="http"} 0.0' in server.client.get("/metrics").text
    )
    assert server.log.count("http_without_shard") == 1


def test_a_shard_that_is_read_only_is_503_for_its_missions_only(
    rig: Rig, server: HttpProcess
) -> None:
    """As while it moves to another server."""
    near, far = rig.missions("moving")
    until(rig.answers)
    for mission_id in (near, far):
        rig.router.create_mission(mission_id)
    with read_only(rig):
        for _ in range(3):
            assert is_problem(server.record(far, {"type": "mission_started"}), 503)
            assert server.record(near, {"type": "mission_started"}).status_code == 201
        assert server.client.get("/readyz").is_success
    until(lambda: server.record(far, {"type": "mission_started"}).status_code == 201)
    assert "http_without_database" not in server.log


@contextmanager
def read_only(rig: Rig) -> Iterator[None]:
    def become(state: str) -> None:
        with psycopg.connect(rig.far_server.conninfo("postgres"), autocommit=True) as admin:
            admin.execute(f"alter database far set default_transaction_read_only = {state}")
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'far'"
            )

    become("on")
    until(rig.answers)
    try:
        yield
    finally:
        become("off")


# --- The command line ----------------------------------------------------------------------------


@pytest.fixture
def run(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs the command line on the router; returns the exit code and everything it printed."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)

    def command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("DATABASE_URL", rig.router.conninfo)
        capsys.readouterr()
        code = cli.main(arguments)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return command


def detected(rig: Rig) -> None:
    """A pass in each shard, so that detection does not look stopped."""
    until(lambda: rig.answers())
    rig.router.value("select scooters_ops.detect_timeouts()")


def test_status_names_the_shard_that_is_missing_and_goes_on_without_it(
    rig: Rig, run: Callable[..., tuple[int, str]]
) -> None:
    detected(rig)
    code, said = run("status")
    assert (code, said.splitlines()[0], said.splitlines()[-1]) == (
        0,
        "Router over 2 shards; what follows is of all of them together",
        "Nothing needs a person.",
    )
    with rig.without_far():
        code, said = run("status")
        assert code == 1
        assert said.splitlines()[0].endswith(f"without {rig.far_name}")
        assert f"Shard {rig.far_name} does not answer" in said
        code, said = run("status", "--output", "json")
        document = json.loads(said)
        assert code == 1
        assert [shard["is_up"] for shard in document["shards"]] == [True, False]
        assert document["is_person_needed"]
    assert run("status", "--jobs")[0] == 0
    # As of a version before that view: shard_status names it.
    rename = "alter view scooters_ops.{} rename to {}"
    with psycopg.connect(rig.far_conninfo, autocommit=True) as far:
        far.execute(rename.format("input_status", "input_status_of_tomorrow").encode())
        code, said = run("status", "--json")
        far.execute(rename.format("input_status_of_tomorrow", "input_status").encode())
    assert code == 0
    assert json.loads(said)["input"]["is_silent"] is False


def test_status_names_the_shard_whose_config_is_not_the_routers(
    rig: Rig, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    detected(rig)
    rig.near.apply_config(detection__default_job_eta_seconds=77)
    code, said = run("status")
    assert code == 1
    near = f"near at 127.0.0.1:{rig.near.cluster.port}"
    assert f"Shard {near} has a config of its own" in said
    assert rig.far_name not in said
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG))
    assert run("config", "apply", str(file))[0] == 0
    assert run("status")[0] == 0
    # As of a version without that setting: the shards' migration has filled it in.
    rig.router.connection.execute(
        "update scooters_ops.configs set config = config #- '{channels,telegram,on_resolved}'"
    )
    assert run("status")[0] == 0
    rig.router.apply_config()


def test_config_preview_retry_and_acknowledge_work_on_a_router(
    rig: Rig, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(detection__default_job_eta_seconds=78)))
    assert run("config", "check", str(file))[0] == 0
    code, said = run("config", "apply", str(file))
    assert (code, "in force" in said) == (0, True)
    assert json.loads(run("config", "show")[1])["detection"]["default_job_eta_seconds"] == 78
    path = "{detection,default_job_eta_seconds}"
    query = f"select config #>> '{path}' from scooters_ops.config_in_force"
    assert rig.near.value(query) == rig.far(query) == "78"
    for mission_id in rig.missions("retry"):
        rig.router.create_mission(mission_id)
        rig.router.value("select scooters_ops.record_event(%s, 'mission_started')", mission_id)
        rig.router.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)
        token = f"{mission_id}_p1_j1_job_skipped"
        assert run("retry", token) == (0, "0 deliveries will be tried again\n")
        code, said = run("preview", "job_skipped", "--token", token)
        assert (code, mission_id in said) == (0, True)
        assert run("acknowledge", token, "--by", "Olga") == (0, "acknowledged by Olga\n")
        code, said = run("acknowledge", token, "--by", "Ivan")
        assert (code, said) == (0, "somebody has acknowledged it already\n")
    assert run("retry", "nobody_p1_j1_job_skipped")[0] == 2
    assert run("acknowledge", "nobody_p1_j1_job_skipped")[0] == 2
    assert run("retry", "--failed")[0] == 0


def test_silences_and_routes_are_asked_and_silent_input_is_told_on_a_router(
    rig: Rig, run: Callable[..., tuple[int, str]], server: HttpProcess
) -> None:
    rig.router.apply_config(detection__silent_input_after_seconds=900)
    near, far = rig.missions("silent")
    rig.far(  # what other tests left there
        "with moved as (update scooters_ops.missions_history"
        " set occurred_at = occurred_at - interval '1 hour' returning 1) select count(*) from moved"
    )
    for mission_id, minutes in ((near, 0), (far, 20)):
        rig.router.create_mission(mission_id, attributes={"city": "Omsk"})
        rig.router.value(
            "select scooters_ops.record_event(%s, 'mission_started', null, now() - %s)",
            mission_id,
            timedelta(minutes=minutes),
        )
        rig.router.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)
    detected(rig)
    code, said = run("status")
    assert code == 1
    assert f"No events come to {rig.far_name}, though missions are active there" in said
    document = json.loads(run("status", "--json")[1])
    assert document["input"]["silent_shards"] == [rig.far_name]
    page = f"<strong>No events come to {rig.far_name}.</strong>"
    until(lambda: page in server.client.get("/board?lang=en").text)
    rig.router.value("select scooters_ops.record_event(%s, 'point_arrived', 'p1')", far)
    assert run("status")[0] == 0

    words = ("city=Omsk", "--for", "2h", "--comment", "works")
    code, said = run("silence", *words, "--dry-run")
    assert (code, f"{near}_p1_j1_job_skipped" in said, f"{far}_p1_j1" in said) == (0, True, True)
    code, said = run("silence", *words, "--by", "olga", "--output", "json")
    assert code == 0
    number = json.loads(said)["silence_id"]
    code, said = run("silences")
    assert (code, said.split()[0], "by olga: works (city=Omsk" in said) == (0, str(number), True)
    assert f"{number}" in run("status", "--json")[1]
    code, said = run("config", "route", "job_skipped", "city=Omsk", "--expect", "telegram:-1001")
    assert (code, f"silence {number} by olga: works" in said) == (0, True)
    assert run("config", "route", "job_skipped", "--expect", "nobody")[0] == 1
    assert run("unsilence", str(number)) == (0, "ended: what it held goes out now\n")
    assert run("unsilence", str(number)) == (0, "it is over already\n")
    assert run("unsilence", "7")[0] == 2
    assert run("silences") == (0, "no silences\n")
    with rig.without_far():
        code, said = run("silence", *words)
        assert code != 0
        assert f"no answer from {rig.far_name}: silence {number + 1} holds in near at " in said
    assert run("unsilence", str(number + 1))[0] == 0
    rig.router.apply_config()


@pytest.mark.parametrize("command", ["run", "schedule", "unschedule", "test --all"])
def test_what_belongs_to_shards_is_refused_on_a_router(
    run: Callable[..., tuple[int, str]], command: str
) -> None:
    code, said = run(*command.split())
    assert code == 2
    assert "is a router" in said


# --- Presses of buttons --------------------------------------------------------------------------


def test_the_routers_notifier_reads_the_presses_for_all_shards(
    rig: Rig, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buttons, "WAIT_SECONDS", 1)
    monkeypatch.setattr(buttons, "REST_SECONDS", 0.05)
    until(rig.answers)
    detected(rig)

    def deliver(house: House) -> None:
        for conninfo in (rig.near.conninfo, rig.far_conninfo):
            monkeypatch.setenv("DATABASE_URL", conninfo)
            house.run_once()

    with make_house(rig.router) as house:
        house.configure(TELEGRAM, channels__telegram__buttons=True)
        tokens = [house.skip(mission_id) for mission_id in rig.missions("pressed")]
        deliver(house)
        monkeypatch.setenv("DATABASE_URL", house.conninfo)
        assert "Nobody reads the presses of the buttons in telegram" in run("status")[1]
        assert run("run", "--once")[0] == 2

        async def press_while_it_runs() -> None:
            async with running() as daemon:
                near, far = (
                    next(each for each in house.telegram.messages if token in each.text)
                    for token in tokens
                )
                with rig.without_far():
                    ids = [house.telegram.press(each, by="ivan") for each in (far, near)]
                    await daemon.until(lambda: bool(house.telegram.shown_to(ids[1])))
                    assert house.telegram.shown_to(ids[0]) == []
                await daemon.until(lambda: bool(house.telegram.shown_to(ids[0])))
                shown = [house.telegram.shown_to(each) for each in ids]
                assert shown == [[LOCALES["en"].press_answers["acknowledged"]]] * 2
                status = await asyncio.to_thread(run, "status")
                assert f"{daemon.notifier.name} asks telegram for presses" in status[1]

        asyncio.run(press_while_it_runs())
        owner = (
            "select acknowledged_by from scooters_ops.notifications where idempotency_token = %s"
        )
        assert [rig.router.value(owner, token) for token in tokens] == ["@ivan", "@ivan"]
        deliver(house)
        assert ["@ivan" in edit.text for edit in house.telegram.edits] == [True, True]
    rig.router.apply_config()


# --- A shard that is killed ----------------------------------------------------------------------


@contextmanager
def killed_in_the_midst(
    rig: Rig, lock: str, query: str, *parameters: Any
) -> Iterator[psycopg.Connection[Any]]:
    """Calls the router, kills the far server while the call waits there for a lock, and starts it
    again; yields the router's session, which got an error."""
    errors: list[psycopg.Error] = []
    session = rig.router.connect()

    def call() -> None:
        try:
            session.execute(query, parameters)
        except psycopg.Error as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    with session, psycopg.connect(rig.far_conninfo) as holder:
        holder.execute(lock)
        thread.start()
        waiting = "select count(*) from pg_locks where not granted"
        until(lambda: rig.far(waiting) or not thread.is_alive())
        assert errors == []
        with rig.without_far():
            holder.close()
            thread.join(PATIENCE_SECONDS)
            (error,) = errors
            assert isinstance(error, psycopg.errors.ConnectionFailure), error
            assert rig.far_name in str(error)
        yield session


def test_an_event_that_a_killed_shard_did_not_answer_may_be_repeated(rig: Rig) -> None:
    near, far = rig.missions("killed")
    until(rig.answers)
    for mission_id in (near, far):
        rig.router.create_mission(mission_id)
    answered = [rig.router.record("mission_started", 0, mission_id=far)]
    lock = "lock table scooters_ops.missions_history in exclusive mode"
    once = (
        "select scooters_ops.record_event_once("
        "%s, 'point_arrived', 'p1', '2026-11-24 12:01Z', 'key')"
    )
    events = "select array_agg(history_id) from scooters_ops.mission_events where mission_id = %s"
    with killed_in_the_midst(rig, lock, once, far) as session:
        # Neither views nor functions need anybody to connect again.
        assert session.execute(events, (far,)).fetchone() == (answered,)
        for _ in range(2):
            session.execute(once, (far,))
        (found,) = session.execute(events, (far,)).fetchone() or ([],)
        assert len(found) == 2


def test_a_skip_that_a_killed_shard_did_not_answer_may_be_repeated(rig: Rig) -> None:
    _, far = rig.missions("skipped")
    until(rig.answers)
    rig.router.create_mission(far)
    rig.router.record("mission_started", 0, mission_id=far)
    lock = "lock table scooters_ops.mission_jobs in exclusive mode"
    skip = "select scooters_ops.skip_job(%s, 'p1', 'j1')"
    told = "select count(*) from scooters_ops.notifications where mission_id = %s"
    with killed_in_the_midst(rig, lock, skip, far) as session:
        assert session.execute(told, (far,)).fetchone() == (0,)
        session.execute(skip, (far,))
        assert session.execute(told, (far,)).fetchone() == (1,)


def test_a_config_that_a_killed_shard_did_not_answer_may_be_applied_again(
    rig: Rig, run: Callable[..., tuple[int, str]]
) -> None:
    until(rig.answers)
    document = json.dumps(config(detection__default_job_eta_seconds=79))
    apply = "select scooters_ops.apply_config(%s)"
    setting = (
        "select config #>> '{detection,default_job_eta_seconds}' from scooters_ops.config_in_force"
    )
    lock = "lock table scooters_ops.configs in exclusive mode"
    before = rig.router.value(setting)
    with killed_in_the_midst(rig, lock, apply, document) as session:
        assert (rig.near.value(setting), rig.far(setting)) == ("79", before)
        assert session.execute(setting).fetchone() == (before,)
        assert "Shard near at" in run("status")[1]
        session.execute(apply, (document,))
        assert {rig.near.value(setting), rig.far(setting), rig.router.value(setting)} == {"79"}
    detected(rig)
    assert run("status")[0] == 0


# --- Upgrades ------------------------------------------------------------------------------------

FUTURE = "9999_future"


def upgrade(connection: psycopg.Connection[Any]) -> None:
    """What a newer version's `make migrate` might do to a shard: views get a column each, a
    function another result, and there is one more type of notification."""
    connection.execute("alter type scooters_ops.monitoring_notification_type add value 'novel'")
    for view in ("mission_timeouts", "detection_status"):
        row = connection.execute(
            "select rtrim(pg_get_viewdef(%s::regclass), ';')", (f"scooters_ops.{view}",)
        ).fetchone()
        assert row is not None
        connection.execute(
            f"create or replace view scooters_ops.{view} as"
            f" select known.*, 'new'::text as novelty from ({row[0]}) as known"
        )
        connection.execute(f"comment on column scooters_ops.{view}.novelty is 'New.'")
    connection.execute("drop function scooters_ops.wake_missions(text[])")
    connection.execute(
        "create function scooters_ops.wake_missions(mission_ids text[]) returns integer"
        " language sql return 7"
    )
    connection.execute("comment on function scooters_ops.wake_missions(text[]) is 'New.'")
    connection.execute(
        "grant execute on function scooters_ops.wake_missions(text[]) to scooters_ops_operator"
    )
    connection.execute(
        "insert into scooters_ops._yoyo_migration (migration_hash, migration_id) values (%s, %s)",
        (FUTURE, FUTURE),
    )


def works(rig: Rig, prefix: str) -> tuple[str, str]:
    """Creates a mission in each shard, and asks what every version knows; returns the missions."""
    missions = rig.missions(prefix)
    for mission_id in missions:
        rig.router.create_mission(mission_id)
        rig.router.value("select scooters_ops.record_event(%s, 'mission_started')", mission_id)
    found = "select count(*) from scooters_ops.mission_overview where mission_id = any(%s)"
    assert rig.router.value(found, [*missions]) == 2
    shards = "select count(*) from scooters_ops.metrics where name = 'shard_up'"
    assert rig.router.value(shards) == 2
    assert rig.router.value("select scooters_ops.board() -> 'missing'") == []
    assert rig.router.value("select max(is_stalled::text) from scooters_ops.detection_status")
    return missions


def test_make_migrate_brings_a_router_up_to_date_though_a_shard_is_away(
    rig: Rig, run: Callable[..., tuple[int, str]]
) -> None:
    rig.router.connection.execute("drop view scooters_ops.mission_stops")
    rig.router.connection.execute("delete from scooters_router.applied_migrations")
    assert run("status")[0] == 2
    with rig.without_far():
        code, said = run("migrate")
        assert (code, said.splitlines()[0]) == (0, "router over 2 shards is up to date")
        assert f"shard {rig.far_name} does not answer" in said
        assert said.endswith("stays in force; make config changes it\n")
    until(rig.answers)
    works(rig, "migrated")
    rig.router.value("select count(*) from scooters_ops.mission_stops")


def test_shards_and_router_are_upgraded_one_by_one_in_any_order(
    rig: Rig, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    near_name = f"near at 127.0.0.1:{rig.near.cluster.port}"
    until(rig.answers)
    with psycopg.connect(rig.far_conninfo, autocommit=True) as far:
        upgrade(far)
        row = far.execute((build.SHARDING / "definitions.sql").read_text("utf-8")).fetchone()
    assert row is not None
    works(rig, "before")
    assert f"Shard {rig.far_name} has the migration {FUTURE}" in run("status")[1]

    # The new program, whose list has the new column of the merged view.
    known = (*known_migrations(), FUTURE)
    monkeypatch.setattr(build, "known_migrations", lambda: known)
    monkeypatch.setattr(build, "_own_definitions", lambda _: row[0])
    source = (build.SHARDING / "routes.sql").read_text("utf-8")
    marker = "as unrecorded_missions"
    assert source.count(marker) == 1
    before, after = build._files()
    newer = source.replace(marker, f"{marker}, max(novelty) as novelty")
    files = ([newer if text == source else text for text in before], after)
    monkeypatch.setattr(build, "_files", lambda: files)
    lines = build.update_router()
    assert lines[1:] == [f"shard {near_name} lacks the migration {FUTURE}: make migrate there"]
    near, far_mission = works(rig, "between")
    router = rig.router
    assert router.value("select novelty from scooters_ops.detection_status") == "new"
    assert router.value("select 'novel'::scooters_ops.monitoring_notification_type")
    novelty = "select max(novelty) from scooters_ops.mission_timeouts where mission_id = %s"
    router.value(novelty, far_mission)
    with pytest.raises(psycopg.errors.UndefinedColumn, match="novelty, missing in shard near"):
        router.value(novelty, near)
    router.value("select count(*) from scooters_ops.mission_timeouts")
    assert router.value("select scooters_router.wake_missions(1, '{}')") == 7

    upgrade(rig.near.connection)
    works(rig, "after")
    assert len(build.update_router()) == 1
    router.value(novelty, near)
    assert router.value("select scooters_ops.wake_missions('{}'::text[])") == 14
