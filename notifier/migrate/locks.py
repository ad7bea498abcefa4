"""Strong locks beside people who work: asked for briefly, given back whole, and asked for again.

Whoever waits for a strong lock makes everybody wait who comes after. So no attempt waits for long:
it is rolled back and repeated, and when it never succeeds the message names who holds what.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import psycopg

from notifier.database import DatabaseUnusable

# How long an attempt may make others wait, all its locks together.
BUDGET_SECONDS = 0.4
# Of a migration, whose locks are not counted beforehand, each lock.
LOCK_SECONDS = 0.1
# How long an attempt is repeated before make migrate gives up.
PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
LOOK_SECONDS = 0.02
# How long after deadlock_timeout autovacuum has left a table that somebody asks for.
AUTOVACUUM_SECONDS = 2.0

NOT_GRANTED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

T = TypeVar("T")

BLOCKERS = """
    select distinct
        blocker.pid,
        activity.usename,
        activity.application_name,
        activity.backend_type,
        activity.state,
        coalesce(activity.xact_start, activity.backend_start)::timestamptz(0)::text as since,
        held.mode,
        coalesce(wanted.relation::regclass::text, 'a ' || wanted.locktype) as what
    from pg_locks as wanted
    cross join lateral unnest(pg_blocking_pids(wanted.pid)) as blocker (pid)
    left join pg_stat_activity as activity on activity.pid = blocker.pid
    left join pg_locks as held
        on
            held.pid = blocker.pid
            and held.granted
            and held.locktype = wanted.locktype
            and held.database = wanted.database
            and held.relation = wanted.relation
    where wanted.pid = %s and not wanted.granted
"""

TURN = "scooters_ops.migrate_turn"
"""An empty table. Whoever locks it has a right on our schema, unlike with an advisory lock."""
MAKE_TURN = f"""
    create schema if not exists scooters_ops;
    create table {TURN} ();
    alter table {TURN} replica identity full;
    comment on table {TURN} is
    'Empty. make migrate locks it, so that two at once take turns.'
"""
MADE_BY_ANOTHER = (
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
    psycopg.errors.UniqueViolation,
)
TURN_HOLDERS = f"""
    select
        held.pid,
        activity.usename,
        activity.application_name,
        activity.backend_type,
        activity.state,
        coalesce(activity.xact_start, activity.backend_start)::timestamptz(0)::text as since,
        held.mode,
        'the lock of make migrate' as what
    from pg_locks as held
    left join pg_stat_activity as activity on activity.pid = held.pid
    where held.granted and held.relation = to_regclass('{TURN}')
"""  # noqa: S608  # a name of ours


class NotInTime(Exception):
    """An attempt would have made others wait for longer than its budget."""


class Holder(NamedTuple):
    """A session that holds a lock which another one needs. What we may not see is None."""

    pid: int
    user: str | None
    application: str | None
    kind: str | None
    state: str | None
    since: str | None
    mode: str | None
    what: str

    def __str__(self) -> str:
        if self.pid == 0:  # as pg_blocking_pids says it
            return f"a prepared transaction (see pg_prepared_xacts) holds {self.what}"
        of_client = (None, "client backend")
        state = self.state and f"{self.state} since {self.since}"
        facts = (
            None if self.kind in of_client else self.kind,
            self.user and f"user {self.user}",
            self.application,
            state or (None if self.since is None else f"since {self.since}"),
        )
        described = ", ".join(fact for fact in facts if fact)
        return f"pid {self.pid} ({described}) holds {self.mode or 'a lock'} on {self.what}"


class Attempts:
    """Repeats what needs strong locks in the session `worker`, until it succeeds.

    `witness` is a second session, which sees meanwhile who is in the way. `say` is told, once, that
    something has to be waited for.
    """

    def __init__(
        self,
        worker: psycopg.Connection[Any],
        witness: psycopg.Connection[Any],
        patience_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._pid = worker.info.backend_pid
        self._witness = witness
        self._patience_seconds = patience_seconds
        self._say = say
        self._holders: list[Holder] = []

    def until_done(self, attempt: Callable[[], T], what: str) -> T:
        """The result of the first attempt that got its locks.

        Raises DatabaseUnusable, with who holds what, when none did for as long as patience lasts.
        """
        began = time.monotonic()
        pauses = _pauses()
        self._holders = []
        for count, pause in enumerate(pauses, start=1):
            try:
                with self._watched():
                    return attempt()
            except (*NOT_GRANTED, NotInTime) as error:
                if count == 1:
                    self._say(f"{what} waits: {self._in_the_way(error)}")
                elapsed = time.monotonic() - began
                if elapsed + pause > self._patience_seconds:
                    raise DatabaseUnusable(
                        f"{what} gave up after {count} attempts in {elapsed:.0f} s, and nothing of"
                        f" it was done: {self._in_the_way(error)}. Run it again when they have"
                        " finished"
                    ) from None
            self._ask_autovacuum_to_leave()
            time.sleep(pause)
        raise AssertionError("pauses do not end")

    def _ask_autovacuum_to_leave(self) -> None:
        """It leaves when a session has waited for deadlock_timeout, which no attempt does. Waiting
        for this weak lock makes neither writers nor readers wait."""
        for holder in self._holders:
            if holder.kind == "autovacuum worker":
                with (
                    contextlib.suppress(psycopg.errors.LockNotAvailable),
                    self._witness.transaction(),
                ):
                    seconds = deadlock_seconds(self._witness) + AUTOVACUUM_SECONDS
                    self._witness.execute(f"set local lock_timeout = '{milliseconds(seconds)}'")
                    self._witness.execute(
                        f"lock table only {holder.what} in share update exclusive mode"
                    )

    def _in_the_way(self, error: Exception) -> str:
        if self._holders:
            return "; ".join(str(holder) for holder in self._holders)
        return str(error).strip()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, done: threading.Event) -> None:
        with contextlib.suppress(psycopg.Error):
            while not done.wait(LOOK_SECONDS):
                if found := self._witness.execute(BLOCKERS, (self._pid,)).fetchall():
                    self._holders = [Holder(*row) for row in found]


def take_turn(
    connection: psycopg.Connection[Any], patience_seconds: float, say: Callable[[str], None]
) -> None:
    """Locks TURN until the connection is closed; where it is not there, makes it and the schema.

    Raises DatabaseUnusable, with who holds it, when patience is over.
    """
    began = time.monotonic()
    has_said = False
    for pause in _pauses():
        if connection.execute("select to_regclass(%s)", (TURN,)).fetchone() == (None,):
            with contextlib.suppress(*MADE_BY_ANOTHER):
                connection.execute(MAKE_TURN)
        connection.execute("begin")
        try:
            connection.execute(f"lock table {TURN} in exclusive mode nowait")
            return
        except psycopg.errors.LockNotAvailable:
            connection.execute("rollback")
        found = connection.execute(TURN_HOLDERS).fetchall()
        if not found:  # it was given back in between
            continue
        holders = "; ".join(str(Holder(*row)) for row in found)
        if not has_said:
            has_said = True
            say(f"make migrate waits for its turn: {holders}")
        if time.monotonic() - began + pause > patience_seconds:
            raise DatabaseUnusable(f"make migrate never had its turn: {holders}")
        time.sleep(pause)


def limits(connection: psycopg.Connection[Any]) -> tuple[float, float]:
    """For how many seconds an attempt may make others wait, and wait for one lock.

    Both are shorter than deadlock_timeout: in a deadlock the attempt gives up before the server
    chooses somebody to end.
    """
    timeout = deadlock_seconds(connection)
    return min(BUDGET_SECONDS, timeout / 2), min(LOCK_SECONDS, timeout / 4)


def deadlock_seconds(connection: psycopg.Connection[Any]) -> float:
    """How long a session waits for a lock before it looks who is in the way."""
    (seconds,) = connection.execute(
        "select setting::float / 1000 from pg_settings where name = 'deadlock_timeout'"
    ).fetchall()[0]
    return float(seconds)


def milliseconds(seconds: float) -> str:
    """As lock_timeout takes it: at least one, as zero means no limit."""
    return f"{max(1, int(seconds * 1000))}ms"


def _pauses() -> Iterator[float]:
    """The pauses between attempts: each up to twice as long as the one before, with jitter."""
    longest = FIRST_PAUSE_SECONDS
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311
        longest = min(2 * longest, LONGEST_PAUSE_SECONDS)
