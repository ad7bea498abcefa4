"""Makes or updates a router's schema, in one transaction."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from notifier.database.conninfo import conninfo as own_conninfo
from notifier.database.errors import DatabaseUnusable
from notifier.database.schema_version import known_migrations, version_problem
from notifier.migrate import migrate
from notifier.migrate.connection import connect
from notifier.resources import SQL
from notifier.router.shards import Shard, read_shards

SHARDING = SQL / "sharding"
# Of these extensions the first is PL/Proxy's package: Debian's postgresql-NN-plproxy.
EXTENSIONS = ("plproxy", "postgres_fdw")
# Asks the shards, so not while the router's views are locked.
MARK_COLUMNS = "select scooters_router.mark_columns()"


def make_router(file: Path) -> list[Shard]:
    """Makes DATABASE_URL's database a router over the shards that the file lists, or updates it;
    returns the shards.

    Raises DatabaseUnusable if a shard cannot be reached, is not of this version, or has no config;
    if the router cannot be made; psycopg.Error.
    """
    shards = read_shards(file)
    definitions = _definitions(shards)
    with closing(connect()) as router:
        with router.transaction():
            _check_router(router, shards)
            _build(router, shards, definitions, known_migrations())
        router.execute(MARK_COLUMNS)
    return shards


def update_router() -> list[str]:
    """Makes a router one of this version, without the file; returns what a person should know, a
    line each.

    No shard needs to be of this version yet, nor to answer. What a shard lacks fails there until it
    is migrated too; everything else goes on.

    Raises DatabaseUnusable if a newer version made the router, or the user is no superuser;
    psycopg.Error.
    """
    known = known_migrations()
    with closing(connect()) as router:
        _refuse_others(router)
        applied = router.execute("select scooters_ops.applied_migrations()").fetchall()
        if newer := sorted({name for (name,) in applied} - set(known)):
            raise DatabaseUnusable(
                f"a newer version made this router ({newer[-1]}): update this program"
            )
        definitions = _own_definitions(router)
        with router.transaction():
            shards = _placed_shards(router)
            _build(router, shards, definitions, known)
        router.execute(MARK_COLUMNS)
        lines = [f"router over {len(shards)} shards is up to date"]
        for name, missing, newer_migration, silence in router.execute(
            "select name, missing_migration, newer_migration, reason"
            " from scooters_ops.shard_status order by shard"
        ):
            if silence is not None:
                lines.append(f"shard {name} does not answer: {silence}")
            if missing is not None:
                lines.append(f"shard {name} lacks the migration {missing}: make migrate there")
            if newer_migration is not None:
                lines.append(f"shard {name} has {newer_migration}: update this program")
    return lines


def _own_definitions(router: psycopg.Connection[Any]) -> Any:
    """What the public functions and views of a shard of this version look like: asked of a new
    database in the router's server, which is dropped again."""
    name = f"scooters_router_{router.info.backend_pid}"
    query = (SHARDING / "definitions.sql").read_text("utf-8")
    conninfo = make_conninfo(own_conninfo(), dbname=name)
    router.execute(f"create database {name} template template0")
    try:
        with _database_url(conninfo):
            migrate()
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("set search_path = pg_catalog, pg_temp")
            (definitions,) = connection.execute(query).fetchone() or (None,)
            return definitions
    finally:
        router.execute(f"drop database {name} with (force)")


@contextmanager
def _database_url(conninfo: str) -> Iterator[None]:
    """What this process takes for its database meanwhile."""
    before = os.environ.get("DATABASE_URL")
    os.environ["DATABASE_URL"] = conninfo
    try:
        yield
    finally:
        if before is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = before


def _build(
    router: psycopg.Connection[Any],
    shards: Sequence[Shard],
    definitions: Any,
    migrations: Sequence[str],
) -> None:
    """Makes or updates everything in the router's database."""
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
        (list(migrations),),
    )


def _placed_shards(router: psycopg.Connection[Any]) -> list[Shard]:
    """The shards as the router's catalog has them."""
    rows = router.execute(
        "select known.shard, placed.srvoptions, mapping.umoptions"
        " from scooters_router.shards as known"
        " inner join pg_foreign_server as placed on placed.srvname = 'shard_' || known.shard"
        " left join pg_user_mapping as mapping on mapping.umserver = placed.oid"
        " order by known.shard"
    ).fetchall()

    def options(texts: Sequence[str] | None) -> dict[str, str]:
        return dict(text.split("=", 1) for text in texts or ())

    return [
        Shard(
            number,
            {name: text for name, text in options(place).items() if name != "options"},
            options(secrets),
        )
        for number, place, secrets in rows
    ]


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
    _refuse_others(router)
    if router.execute("select to_regclass('scooters_router.shards') is not null").fetchone() == (
        True,
    ):
        (known,) = router.execute("select count(*) from scooters_router.shards").fetchone() or (0,)
        if known not in (0, len(shards)):
            raise DatabaseUnusable(
                f"database {name!r} is a router over {known} shards, and the file names"
                f" {len(shards)}: missions do not move between shards"
            )


def _refuse_others(router: psycopg.Connection[Any]) -> None:
    if router.execute("select usesuper from pg_user where usename = current_user").fetchone() != (
        True,
    ):
        raise DatabaseUnusable(
            "only a superuser can make a router: PL/Proxy's functions are theirs"
        )


def _make_roles(router: psycopg.Connection[Any]) -> None:
    router.execute("create schema if not exists scooters_ops")
    router.execute(Path(SQL / "roles.sql").read_text("utf-8"))
