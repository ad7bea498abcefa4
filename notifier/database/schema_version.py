"""Which migrations this program knows, and whether a database has the same ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from notifier.resources import MIGRATIONS


@functools.cache  # those it started with, even if another version is checked out meanwhile
def known_migrations() -> Sequence[str]:
    """The names of this version's migrations, in order."""
    return tuple(sorted(path.stem for path in MIGRATIONS.glob("*.sql")))


def version_problem(applied: Sequence[str], known: Sequence[str]) -> str | None:
    """Why this program cannot work with a database that has these migrations; None: it can."""
    if newer := sorted(set(applied) - set(known)):
        return f"a newer version migrated it ({newer[-1]}): update this program"
    if missing := sorted(set(known) - set(applied)):
        return f"it lacks the migration {missing[0]}: make migrate"
    return None
