"""The programs on a router: two servers with a shard each, and the router beside the first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.router import make_router
from sandbox.databases import create_migrated
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TEMPLATE, TestDatabase
from tests.http_rigs import HttpProcess, http_process, http_user, is_problem

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

    @contextmanager
    def without_far(self) -> Iterator[None]:
        """The far server is killed, and starts again at the end."""
        self.far_server.kill()
        try:
            yield
        finally:
            self.far_server.start()


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
        assert server.client.get(f"/board/missions/{mission_id}").is_success
    assert server.client.get("/readyz").json() == {"ready": True, "problems": [], "warnings": []}
    assert "scooters_ops_database_up 1.0" in server.client.get("/metrics").text


def test_a_shard_that_is_away_is_503_for_its_missions_only(rig: Rig, server: HttpProcess) -> None:
    near, far = rig.missions("away")
    for mission_id in (near, far):
        rig.router.create_mission(mission_id)
    up = f'scooters_ops_shard_up{{shard="{rig.far_name}"}}'
    assert f"{up} 1.0" in server.client.get("/metrics").text
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
    assert "http_without_database" not in server.log
    assert server.log.count("http_without_shard") == 1
