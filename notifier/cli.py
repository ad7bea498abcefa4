"""The command line: notifier, or python -m notifier.

Exit codes: 0 done; 1 something needs a person (status, schedule), or results could not be recorded
(run); 2 bad input, a missing secret, or a database that cannot be used. The error names the cause.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from notifier import arguments, logs, psql, test_message
from notifier import config as configs
from notifier.channels import CHANNELS
from notifier.config import Config, ConfigError
from notifier.database.errors import DatabaseUnusable, is_temporary, reason
from notifier.database.session import require_session
from notifier.database.statements import Database
from notifier.delivery.notifier import Notifier, NotRecorded
from notifier.delivery.setup import renderer_for
from notifier.locales import LOCALES
from notifier.metrics import Metrics
from notifier.notification_types import NOTIFICATION_TYPES, TEST_TYPE, sample_facts, steps_of
from notifier.resources import CONFIG, TEMPLATES
from notifier.secrets import SecretMissing, Secrets
from notifier.status import report
from notifier.status.advice import advice
from notifier.status.snapshot import JobsStatus, Status
from notifier.systemd import Service
from notifier.templates import TemplateError
from notifier.text import escaped_lines
from notifier.web.address import Address, AddressUnusable

# retry --failed may have to update every failed recipient at once.
STATEMENT_SECONDS = 600.0
SESSION_COMMANDS = ("migrate", "router", "move", "schedule", "unschedule")


def main(argv: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # the terminal may lack some characters
        sys.stdout.reconfigure(errors="backslashreplace")
    options = arguments.parse(argv)
    secrets = Secrets()
    logs.configure(options.log_level, secrets)
    try:
        if options.command in SESSION_COMMANDS or getattr(options, "jobs", False):
            require_session(f"make {options.command}")
        match options.command:
            case "psql":
                psql.Psql.on_database(*options.psql_arguments).replace_process()
            case "schedule" | "unschedule" if _is_router():
                raise DatabaseUnusable(
                    f"this is a router, and passes run in its shards: make {options.command} there"
                )
            case "schedule":
                return psql.cron_script("schedule.sql", wait_seconds=options.wait).run()
            case "unschedule":
                return psql.cron_script("unschedule.sql").run()
            case "router":
                _router(options.file)
                return 0
            case "move":
                _move(options)
                return 0
            case "migrate":
                _migrate()
        return asyncio.run(_command(options, secrets))
    except BrokenPipeError:  # notifier preview ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
    except (AddressUnusable, DatabaseUnusable, SecretMissing, TemplateError) as error:
        _complain(str(error))
    except psycopg.Error as error:
        is_lost = error.sqlstate is None and is_temporary(error)
        problem = f"no database: {error}" if is_lost else reason(error)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            problem += ": docs/dba.md says which role may do what (Roles)"
        # libpq puts a hint, such as "Is the server running ...?", on an indented line of its own.
        _complain(" ".join(secrets.redact(problem).replace("\n\t", ". ").split()))
    except NotRecorded as error:
        _complain(f"{error}; they will be sent again")
        return 1
    return 2


def _say(text: str) -> None:
    """Prints text that may hold control characters from other systems, such as identifiers."""
    print(escaped_lines(text))


def _say_json(document: object) -> None:
    print(escaped_lines(json.dumps(document, indent=2, ensure_ascii=False)))


def _complain(problem: str) -> None:
    print(f"notifier: {escaped_lines(problem)}", file=sys.stderr)


async def _command(options: Namespace, secrets: Secrets) -> int:
    match options.command:
        case "run":
            return await _run(secrets, options.listen, once=options.once)
        case "serve":
            return await _serve(secrets, options.listen)
        case "migrate":
            return await _first_config(options.file)
        case "config":
            return await _config(options.action, getattr(options, "file", CONFIG))
        case "preview":
            return await _preview(options)
        case "status":
            return await _status(as_json=options.output == "json", with_jobs=options.jobs)
        case "acknowledge":
            return await _acknowledge(options.token, options.by)
        case "test":
            return await _test(options, secrets)
        case _:
            return await _retry(options.token, options.channel, as_sent=options.as_sent)


async def _run(secrets: Secrets, listen: Address | None, *, once: bool) -> int:
    notifier = Notifier(TEMPLATES, secrets, service=Service(os.environ))
    if listen is None:
        _on_signals(notifier.stop)
        await notifier.run(once=once)
        return 0
    from notifier.web.server import open_server, run_together  # takes a second to import

    async with open_server(listen, secrets, notifier.metrics) as server:
        await run_together(server, notifier, _until_signalled())
    return 0


async def _serve(secrets: Secrets, listen: Address) -> int:
    from notifier.web.server import open_server, run_together

    async with open_server(listen, secrets, Metrics()) as server:
        await run_together(server, None, _until_signalled())
    return 0


def _until_signalled() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    _on_signals(stop.set)
    return stop


def _on_signals(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _router(file: Path) -> None:
    from notifier.router import make_router  # no other command needs it

    shards = make_router(file)
    print(f"router over {len(shards)} shards: {', '.join(shard.name for shard in shards)}")


def _move(options: Namespace) -> None:
    from notifier.router import move_shard, undo_move  # no other command needs it

    (undo_move if options.undo else move_shard)(options.file, options.new_file)


def _is_router() -> bool:
    from notifier.migrate.connection import connect

    with closing(connect()) as connection:
        query = "select to_regclass('scooters_ops.shard_status') is not null"
        return connection.execute(query).fetchone() == (True,)


def _migrate() -> None:
    """Runs outside any event loop, so that Ctrl-C ends it at once."""
    if _is_router():
        from notifier.router import update_router

        for line in update_router():
            print(line)
        return
    from notifier.migrate import migrate  # no other command needs yoyo

    names = migrate()
    print(f"migrated: {', '.join(names) or 'nothing to apply'}; sql/ installed")


async def _first_config(file: Path) -> int:
    """Applies the file if the database has no config yet."""
    async with _database() as database:
        in_force = await database.config()
        is_router = await database.is_router()
    if in_force is None and is_router:  # the shards have one, which is not replaced unasked
        print("no config is in force in the router: make config")
        return 0
    if in_force is None:
        return await _config("apply", file)
    print(f"config {in_force[0]} stays in force; make config changes it")
    return 0


async def _config(action: str, file: Path) -> int:
    if action == "show":
        async with _database() as database:
            in_force = await database.config()
        if in_force is None:
            raise ConfigError(["no config is in force: make config"])
        _say_json(in_force[1])
        return 0
    document = configs.read_json(file)
    config = configs.parse(document)
    _check(config)
    for warning in configs.warnings(config):
        print(f"notifier: warning: {warning}", file=sys.stderr)
    if action == "check":
        _say(f"{file}: good")
        return 0
    async with _database() as database:
        before = await database.config()
        config_id = await database.apply_config(document)
        after = await database.config()
    if before is not None and before[0] == config_id:
        _say(f"{file}: already in force as config {config_id}")
        return 0
    _say(f"{file}: in force as config {config_id}")
    if before is not None and after is not None and _jobs(before[1]) != _jobs(after[1]):
        print("What pg_cron runs, or when, has changed: make schedule")
    return 0


def _check(config: Config) -> None:
    """Checks that every template exists, in each language, and can be rendered with sample facts of
    each step."""
    # The config's own language first: an error names the first template that is broken.
    for locale in dict.fromkeys((config.notifier.locale, *LOCALES)):
        renderer = renderer_for(_in_locale(config, locale), TEMPLATES)
        for name in config.channel_settings():
            for type in (*NOTIFICATION_TYPES, TEST_TYPE):
                for step in steps_of(type):
                    renderer.render(type, CHANNELS[name], sample_facts(type, step))


def _in_locale(config: Config, locale: str) -> Config:
    settings = config.notifier.model_copy(update={"locale": locale})
    return config.model_copy(update={"notifier": settings})


def _jobs(document: Mapping[str, Mapping[str, object]]) -> tuple[object, ...]:
    """The settings from which sql/cron/schedule.sql makes jobs, in a config with its defaults."""
    retention = document["retention"]
    schedules = document["detection"]["schedule"], retention["schedule"]
    return *schedules, retention["cron_runs_seconds"]


async def _preview(options: Namespace) -> int:
    config = configs.load(CONFIG)
    if options.locale:
        config = _in_locale(config, options.locale)
    facts = sample_facts(options.type, options.step)
    if options.token is not None:
        async with _database() as database:
            notification = await database.notification(options.token)
        if notification is None:
            raise ConfigError([f"no notification {options.token!r}"])
        if notification.type != options.type:
            raise ConfigError([f"{options.token!r} is of type {notification.type}"])
        try:
            facts = {
                **notification.facts(options.step, datetime.now(UTC)),
                "mission_url": config.mission_url(notification.mission_id),
            }
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ConfigError([f"{options.token!r} has unreadable details: {error}"]) from None
    renderer = renderer_for(config, TEMPLATES)
    rendered = {
        name: renderer.render(options.type, CHANNELS[name], facts)
        for name in ([options.channel] if options.channel else CHANNELS)
    }
    if options.output == "json":
        _say_json(rendered)
        return 0
    for name, parts in rendered.items():
        for part, text in parts.items():
            _say(f"--- {name}.{part}\n{text}\n")
    return 0


async def _status(*, as_json: bool, with_jobs: bool) -> int:
    async with _database() as database:
        found = await Status.read(database)
    if with_jobs and not found.shards:  # a router has no jobs
        found = replace(found, jobs=JobsStatus(*psql.cron_script("status.sql").errors()))
    if as_json:
        _say_json(report.document(found))
    else:
        _say(report.text(found))
    return 1 if advice(found) else 0


async def _retry(token: str | None, channel: str | None, *, as_sent: bool) -> int:
    async with _database() as database:
        if as_sent and token is not None:
            print(f"{await database.confirm(token, channel)} recipients recorded as sent")
        else:
            print(f"{await database.retry(token, channel)} deliveries will be tried again")
    return 0


async def _acknowledge(token: str, by: str | None) -> int:
    name = test_message.asked_by() if by is None else by
    async with _database() as database:
        is_first = await database.acknowledge(token, name)
    _say(f"acknowledged by {name}" if is_first else "somebody has acknowledged it already")
    return 0


async def _test(options: Namespace, secrets: Secrets) -> int:
    if options.direct:
        config = configs.load(options.config or CONFIG)
        if options.all:
            document = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
            targets = test_message.named_by(document["routes"])
        else:
            targets = [test_message.recipient(options.words[0], options.words[1:])]
        arrivals = await test_message.directly(config, TEMPLATES, secrets, targets)
    else:
        arrivals = await _test_through_queue(options)
    if options.output == "json":
        _say_json([asdict(arrival) for arrival in arrivals])
    else:
        for arrival in arrivals:
            _say(arrival.line())
    return 0 if arrivals and all(arrival.has_arrived for arrival in arrivals) else 1


async def _test_through_queue(options: Namespace) -> list[test_message.Arrival]:
    """The outcome of each message; empty: nothing was sent, because no notifier is alive."""
    given = None if options.all or options.route else options.words
    named = None if given is None else [test_message.recipient(given[0], given[1:])]
    facts = test_message.facts(options.words) if options.route else None
    async with _database() as database:
        if await database.is_router():
            raise DatabaseUnusable(
                "this is a router, and its shards send: notifier test on a shard's database"
            )
        if named is None:
            named = await _named_in_force(database, facts)
        if not await database.is_notifier_alive():
            _complain(
                "no notifier is alive, so nothing was sent: start one (notifier run), or send from"
                " here with --direct"
            )
            return []
        return await test_message.through_queue(database, named, options.wait, _until_signalled())


async def _named_in_force(
    database: Database, facts: tuple[str, str | None, Mapping[str, object]] | None
) -> list[test_message.Target]:
    """Whom the routes of the config in force name for a notification with these facts; None: for
    any notification."""
    if facts is not None:
        routes = await database.routes_of(*facts)
        if not routes:
            raise ConfigError(["no route matches these facts"])
    else:
        in_force = await database.config()
        if in_force is None:
            raise ConfigError(["no config is in force: make config"])
        routes = in_force[1]["routes"]
    if not (targets := test_message.named_by(routes)):
        raise ConfigError(["the routes name nobody"])
    return targets


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    database = await Database.connect(STATEMENT_SECONDS)
    try:
        await database.check_version()
        yield database
    finally:
        await database.close()
