"""psql on the database of DATABASE_URL, else that of PGHOST, PGSERVICE and the rest.

Others on the machine may read the arguments of a process. So the password goes through the
environment, and all else that the connection string says stays in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from notifier.config import ROOT
from notifier.database.conninfo import conninfo
from notifier.database.errors import DatabaseUnusable

CRON = ROOT / "sql" / "cron"
SECRET = b"*"
"""How libpq marks an option whose value must not be shown."""


@dataclass(frozen=True)
class Psql:
    """How to call psql."""

    command: list[str]
    environment: Mapping[str, str]

    @classmethod
    def on_database(cls, *arguments: str) -> Self:
        """Raises DatabaseUnusable where the connection string holds a secret that psql takes in no
        other way."""
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
        """Becomes psql. Raises DatabaseUnusable where there is none."""
        try:
            os.execvpe(self.command[0], self.command, self.environment)  # noqa: S606
        except FileNotFoundError:
            raise _no_psql() from None

    def errors(self) -> tuple[int, str]:
        """Runs it; returns its exit code and what it wrote to standard error."""
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
    """One of sql/cron, with psql variables."""
    settings = {"ON_ERROR_STOP": 1, **variables}
    return Psql.on_database(
        "-q", *(f"--set={key}={value}" for key, value in settings.items()), f"--file={CRON / name}"
    )


def _no_psql() -> DatabaseUnusable:
    return DatabaseUnusable("there is no psql: make install")
