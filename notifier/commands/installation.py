"""notifier migrate, router, move."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from pathlib import Path

from notifier.commands import config
from notifier.commands.connection import connected


def router(file: Path) -> None:
    from notifier.router import make_router  # no other command needs it

    shards = make_router(file)
    print(f"router over {len(shards)} shards: {', '.join(shard.name for shard in shards)}")


def move(options: Namespace) -> None:
    from notifier.router import move_shard, undo_move  # no other command needs it

    (undo_move if options.undo else move_shard)(options.file, options.new_file)


def is_router() -> bool:
    from notifier.migrate.connection import connect

    with closing(connect()) as connection:
        query = "select to_regclass('scooters_ops.shard_status') is not null"
        return connection.execute(query).fetchone() == (True,)


def migrate() -> None:
    """Runs outside any event loop, so that Ctrl-C ends it at once."""
    if is_router():
        from notifier.router import update_router

        for line in update_router():
            print(line)
        return
    from notifier.migrate import migrate  # no other command needs yoyo

    names = migrate()
    print(f"migrated: {', '.join(names) or 'nothing to apply'}; sql/ installed")


async def first_config(file: Path) -> int:
    """Applies the file if the database has no config yet."""
    async with connected() as database:
        in_force = await database.config()
        is_router = await database.is_router()
    if in_force is None and is_router:  # the shards have one, which is not replaced unasked
        print("no config is in force in the router: make config")
        return 0
    if in_force is None:
        return await config.apply(file)
    print(f"config {in_force[0]} stays in force; make config changes it")
    return 0
