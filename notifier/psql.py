"""Runs psql on the database of DATABASE_URL, or else of PGHOST, PGSERVICE and the like.

Other users of the machine can read a process's arguments. So the password is passed through the
environment; the rest of the connection string is passed as an argument.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from notifier.database.conninfo import conninfo
from notifier.database.errors import DatabaseUnusable
from notifier.resources import SQL

CRON = SQL / "cron"
SECRET = b"*"
"""libpq's mark for an option whose value must be hidden."""
SCRIPT_FAILED = 3
"""psql's exit code for an error in a script with ON_ERROR_STOP."""


@dataclass(frozen=True)
class Psql:
    """A psql command and its environment."""

    command: list[str]
    environment: Mapping[str, str]

    @classmethod
    def on_database(cls, *arguments: str) -> Self:
        """Raises DatabaseUnusable if the connection string holds a secret that psql accepts only
        as an argument."""
        shown: dict[str, str] = {}
        secrets: dict[str, str] = {}
        for option in Conninfo.parse(conninfo().encode()):
            if not option.val:
                continue
            name, value = option.keyword.decode(), option.val.decode()
            if option.dispchar != SECRET:
                shown[name] = value
            elif option.envvar:
                secrets[option.envvar.decode()] = value
            else:
                raise DatabaseUnusable(
                    f"DATABASE_URL holds {name}, which every user of this machine would see in"
                    " psql's arguments: put it into a service file (PGSERVICE)"
                )
        database = [f"--dbname={make_conninfo(**shown)}"] if shown else []
        return cls(["psql", "-X", *database, *arguments], os.environ | secrets)

    def replace_process(self) -> None:
        """Replaces this process by psql. Raises DatabaseUnusable if psql is not installed."""
        try:
            os.execvpe(self.command[0], self.command, self.environment)  # noqa: S606
        except FileNotFoundError:
            raise _no_psql() from None

    def run(self) -> int:
        """Runs psql; returns 0 for success, 1 if the script failed, 2 if psql could not run it."""
        try:
            process = subprocess.Popen(self.command, env=self.environment)
        except FileNotFoundError:
            raise _no_psql() from None
        with process:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda received, _: process.send_signal(received))
            return {0: 0, SCRIPT_FAILED: 1}.get(process.wait(), 2)

    def errors(self) -> tuple[int, str]:
        """Runs psql; returns its exit code and what it wrote to standard error."""
        try:
            finished = subprocess.run(
                self.command,
                env=self.environment,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except FileNotFoundError:
            raise _no_psql() from None
        return finished.returncode, finished.stderr


def cron_script(name: str, **variables: object) -> Psql:
    """psql with a script of sql/cron and these psql variables."""
    settings = {"ON_ERROR_STOP": 1, **variables}
    return Psql.on_database(
        "-q", *(f"--set={key}={value}" for key, value in settings.items()), f"--file={CRON / name}"
    )


def _no_psql() -> DatabaseUnusable:
    return DatabaseUnusable(
        "psql is not installed: make install, or your system's PostgreSQL client"
    )
