"""docs/router.md: every command and query works, in the order of the page, on two empty servers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.pages import DOCS, blocks, run_sql

pytestmark = pytest.mark.slow(seconds=25)

PAGE = (DOCS / "router.md").read_text("utf-8")


def test_every_command_and_query_works_from_two_empty_servers_on(tmp_path: Path) -> None:
    with Postgres() as server, Postgres() as new_server:
        environment = server.environment("postgres") | {
            "DESTDIR": str(tmp_path / "system"),
            "WAIT": "0",
            "HOME": str(tmp_path),
        }
        for block in blocks(PAGE):
            if block.language == "postgresql":
                run_sql(block.text, environment)
            elif block.language == "sql":
                run_sql(block.text, environment | {"PGDATABASE": "router"})
            else:
                assert block.language == "sh"
                follow(block.text, tmp_path, new_server.port, environment)
        with psycopg.connect(server.conninfo("router")) as router:
            places = "select name from scooters_router.shards order by shard"
            assert router.execute(places).fetchall() == [
                (f"shard{n} at 127.0.0.1:{new_server.port if n == 3 else server.port}",)
                for n in range(4)
            ]
            left_out = router.execute(
                "select object from scooters_router.routes where kind = 'view' and route = 'all'"
            ).fetchall()
            kept_here = router.execute(
                "select object from scooters_router.routes where kind = 'view' and route = 'here'"
            ).fetchall()
    assert row_of("leave it out") == {name for (name,) in left_out}
    assert row_of("work: the router keeps them") == {name for (name,) in kept_here}


def follow(text: str, folder: Path, new_port: int, environment: dict[str, str]) -> None:
    """Runs a block; its files are in a folder, and the new server is a port of this machine."""
    text = re.sub(r"\bshards\.(txt|new)\b", rf"{folder}/shards.\1", text)
    text = text.replace("--host=new.example.com", f"--host=127.0.0.1 --port={new_port}")
    text = text.replace("host=new.example.com", f"host=127.0.0.1 port={new_port}")
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{text}\n{finished.stdout}"


def row_of(consequence: str) -> set[str]:
    """What the page says has this consequence when a shard is away."""
    (names,) = re.findall(rf"^\| (.*) \| {consequence} \|$", PAGE, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", names))
