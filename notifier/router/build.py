"""Makes or updates a router's schema, in one transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from notifier.database.errors import DatabaseUnusable
from notifier.database.schema_version import known_migrations, version_problem
from notifier.migrate.connection import connect
from notifier.resources import SQL
from notifier.router.shards import Shard, read_shards

SHARDING = SQL / "sharding"
# Of these extensions the first is PL/Proxy's package: Debian's postgresql-NN-plproxy.
EXTENSIONS = ("plproxy", "postgres_fdw")


def make_router(file: Path) -> list[Shard]:
    """Makes DATABASE_URL's database a router over the shards that the file lists, or updates it;
    returns the shards.

    Raises DatabaseUnusable if a shard cannot be reached, is not of this version, or has no config;
    if the router cannot be made; psycopg.Error.
    """
    shards = read_shards(file)
    definitions = _definitions(shards)
    with closing(connect()) as router, router.transaction():
        _check_router(router, shards)
        # No password in the server's log, whatever it logs.
        router.execute("set local log_statement = 'none'")
        router.execute("set local log_min_duration_statement = -1")
        router.execute("set local log_min_error_statement = 'panic'")
        router.execute("set local client_min_messages = warning")
        _make_roles(router)
        for extension in EXTENSIONS:
            try:
                router.execute(f"create extension if not exists {extension}")
            except psycopg.errors.UndefinedFile:
                raise DatabaseUnusable(
                    f"the router's server lacks the extension {extension}: install"
                    " postgresql-NN-plproxy there"
                ) from None
        before, after = _files()
        for source in before:
            router.execute(source)
        for shard in shards:
            router.execute(
                "select scooters_router.place_shard(%s, %s, %s, %s)",
                (shard.number, shard.name, Jsonb(shard.address), Jsonb(shard.credentials)),
            )
        router.execute("select scooters_router.build_router(%s)", (Jsonb(definitions),))
        for source in after:
            router.execute(source)
        router.execute("select scooters_router.finish_router(%s)", (Jsonb(definitions),))
        router.execute("delete from scooters_router.applied_migrations")
        router.execute(
            "insert into scooters_router.applied_migrations select unnest(%s::text[])",
            (list(known_migrations()),),
        )
    return shards


def _files() -> tuple[list[str], list[str]]:
    """The files of sql/sharding/install.sql: those that make a router, and those that need the
    functions that it is made of."""
    listed = re.findall(
        r"^\\ir (\S+)$", (SHARDING / "install.sql").read_text("utf-8"), re.MULTILINE
    )
    sources = [(SHARDING / name).read_text("utf-8") for name in listed]
    split = listed.index("missing_shards.sql")
    return sources[:split], sources[split:]


def _definitions(shards: Sequence[Shard]) -> Any:
    """What the public functions and views of the shards look like; all must be of one version."""
    query = (SHARDING / "definitions.sql").read_text("utf-8")
    definitions = None
    for shard in shards:
        try:
            with psycopg.connect(shard.conninfo(), autocommit=True) as connection:
                connection.execute("set search_path = pg_catalog, pg_temp")
                _check_shard(connection, shard)
                if definitions is None:
                    (definitions,) = connection.execute(query).fetchone() or (None,)
        except psycopg.OperationalError as error:
            raise DatabaseUnusable(f"shard {shard.name}: {str(error).strip()}") from None
    return definitions


def _check_shard(connection: psycopg.Connection[Any], shard: Shard) -> None:
    try:
        applied = connection.execute("select scooters_ops.applied_migrations()").fetchall()
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
        raise DatabaseUnusable(f"shard {shard.name} was never migrated: make migrate") from None
    if problem := version_problem([name for (name,) in applied], known_migrations()):
        raise DatabaseUnusable(f"shard {shard.name}: {problem}")
    if connection.execute("select from scooters_ops.config_in_force").fetchone() is None:
        raise DatabaseUnusable(f"shard {shard.name} has no config: make config")


def _check_router(router: psycopg.Connection[Any], shards: Sequence[Shard]) -> None:
    name = router.info.dbname
    if router.execute("select to_regclass('scooters_ops.missions') is not null").fetchone() == (
        True,
    ):
        raise DatabaseUnusable(
            f"database {name!r} has missions of its own: a router needs a database of its own"
        )
    if router.execute("select usesuper from pg_user where usename = current_user").fetchone() != (
        True,
    ):
        raise DatabaseUnusable(
            "only a superuser can make a router: PL/Proxy's functions are theirs"
        )
    if router.execute("select to_regclass('scooters_router.shards') is not null").fetchone() == (
        True,
    ):
        (known,) = router.execute("select count(*) from scooters_router.shards").fetchone() or (0,)
        if known not in (0, len(shards)):
            raise DatabaseUnusable(
                f"database {name!r} is a router over {known} shards, and the file names"
                f" {len(shards)}: missions do not move between shards"
            )


def _make_roles(router: psycopg.Connection[Any]) -> None:
    router.execute("create schema if not exists scooters_ops")
    router.execute(Path(SQL / "roles.sql").read_text("utf-8"))
