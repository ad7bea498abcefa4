"""Takes strong locks without blocking other sessions for long.

A session that waits for a strong lock blocks everyone who asks for a lock after it. So an attempt
waits only briefly; then it is rolled back and repeated. If no attempt succeeds, the error names the
sessions that hold the locks.
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

from notifier.database.errors import DatabaseUnusable

# The longest that one attempt may block others, all its locks together.
BUDGET_SECONDS = 0.4
# The longest that a migration may wait for each lock. How many it takes is not known beforehand.
LOCK_SECONDS = 0.1
# How long to repeat attempts before make migrate gives up.
PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 2.0
WATCH_SECONDS = 0.02
# How long patient work waits before it says so: others' statements are soon over.
SAY_AFTER_SECONDS = 1.0
# Autovacuum is cancelled once a session has waited for deadlock_timeout, and ends this soon after.
AUTOVACUUM_SECONDS = 2.0

NOT_GRANTED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

T = TypeVar("T")

# What Holder says of a session, between its pid and the lock.
HOLDER_COLUMNS = """activity.usename,
        activity.application_name,
        activity.backend_type,
        activity.state,
        coalesce(activity.xact_start, activity.backend_start)::timestamptz(0)::text as since,
        held.mode"""
BLOCKERS = f"""
    select distinct
        blocker.pid,
        {HOLDER_COLUMNS},
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
"""  # noqa: S608  # our own constant


class NotInTime(Exception):
    """An attempt would have blocked others for longer than its budget."""


class Holder(NamedTuple):
    """A session that holds a lock which another one needs. None: our role may not see it."""

    pid: int
    user: str | None
    application: str | None
    kind: str | None
    state: str | None
    since: str | None
    mode: str | None
    what: str

    def __str__(self) -> str:
        if self.pid == 0:  # pg_blocking_pids() uses 0 for it
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
    """Repeats an attempt that needs strong locks in the session `worker` until it succeeds.

    Meanwhile the session `witness` watches which sessions block it. `say` gets a line for each
    piece of work that has to wait, and another one when other sessions block it.
    """

    def __init__(
        self,
        worker: psycopg.Connection[Any],
        witness: psycopg.Connection[Any],
        patience_seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._worker = worker
        self._pid = worker.info.backend_pid
        self._witness = witness
        self._patience_seconds = patience_seconds
        self._say = say
        self._holders: list[Holder] = []

    def until_done(self, attempt: Callable[[], T], what: str) -> T:
        """The result of the first attempt that gets its locks.

        Raises DatabaseUnusable, with the sessions that hold them, when patience runs out.
        """
        began = time.monotonic()
        self._holders = []
        named: set[int] = set()
        for count, pause in enumerate(pauses(), start=1):
            try:
                with self._watched():
                    return attempt()
            except (*NOT_GRANTED, NotInTime) as error:
                holders = {holder.pid for holder in self._holders}
                if count == 1 or holders - named:
                    self._say(f"{what} waits: {self._blockers(error)}")
                named |= holders
                elapsed = time.monotonic() - began
                if elapsed + pause > self._patience_seconds:
                    raise DatabaseUnusable(
                        f"{what} gave up after {count} attempts in {elapsed:.0f} s, and changed"
                        f" nothing: {self._blockers(error)}. Run it again when they have"
                        " finished"
                    ) from None
            self._wait_for_autovacuum()
            time.sleep(pause)
        raise AssertionError("pauses() never ends")

    def patiently(self, attempt: Callable[[], T], what: str) -> T:
        """The result of an attempt whose locks block nobody, so that it may wait for others as long
        as patience lasts. Ended half way, it can be repeated.

        Raises DatabaseUnusable, with the sessions that it waits for, when patience runs out.
        """
        began = time.monotonic()
        self._holders = []
        self._worker.execute(f"set lock_timeout = '{milliseconds(self._patience_seconds)}'")
        try:
            with self._watched(what):
                return attempt()
        except NOT_GRANTED as error:
            raise DatabaseUnusable(
                f"{what} gave up after {time.monotonic() - began:.0f} s:"
                f" {self._blockers(error)}. Run it again when they have finished; it begins from"
                " the start"
            ) from None
        finally:
            with contextlib.suppress(psycopg.Error):
                self._worker.execute("reset lock_timeout")

    def _wait_for_autovacuum(self) -> None:
        """Waits for a weak lock on the tables that autovacuum holds.

        Autovacuum gives way to a session that has waited for deadlock_timeout. No attempt waits
        that long, but the wait for this lock may: it blocks neither readers nor writers.
        """
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

    def _blockers(self, error: Exception) -> str:
        if self._holders:
            return "; ".join(str(holder) for holder in self._holders)
        return str(error).strip()

    @contextmanager
    def _watched(self, what: str = "") -> Iterator[None]:
        """Watches who blocks the block, and says so of `what` if that takes long."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(done, what), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _watch(self, done: threading.Event, what: str) -> None:
        since = time.monotonic()
        with contextlib.suppress(psycopg.Error):
            while not done.wait(WATCH_SECONDS):
                if found := self._witness.execute(BLOCKERS, (self._pid,)).fetchall():
                    self._holders = [Holder(*row) for row in found]
                    if what and time.monotonic() - since > SAY_AFTER_SECONDS:
                        self._say(f"{what} waits: {'; '.join(map(str, self._holders))}")
                        what = ""
                else:
                    since = time.monotonic()


def limits(connection: psycopg.Connection[Any]) -> tuple[float, float]:
    """The seconds for which an attempt may block others, and for which it may wait for one lock.

    Both are shorter than deadlock_timeout, so that in a deadlock the attempt gives up before the
    server cancels one of the sessions.
    """
    timeout = deadlock_seconds(connection)
    return min(BUDGET_SECONDS, timeout / 2), min(LOCK_SECONDS, timeout / 4)


def deadlock_seconds(connection: psycopg.Connection[Any]) -> float:
    """deadlock_timeout: how long a session waits for a lock before it checks for a deadlock."""
    (seconds,) = connection.execute(
        "select setting::float / 1000 from pg_settings where name = 'deadlock_timeout'"
    ).fetchall()[0]
    return float(seconds)


def milliseconds(seconds: float) -> str:
    """A value for lock_timeout. At least 1 ms, because 0 means no limit."""
    return f"{max(1, int(seconds * 1000))}ms"


def pauses() -> Iterator[float]:
    """Seconds between attempts, with jitter; the longest pause doubles each time, up to a limit."""
    longest = FIRST_PAUSE_SECONDS
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311
        longest = min(2 * longest, MAX_PAUSE_SECONDS)
