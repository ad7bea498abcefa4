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
        _build(router, shards, definitions, known_migrations())
    return shards


def update_router() -> list[str]:
    """Brings a router up to date with its shards, without the file; returns what a person should
    know, a line each.

    Its functions and views become those of the newest shard that this version knows. What other
    shards lack fails there until they are migrated too; everything else goes on.

    Raises DatabaseUnusable if a newer version made the router, if no shard of this or an earlier
    version answers; psycopg.Error.
    """
    known = known_migrations()
    with closing(connect()) as router, router.transaction():
        _refuse_others(router)
        applied = _names(router, "select scooters_ops.applied_migrations()")
        if newer := sorted(set(applied) - set(known)):
            raise DatabaseUnusable(
                f"a newer version made this router ({newer[-1]}): update this program"
            )
        shards = _placed_shards(router)
        versions, definitions = {}, {}
        lines = []
        for shard in shards:
            try:
                versions[shard], definitions[shard] = _look(shard)
            except DatabaseUnusable as error:
                lines.append(f"{error}: the router does without it")
        usable = [shard for shard in versions if not set(versions[shard]) - set(known)]
        newest = max(usable, key=lambda shard: len(versions[shard]), default=None)
        if newest is None:
            raise DatabaseUnusable("no shard of a version that this program knows gives an answer")
        _build(router, shards, definitions[newest], versions[newest])
    for shard, names in versions.items():
        if missing := sorted(set(versions[newest]) - set(names)):
            lines.append(f"shard {shard.name} lacks the migration {missing[0]}: make migrate there")
        elif newer := sorted(set(names) - set(known)):
            lines.append(f"shard {shard.name} has {newer[-1]}: update this program")
    if missing := sorted(set(known) - set(versions[newest])):
        lines.append(
            f"no shard has the migration {missing[0]} yet: make migrate on each shard, then here"
        )
    return [f"router over {len(shards)} shards: as {newest.name}", *lines]


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


def _look(shard: Shard) -> tuple[list[str], Any]:
    """A shard's migrations, and what its public functions and views look like."""
    query = (SHARDING / "definitions.sql").read_text("utf-8")
    try:
        with psycopg.connect(shard.conninfo(), autocommit=True) as connection:
            connection.execute("set search_path = pg_catalog, pg_temp")
            names = _names(connection, "select scooters_ops.applied_migrations()")
            (definitions,) = connection.execute(query).fetchone() or (None,)
    except psycopg.Error as error:
        raise DatabaseUnusable(f"shard {shard.name}: {str(error).strip()}") from None
    return names, definitions


def _names(connection: psycopg.Connection[Any], query: str) -> list[str]:
    return [name for (name,) in connection.execute(query).fetchall()]


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
