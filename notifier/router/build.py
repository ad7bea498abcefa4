"""Makes or updates a router's schema, in one transaction."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from notifier.database.conninfo import conninfo as own_conninfo
from notifier.database.errors import DatabaseUnusable, reason
from notifier.database.schema_version import known_migrations, version_problem
from notifier.migrate import migrate
from notifier.migrate.connection import connect
from notifier.resources import SQL
from notifier.router.shards import Shard, read_shards

SHARDING = SQL / "sharding"
# Of these extensions the first is PL/Proxy's package: Debian's postgresql-NN-plproxy.
EXTENSIONS = ("plproxy", "postgres_fdw")
# No password in the server's log or statistics, whatever they keep. Those of extensions are no
# more than names where the extension is not loaded.
SILENT = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "auto_explain.log_min_duration": "-1",
    "pg_stat_statements.track": "none",
    "pgaudit.log": "none",
    "client_min_messages": "warning",
}
# Asks the shards, so not while the router's views are locked.
MARK_COLUMNS = "select scooters_router.mark_columns()"


def make_router(file: Path) -> list[Shard]:
    """Makes DATABASE_URL's database a router over the shards that the file lists, or updates it;
    returns the shards.

    Raises DatabaseUnusable if a shard cannot be reached, is not of this version, or has no config;
    if two of them are the same database or a shard has missions of another; if the router cannot be
    made; psycopg.Error.
    """
    shards = read_shards(file)
    findings = _findings(shards)
    with closing(connect()) as router:
        with router.transaction():
            _check_router(router, shards)
            _build(router, shards, findings[0].definitions, known_migrations())
            _check_missions(router, shards, findings)
            for shard in shards:
                _ask(router, shard)
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
    for setting, value in SILENT.items():
        router.execute("select set_config(%s, %s, true)", (setting, value))
    _take_owners_role(router)
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
        _place(router, shard)
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


@dataclass(frozen=True)
class _Finding:
    """What a shard says of itself.

    identity     the same only for the same database
    definitions  what its public functions and views look like
    missions     some of its missions
    """

    identity: tuple[Any, ...]
    definitions: Any
    missions: list[str]


def _findings(shards: Sequence[Shard]) -> list[_Finding]:
    """What each shard says of itself; all must be different databases of this version."""
    findings: dict[tuple[Any, ...], tuple[Shard, _Finding]] = {}
    for shard in shards:
        try:
            finding = _finding(shard)
        except psycopg.Error as error:
            raise DatabaseUnusable(f"shard {shard.name}: {_in_a_line(error)}") from None
        if finding.identity in findings:
            other, _ = findings[finding.identity]
            raise DatabaseUnusable(f"shards {other.name} and {shard.name} are the same database")
        findings[finding.identity] = shard, finding
    return [finding for _, finding in findings.values()]


def _finding(shard: Shard) -> _Finding:
    query = (SHARDING / "definitions.sql").read_text("utf-8")
    with psycopg.connect(shard.conninfo(), autocommit=True) as connection:
        connection.execute("set search_path = pg_catalog, pg_temp")
        _check_shard(connection, shard)
        return _Finding(
            connection.execute(
                "select system_identifier, oid from pg_control_system(), pg_database"
                " where datname = current_database()"
            ).fetchone()
            or (),
            (connection.execute(query).fetchone() or (None,))[0],
            connection.cursor(row_factory=scalar_row)
            .execute("select mission_id from scooters_ops.missions order by mission_id limit 1000")
            .fetchall(),
        )


def _check_shard(connection: psycopg.Connection[Any], shard: Shard) -> None:
    try:
        applied = connection.execute("select scooters_ops.applied_migrations()").fetchall()
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
        raise DatabaseUnusable(f"shard {shard.name} was never migrated: make migrate") from None
    if connection.execute(
        "select to_regclass('scooters_router.shards') is not null"
    ).fetchone() == (True,):
        raise DatabaseUnusable(f"shard {shard.name} is a router")
    if problem := version_problem([name for (name,) in applied], known_migrations()):
        raise DatabaseUnusable(f"shard {shard.name}: {problem}")
    if connection.execute("select from scooters_ops.config_in_force").fetchone() is None:
        raise DatabaseUnusable(f"shard {shard.name} has no config: make config")


def _check_missions(
    router: psycopg.Connection[Any], shards: Sequence[Shard], findings: Sequence[_Finding]
) -> None:
    """Refuses shards in another order than before, and databases that had missions before."""
    for shard, finding in zip(shards, findings, strict=True):
        misplaced = router.execute(
            "select mission_id, scooters_router.shard_of(mission_id)"
            " from unnest(%s::text[]) as mission_id"
            " where scooters_router.shard_of(mission_id) <> %s limit 1",
            (finding.missions, shard.number),
        ).fetchone()
        if misplaced is not None:
            mission_id, number = misplaced
            raise DatabaseUnusable(
                f"shard {shard.name} has the mission {mission_id!r}, which belongs in shard"
                f" {shards[number].name}: the file must list the shards in the order of the"
                " first time"
            )


def _check_router(router: psycopg.Connection[Any], shards: Sequence[Shard]) -> None:
    _refuse_others(router)
    name = router.info.dbname
    if _is_true(router, "to_regclass('scooters_ops.missions') is not null"):
        raise DatabaseUnusable(
            f"database {name!r} has missions of its own: a router needs a database of its own"
        )
    if _is_true(router, "to_regclass('scooters_router.shards') is not null"):
        (known,) = router.execute("select count(*) from scooters_router.shards").fetchone() or (0,)
        if known not in (0, len(shards)):
            raise DatabaseUnusable(
                f"database {name!r} is a router over {known} shards, and the file names"
                f" {len(shards)}: missions do not move between shards"
            )


def _take_owners_role(router: psycopg.Connection[Any]) -> None:
    """Whoever updates a router does it as the superuser who made it, one at a time: the logins are
    theirs."""
    # Readers go on; only a superuser can take a lock that this one waits for.
    router.execute("lock table pg_catalog.pg_foreign_server in share row exclusive mode")
    owner = router.execute(
        "select nspowner::regrole::text from pg_namespace where nspname = 'scooters_router'"
    ).fetchone()
    if owner is not None:
        router.execute(f"set local role {owner[0]}")  # a quoted name


def _place(router: psycopg.Connection[Any], shard: Shard) -> None:
    try:
        router.execute(
            "select scooters_router.place_shard(%s, %s, %s, %s)",
            (shard.number, shard.name, Jsonb(shard.address), Jsonb(shard.credentials)),
        )
    except psycopg.Error as error:
        # Its context may have the password.
        raise DatabaseUnusable(f"shard {shard.name}: {_in_a_line(error)}") from None


def _ask(router: psycopg.Connection[Any], shard: Shard) -> None:
    """Refuses a shard that only this program can reach, by PGPASSWORD for example."""
    try:
        router.execute("select scooters_router.applied_migrations(%s)", (shard.number,))
        router.execute(f"select from scooters_router.mission_overview_{shard.number} limit 1")
    except psycopg.Error as error:
        raise DatabaseUnusable(
            f"the router's server gets no answer from shard {shard.name}: {_in_a_line(error)}"
        ) from None


def _in_a_line(error: psycopg.Error) -> str:
    return " ".join(reason(error).split())


def _is_true(connection: psycopg.Connection[Any], condition: str) -> bool:
    return connection.execute(f"select {condition}").fetchone() == (True,)


def _refuse_others(router: psycopg.Connection[Any]) -> None:
    if not _is_true(router, "(select usesuper from pg_user where usename = current_user)"):
        raise DatabaseUnusable(
            "only a superuser can make a router: PL/Proxy's functions are theirs"
        )


def _make_roles(router: psycopg.Connection[Any]) -> None:
    router.execute("create schema if not exists scooters_ops")
    router.execute(Path(SQL / "roles.sql").read_text("utf-8"))
