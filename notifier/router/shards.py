"""The shards that a router stands before, as a file lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from notifier.database.errors import DatabaseUnusable

SECRET = ("user", "password")
# PL/Proxy and postgres_fdw choose or refuse these, or have no secret place for them.
UNUSABLE = ("client_encoding", "fallback_application_name", "replication", "sslpassword")
# PL/Proxy heeds no connect_timeout, so the kernel must find out that a machine is gone.
DEFAULTS = {
    "application_name": "scooters_router",
    "connect_timeout": "5",
    "tcp_user_timeout": "2000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}


@dataclass(frozen=True)
class Shard:
    """A database that missions live in.

    number       from 0: its place in the file
    address      libpq's options but for those of `credentials`
    credentials  user and password
    """

    number: int
    address: dict[str, str]
    credentials: dict[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """What messages call it: the database and the host."""
        host = self.address.get("host", "")
        port = self.address.get("port", "")
        place = f"{host}:{port}" if port else host
        return f"{self.address['dbname']} at {place}" if place else self.address["dbname"]

    def conninfo(self) -> str:
        """libpq's connection string, with the secrets."""
        return make_conninfo("", **self.address, **self.credentials)


def read_shards(file: Path) -> list[Shard]:
    """The shards of a file with a connection string in each line; # begins a comment.

    Raises DatabaseUnusable if the file cannot be read, names the line that libpq cannot parse or
    that names no database, and if the number of shards is not a power of two.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatabaseUnusable(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    shards: list[Shard] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            shards.append(_shard(len(shards), text, f"{file}, line {number}"))
    _check(shards, file)
    return shards


def _shard(number: int, text: str, place: str) -> Shard:
    try:
        options = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError:
        # libpq's own message would repeat a part of the password.
        raise DatabaseUnusable(f"{place}: not a connection string that libpq can read") from None
    if "@" in options.get("host", ""):
        raise DatabaseUnusable(f"{place}: a password with @ must have it as %40 in a URL")
    if unusable := sorted(options.keys() & set(UNUSABLE)):
        raise DatabaseUnusable(f"{place}: a router cannot use the option {unusable[0]}")
    if "dbname" not in options:
        raise DatabaseUnusable(f"{place}: names no database (dbname)")
    address = DEFAULTS | {name: value for name, value in options.items() if name not in SECRET}
    return Shard(number, address, {name: options[name] for name in SECRET if name in options})


def _check(shards: Sequence[Shard], file: Path) -> None:
    count = len(shards)
    if count == 0 or count & (count - 1):
        raise DatabaseUnusable(
            f"{file}: names {count} shards, and their number must be a power of two (1, 2, 4, ...)"
        )
    names = [shard.name for shard in shards]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DatabaseUnusable(f"{file}: names {', '.join(sorted(twice))} twice")
