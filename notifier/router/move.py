"""Moves one shard of a router to another server while the other shards work.

The old database becomes read-only, so the writers of its missions get SQLSTATE 25006, over HTTP
503, and try again; readers go on. It is copied, and the copy is compared with it. Then the router
asks the copy. Nothing is written to the old database after it was read, so nothing is lost; no
notifier may run meanwhile, so nothing is sent twice.

What fails before the router asks the copy makes the old database writable again. What fails later,
or was killed, goes on from there when it is called again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from notifier.database.errors import DatabaseUnusable
from notifier.database.schema_version import known_migrations, version_problem
from notifier.migrate.connection import SETTINGS, connect
from notifier.resources import ROOT, SQL
from notifier.router.build import make_router
from notifier.router.shards import Shard, read_shards

MAINTENANCE = SQL / "maintenance"
TERMINATE_MS = 10_000
# So that both databases write a row as the same text.
TEXT_SETTINGS = ("TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits", "bytea_output")

Say = Callable[[str], None]
Checksums = dict[str, tuple[int, int]]


def _say(line: str) -> None:
    print(line, flush=True)


def move_shard(file: Path, new_file: Path, say: Say = _say) -> None:
    """Moves the shard whose line differs in the two files to the database that the new file names.
    DATABASE_URL's database is the router.

    Raises DatabaseUnusable if the files differ in anything else, if either database is not fit for
    the move, or if the copy differs; psycopg.Error.
    """
    old, new = _moving(file, new_file)
    if _asks(new):
        say(f"The router asks {new.name} already")
    else:
        with _connection(old) as source, _connection(new) as target:
            _check(source, target, old, new)
            for shard in read_shards(new_file):
                if shard != new:
                    _check_version(shard)
            with _closed(source, old, new, say) as closed_at:
                _copy(source, target, old, new, say)
                # A session that was just beginning then has appeared by now.
                _end_sessions(source, old, closed_at)
                _compare(source, target, old, new, say)
                say(f"Making the router ask {new.name}")
                make_router(new_file)
    _hand_over(old, new, say)
    say(
        f"Moved. Now start the notifiers of {new.name}, and use {new_file} from now on."
        f" {old.name} is read-only and sends nothing: drop it when you like"
    )


def undo_move(file: Path, new_file: Path, say: Say = _say) -> None:
    """Makes the old database writable again after a move that was killed.

    Raises DatabaseUnusable if the router asks the new one already.
    """
    old, new = _moving(file, new_file)
    if _asks(new):
        raise DatabaseUnusable(
            f"the router asks {new.name} already, and missions may have gone on there:"
            " call make move again to finish, and move it back afterwards"
        )
    with _connection(old) as source:
        _open(source)
    say(f"{old.name} is writable again. Start its notifiers. Drop what is left in {new.name}")


def _moving(file: Path, new_file: Path) -> tuple[Shard, Shard]:
    before, after = read_shards(file), read_shards(new_file)
    changed = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
    if len(before) != len(after) or len(changed) != 1:
        raise DatabaseUnusable(
            f"{file} and {new_file} must differ in one shard: one is moved at a time"
        )
    old, new = changed[0]
    if old.name == new.name:
        raise DatabaseUnusable(f"both files place the shard at {old.name}: nothing to move")
    return old, new


def _asks(shard: Shard) -> bool:
    """Whether the router asks this shard now."""
    return _asked(shard.number) == shard.name


def _asked(number: int) -> str | None:
    """The name of the shard with this number that the router asks now."""
    with closing(connect()) as router:
        try:
            known = router.execute(
                "select name from scooters_router.shards where shard = %s", (number,)
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            raise DatabaseUnusable(
                f"database {router.info.dbname!r} is not a router: make router"
            ) from None
    return None if known is None else str(known[0])


@contextmanager
def _connection(shard: Shard) -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(
            make_conninfo(shard.conninfo(), application_name="make move"), autocommit=True
        )
    except psycopg.OperationalError as error:
        raise DatabaseUnusable(f"{shard.name}: {str(error).strip()}") from None
    with closing(connection):
        connection.execute("set search_path = pg_catalog, pg_temp")
        connection.execute("set statement_timeout = 0")
        for name in TEXT_SETTINGS:
            connection.execute("select set_config(%s, %s, false)", (name, SETTINGS[name]))
        yield connection


# --- Checks: nothing has changed yet ------------------------------------------------------------


_IDENTITY = """
    select format('%s %s %s', control.system_identifier, here.oid, pg_postmaster_start_time())
    from pg_control_system() as control
    cross join pg_database as here
    where here.datname = current_database()
"""
_NEEDED_ROLES = """
    select array_agg(distinct needed.role) from (
        select roles.rolname::text as role
        from pg_shdepend as dependency
        inner join pg_database as here on dependency.dbid = here.oid
        inner join pg_roles as roles on dependency.refobjid = roles.oid
        where here.datname = current_database() and dependency.refclassid = 'pg_authid'::regclass
        union all
        select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'scooters_ops'
    ) as needed
"""


def _check(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], old: Shard, new: Shard
) -> None:
    if (asked := _asked(old.number)) != old.name:
        raise DatabaseUnusable(
            f"the router asks {asked}, not {old.name}: the first file must be the one that the"
            " router was made with"
        )
    _check_version(old)
    if _value(source, _IDENTITY) == _value(target, _IDENTITY):
        raise DatabaseUnusable(f"{old.name} and {new.name} are the same database")
    if not _value(source, "select pg_try_advisory_lock(hashtext('make move'))"):
        raise DatabaseUnusable(f"another make move of {old.name} is under way")
    if source.info.server_version // 10000 > target.info.server_version // 10000:
        raise DatabaseUnusable(f"the server of {new.name} is older than that of {old.name}")
    encodings = [
        _value(one, "select current_setting('server_encoding')") for one in (source, target)
    ]
    if encodings[0] != encodings[1]:
        raise DatabaseUnusable(
            f"{new.name} has the encoding {encodings[1]}, and {old.name} {encodings[0]}"
        )
    cron = "select current_setting('cron.database_name', true)"
    if _value(source, cron) is not None:
        if _value(source, f"{cron} = current_database()"):
            raise DatabaseUnusable(f"{old.name} holds pg_cron's tables, which cannot move")
        if _value(target, cron) is None:
            raise DatabaseUnusable(f"the server of {new.name} has no pg_cron: docs/dba.md")
    wanted = _value(source, _NEEDED_ROLES)
    missing = _value(
        target,
        "select string_agg(name, ', ' order by name) from unnest(%s::text[]) as name"
        " where name not in (select rolname from pg_roles)",
        wanted,
    )
    if missing:
        raise DatabaseUnusable(f"the server of {new.name} lacks these roles: {missing}")
    if _value(source, "select count(*) from pg_prepared_xacts where database = current_database()"):
        raise DatabaseUnusable(f"{old.name} has prepared transactions (pg_prepared_xacts)")
    _refuse_notifiers(source, old)


def _check_version(shard: Shard) -> None:
    """make router would refuse a shard that is away or of another version, but only after the
    copy."""
    with _connection(shard) as connection:
        try:
            applied = connection.execute("select scooters_ops.applied_migrations()").fetchall()
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
            raise DatabaseUnusable(f"{shard.name} was never migrated: make migrate") from None
    if problem := version_problem([name for (name,) in applied], known_migrations()):
        raise DatabaseUnusable(f"{shard.name}: {problem}")


def _refuse_notifiers(source: psycopg.Connection[Any], old: Shard) -> None:
    running = _value(
        source,
        "select string_agg(name, ', ' order by name) from scooters_ops.notifier_status"
        " where is_alive",
    )
    if running:
        raise DatabaseUnusable(
            f"notifiers of {old.name} are running: {running}. Stop them first: what they are"
            " sending would be sent again (one that was killed counts for poll_seconds and"
            " lease_seconds)"
        )


# --- The move -----------------------------------------------------------------------------------


@contextmanager
def _closed(
    source: psycopg.Connection[Any], old: Shard, new: Shard, say: Say
) -> Iterator[datetime]:
    """Nobody writes to the old database from the time that it yields. It stays so if the block
    succeeds."""
    say(f"Making {old.name} read-only: writers of its missions get SQLSTATE 25006, or HTTP 503")
    try:
        _set_read_only(source, "on")
        closed_at = _value(source, "select clock_timestamp()")
        _end_sessions(source, old, closed_at)
        _refuse_notifiers(source, old)
        yield closed_at
    except BaseException:
        _open_if_not_moved(source, old, new, say)
        raise


def _open_if_not_moved(source: psycopg.Connection[Any], old: Shard, new: Shard, say: Say) -> None:
    try:
        if _asks(new):  # interrupted at the last moment
            say(f"The router asks {new.name} already: call make move again to finish")
        else:
            _open(source)
            say(f"Not moved: {old.name} is writable again")
    except psycopg.Error:
        say(f"{old.name} may be read-only still: call make move again, or with UNDO=1")


def _end_sessions(source: psycopg.Connection[Any], old: Shard, closed_at: datetime) -> None:
    """Ends the sessions that began before, and may write still."""
    ended = source.execute(
        "select pid, pg_terminate_backend(pid, %s) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
        # Unknown to a user without pg_read_all_stats.
        " and (backend_start <= %s) is not false"
        " and coalesce(backend_type, '')"
        " not in ('autovacuum worker', 'walsender', 'parallel worker')",
        (TERMINATE_MS, closed_at),
    ).fetchall()
    for pid, is_gone in ended:
        session = "select count(*) from pg_stat_activity where pid = %s"
        if not is_gone and _value(source, session, pid):
            raise DatabaseUnusable(f"{old.name}: the session of process {pid} does not end")


def _open(source: psycopg.Connection[Any]) -> None:
    _set_read_only(source, "off")


def _set_read_only(source: psycopg.Connection[Any], value: str) -> None:
    source.execute("set default_transaction_read_only = off")
    name = sql.Identifier(source.info.dbname)
    command = (
        sql.SQL("alter database {} set default_transaction_read_only = on").format(name)
        if value == "on"
        else sql.SQL("alter database {} reset default_transaction_read_only").format(name)
    )
    source.execute(command)


def _copy(
    source: psycopg.Connection[Any],
    target: psycopg.Connection[Any],
    old: Shard,
    new: Shard,
    say: Say,
) -> None:
    if _value(target, "select to_regnamespace('scooters_ops') is null"):
        say(f"Copying it to {new.name}")
        _dump_and_restore(old, new)
        target.execute("analyze")


def _compare(
    source: psycopg.Connection[Any],
    target: psycopg.Connection[Any],
    old: Shard,
    new: Shard,
    say: Say,
) -> None:
    say("Comparing every table")
    before, after = _checksums(source), _checksums(target)
    differing = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    if differing:
        raise DatabaseUnusable(
            f"{new.name} differs from {old.name} in {', '.join(differing)}:"
            " drop the schema scooters_ops there, and call this again"
        )
    say(f"{len(before)} tables and sequences are the same")


def _dump_and_restore(old: Shard, new: Shard) -> None:
    restore = [
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={make_conninfo(dbname=new.address['dbname'])}",
    ]
    try:
        with (
            subprocess.Popen(
                ["pg_dump", "--format=custom", "--compress=0"],
                env=_environment(old),
                stdout=subprocess.PIPE,
            ) as dump,
            subprocess.Popen(restore, env=_environment(new), stdin=dump.stdout) as restoring,
        ):
            if dump.stdout is not None:
                dump.stdout.close()  # so that pg_dump ends if pg_restore does
            codes = (restoring.wait(), dump.wait())
    except FileNotFoundError as error:
        raise DatabaseUnusable(f"{error.filename} is not installed: make install") from None
    if codes != (0, 0):
        raise DatabaseUnusable(f"{new.name}: the copy failed, and nothing of it is there")


def _checksums(connection: psycopg.Connection[Any]) -> Checksums:
    query = (MAINTENANCE / "table_checksums.sql").read_text("utf-8")
    return {name: (rows, checksum) for name, rows, checksum in connection.execute(query.encode())}


def _hand_over(old: Shard, new: Shard, say: Say) -> None:
    """The passes run in the new database, and the old one never sends anything again."""
    with _connection(new) as target:
        has_cron = _value(target, "select current_setting('cron.database_name', true)") is not None
    if has_cron:
        say("Scheduling its passes there")
        _run(new, "schedule", "--wait", "0")
    else:
        say("There is no pg_cron: run its passes there as you did before")
    with _connection(old) as source:
        _set_read_only(source, "on")
        had_cron = _value(source, "select current_setting('cron.database_name', true)") is not None
    if had_cron:
        _run(old, "unschedule")
    say(f"Silencing {old.name}")
    script = MAINTENANCE / "silence_copy.sql"
    _run(old, "psql", "-q", "-v", f"copy={old.address['dbname']}", "-f", str(script))


def _run(shard: Shard, *command: str) -> None:
    """A command of the notifier on a shard, which may write even if the shard is read-only."""
    environment = _environment(shard) | {
        "PGOPTIONS": "-c default_transaction_read_only=off",
        "DATABASE_URL": shard.conninfo(),
    }
    finished = subprocess.run(
        [sys.executable, "-m", "notifier", *command], env=environment, cwd=ROOT, check=False
    )
    if finished.returncode != 0:
        raise DatabaseUnusable(
            f"{shard.name}: notifier {command[0]} failed. The router asks the new database already:"
            " follow its advice, then call make move again"
        )


def _environment(shard: Shard) -> dict[str, str]:
    """libpq's variables for a shard: other users of the machine cannot read them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    for option in Conninfo.parse(shard.conninfo().encode()):
        if option.val and option.envvar:
            environment[option.envvar.decode()] = option.val.decode()
    return environment


def _value(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    row = connection.execute(query.encode(), values or None).fetchone()
    return row[0] if row else None
