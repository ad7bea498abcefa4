"""The command line: notifier, or python -m notifier.

Exit codes: 0 done; 1 something needs a person (status), or a result could not be recorded (run);
2 bad input, a missing secret, or a database that cannot be used, with the culprit's name.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import psycopg

from notifier import config as configs
from notifier import logs, psql, status
from notifier.channels import CHANNELS
from notifier.config import ROOT, Config, ConfigError
from notifier.database import Database, DatabaseUnusable, is_temporary, reason
from notifier.delivery import Notifier, NotRecorded, renderer_for
from notifier.metrics import Metrics
from notifier.samples import SAMPLE_FACTS
from notifier.secrets import SecretMissing, Secrets
from notifier.session import require_session
from notifier.systemd import Service
from notifier.templates import LOCALES, NOTIFICATION_TYPES, TemplateError
from notifier.text import escaped, escaped_lines
from notifier.web.address import Address, AddressUnusable

TEMPLATES = ROOT / "templates"
CONFIG = ROOT / "config.json"
# A person waits: all that failed may be revived at once.
STATEMENT_SECONDS = 600.0
# pg_cron may start jobs at full minutes only.
FIRST_RUN_SECONDS = 90
PSQL_COMMANDS = ("psql", "schedule", "unschedule")
SESSION_COMMANDS = ("migrate", "schedule", "unschedule")


def main(arguments: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale may lack the characters of a text
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _options(arguments)
    secrets = Secrets()
    logs.configure(options.log_level, secrets)
    try:
        if options.command in SESSION_COMMANDS or getattr(options, "jobs", False):
            require_session(f"make {options.command}")
        if options.command in PSQL_COMMANDS:
            _psql(options).replace_process()
        if options.command == "migrate":
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
            problem += ": the README says which role may do what (Set it up)"
        _complain(" ".join(secrets.redact(problem).split()))
    except NotRecorded as error:
        _complain(f"{error}; they will be sent again")
        return 1
    return 2


def _say(text: str) -> None:
    """Prints what may hold texts of others: identifiers, attributes, answers of servers."""
    print(escaped_lines(text))


def _say_json(document: object) -> None:
    print(escaped_lines(json.dumps(document, indent=2, ensure_ascii=False)))


def _complain(problem: str) -> None:
    print(f"notifier: {escaped_lines(problem)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Complains without letting an argument steer the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(escaped(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="notifier",
        description="Delivers notifications of couriers' missions. The database is libpq's:"
        " DATABASE_URL if set, else PGHOST, PGSERVICE and the rest.",
    )
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info")
    commands = parser.add_subparsers(dest="command", required=True)

    migrate = commands.add_parser(
        "migrate", help="bring the database up to date: migrations, then sql/, then a first config"
    )
    migrate.add_argument("file", nargs="?", type=Path, default=CONFIG, metavar="FILE")

    run = commands.add_parser("run", help="deliver, until SIGTERM")
    run.add_argument("--once", action="store_true", help="deliver what is due, then exit")
    run.add_argument(
        "--listen", type=_address, metavar="HOST:PORT", help="answer HTTP requests there besides"
    )

    serve = commands.add_parser("serve", help="answer HTTP requests, and deliver nothing")
    serve.add_argument(
        "--listen",
        type=_address,
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="there (%(default)s)",
    )

    config = commands.add_parser("config", help="check a config, put it into force, show it")
    actions = config.add_subparsers(dest="action", required=True)
    for action, meaning in (
        ("check", "what is wrong with a config file"),
        ("apply", "check it and put it into force"),
    ):
        subcommand = actions.add_parser(action, help=meaning)
        subcommand.add_argument("file", nargs="?", type=Path, default=CONFIG, metavar="FILE")
    actions.add_parser("show", help="the config in force")

    preview = commands.add_parser("preview", help="what a notification looks like")
    preview.add_argument("type", choices=NOTIFICATION_TYPES)
    preview.add_argument("--channel", choices=list(CHANNELS), help="one channel only")
    preview.add_argument("--locale", choices=list(LOCALES), help="else that of config.json")
    preview.add_argument(
        "--token", type=_text, help="a real notification's, instead of sample facts"
    )

    shown = commands.add_parser(
        "status", help="what waits, what failed; exit 1 when a person is needed"
    )
    form = shown.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs, and with all there is")
    form.add_argument("--jobs", action="store_true", help="and what pg_cron's jobs need, by psql")

    retry = commands.add_parser(
        "retry", help="try failed and doubtful recipients once more, and what no route matched"
    )
    what = retry.add_mutually_exclusive_group(required=True)
    what.add_argument("token", nargs="?", type=_text, help="of this notification")
    what.add_argument("--failed", action="store_true", help="of all notifications")
    retry.add_argument("--channel", choices=list(CHANNELS), help="of one channel only")
    retry.add_argument(
        "--as-sent",
        action="store_true",
        help="TOKEN did arrive: record its doubtful recipients as sent, and send nothing",
    )

    schedule = commands.add_parser("schedule", help="let pg_cron run the passes, by psql")
    schedule.add_argument(
        "--wait",
        type=int,
        default=FIRST_RUN_SECONDS,
        metavar="SECONDS",
        help="for the first run (%(default)s); 0: not at all",
    )
    commands.add_parser("unschedule", help="stop pg_cron's passes, by psql")
    commands.add_parser("psql", help="a psql on the database, with its own options", add_help=False)
    return parser


def _psql(options: argparse.Namespace) -> psql.Psql:
    match options.command:
        case "psql":
            return psql.Psql.on_database(*options.psql_arguments)
        case "schedule":
            return psql.cron_script("schedule.sql", wait_seconds=options.wait)
        case _:
            return psql.cron_script("unschedule.sql")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown and options.command != "psql":
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.psql_arguments = unknown
    if options.command == "retry" and options.as_sent and options.token is None:
        parser.error("retry --as-sent takes a TOKEN: somebody looked for each")
    if options.command == "run" and options.once and options.listen is not None:
        parser.error("run --once ends too soon to --listen")
    return options


async def _command(options: argparse.Namespace, secrets: Secrets) -> int:
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
            return await _status(as_json=options.json, with_jobs=options.jobs)
        case _:
            return await _retry(options.token, options.channel, as_sent=options.as_sent)


def _text(argument: str) -> str:
    """An argument that the database is asked for. Python writes bytes that are not text as halves
    of characters."""
    if any("\ud800" <= character <= "\udfff" for character in argument):
        raise argparse.ArgumentTypeError("is not text")
    return argument


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
    """Set when the process is told to stop."""
    stop = asyncio.Event()
    _on_signals(stop.set)
    return stop


def _on_signals(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _migrate() -> None:
    """Outside of any event loop, so that Ctrl-C ends it at once."""
    from notifier.migrate import migrate  # yoyo is nobody else's

    names = migrate()
    print(f"migrated: {', '.join(names) or 'nothing to apply'}; sql/ installed")


async def _first_config(file: Path) -> int:
    """Puts the file into force where nothing is in force yet."""
    async with _database() as database:
        in_force = await database.config()
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
        _say(f"{file}: in force already, as config {config_id}")
        return 0
    _say(f"{file}: in force as config {config_id}")
    if before is not None and after is not None and _jobs(before[1]) != _jobs(after[1]):
        print("What pg_cron runs, or when, has changed: make schedule")
    return 0


def _check(config: Config) -> None:
    """Besides the form: every template is there and can be rendered."""
    renderer = renderer_for(config, TEMPLATES)
    for name in config.channel_settings():
        for type, facts in SAMPLE_FACTS.items():
            renderer.render(type, CHANNELS[name], facts)


def _jobs(document: Mapping[str, Mapping[str, object]]) -> tuple[object, ...]:
    """What sql/cron/schedule.sql makes jobs of, in a config that has its defaults filled in."""
    retention = document["retention"]
    schedules = document["detection"]["schedule"], retention["schedule"]
    return *schedules, retention["cron_runs_seconds"]


async def _preview(options: argparse.Namespace) -> int:
    config = configs.load(CONFIG)
    if options.locale:
        settings = config.notifier.model_copy(update={"locale": options.locale})
        config = config.model_copy(update={"notifier": settings})
    facts = SAMPLE_FACTS[options.type]
    if options.token is not None:
        async with _database() as database:
            notification = await database.notification(options.token)
        if notification is None:
            raise ConfigError([f"no notification {options.token!r}"])
        if notification.type != options.type:
            raise ConfigError([f"{options.token!r} is of type {notification.type}"])
        try:
            facts = notification.facts()
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ConfigError([f"{options.token!r} has unreadable details: {error}"]) from None
    renderer = renderer_for(config, TEMPLATES)
    for name in [options.channel] if options.channel else CHANNELS:
        for part, text in renderer.render(options.type, CHANNELS[name], facts).items():
            _say(f"--- {name}.{part}\n{text}\n")
    return 0


async def _status(*, as_json: bool, with_jobs: bool) -> int:
    async with _database() as database:
        found = await status.Status.read(database)
    if with_jobs:
        found = replace(found, jobs=status.JobsStatus(*psql.cron_script("status.sql").errors()))
    if as_json:
        _say_json(status.document(found))
    else:
        _say(status.text(found))
    return 1 if status.advice(found) else 0


async def _retry(token: str | None, channel: str | None, *, as_sent: bool) -> int:
    async with _database() as database:
        if as_sent and token is not None:
            print(f"{await database.confirm(token, channel)} recipients recorded as sent")
        else:
            print(f"{await database.retry(token, channel)} deliveries will be tried again")
    return 0


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    database = await Database.connect(STATEMENT_SECONDS)
    try:
        await database.check_version()
        yield database
    finally:
        await database.close()
