"""The arguments of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from notifier import __version__, logs
from notifier.channels import CHANNELS
from notifier.commands import advice as advice_command
from notifier.commands.window import add_window
from notifier.database.schema_version import known_migrations
from notifier.locales import LOCALES
from notifier.notification_types import DIGEST_TYPE, NOTIFICATION_TYPES, TEST_TYPE, steps_of
from notifier.report.questions import QUESTIONS
from notifier.resources import CONFIG
from notifier.silences import duration_of
from notifier.steps import STEPS
from notifier.text import escaped
from notifier.web.address import Address

# pg_cron may start jobs only at full minutes.
FIRST_RUN_SECONDS = 90
TEST_SECONDS = 60


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command; sys.argv if None. Arguments for psql are in `psql_arguments`.

    Prints the usage and exits with code 2 if the arguments are wrong.
    """
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown and options.command != "psql":
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.psql_arguments = unknown
    if options.command == "retry" and options.as_sent and options.token is None:
        parser.error("retry --as-sent needs a TOKEN: check each notification before you use it")
    if options.command == "run" and options.once and options.listen is not None:
        parser.error("run --once cannot --listen: it ends too soon to answer requests")
    if options.command == "preview" and options.step not in steps_of(options.type):
        parser.error(f"a {options.type} has only: {', '.join(steps_of(options.type))}")
    if options.command == "silence" and options.comment is None and not options.dry_run:
        parser.error("silence needs --comment TEXT: the messages say why")
    if options.command == "report" and options.output == "csv" and len(options.question) != 1:
        parser.error("report --output csv needs one --question NAME: a file has one table")
    if options.command == "test" and (problem := _test_problem(options)):
        parser.error(problem)
    return options


def _test_problem(options: argparse.Namespace) -> str | None:
    """Why the arguments of `test` do not say whom to send to."""
    if options.all and options.words:
        return "test --all takes no recipient"
    if options.route and options.direct:
        return "test --route asks the database which routes match: leave out --direct"
    if options.route and not options.words:
        return "test --route needs facts of a notification, such as type=job_skipped city=Moscow"
    if not (options.all or options.route or options.words[:1]):
        return "test needs a CHANNEL and its key=value..., --route key=value... or --all"
    if not (options.all or options.route or options.words[0] in CHANNELS):
        return f"test: CHANNEL must be one of {', '.join(CHANNELS)}"
    if options.config is not None and not options.direct:
        return "test uses the config in force: --config FILE needs --direct"
    return None


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviated options, and escapes control characters in its errors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        super().error(escaped(message))


def _parser() -> _Parser:
    parser = _Parser(
        prog="notifier",
        description="Delivers notifications about couriers' missions. The database is that of"
        " DATABASE_URL if set, or else of PGHOST, PGSERVICE and the like, as for psql.",
        epilog="Exit codes: 0 done, 1 needs a person, 2 bad input.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"notifier {__version__}, for a database at migration {known_migrations()[-1]}",
    )
    parser.add_argument(
        "--log-level", choices=logs.LEVELS, default="info", help="default: %(default)s"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_daemon(commands)
    _add_database(commands)
    _add_config(commands)
    _add_notifications(commands)
    return parser


def _add_daemon(commands: Any) -> None:
    run = commands.add_parser("run", help="deliver notifications until SIGTERM")
    run.add_argument("--once", action="store_true", help="deliver what is due, then exit")
    run.add_argument(
        "--listen", type=_address, metavar="HOST:PORT", help="also serve the HTTP API there"
    )
    serve = commands.add_parser("serve", help="serve the HTTP API, without delivering")
    serve.add_argument(
        "--listen",
        type=_address,
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="address to serve at; default: %(default)s",
    )


def _add_database(commands: Any) -> None:
    migrate = commands.add_parser(
        "migrate",
        help="bring the database up to date: migrations, sql/, and a first config if it has none",
    )
    _add_file(migrate)
    router = commands.add_parser(
        "router", help="make the database a router over the databases that a file lists"
    )
    router.add_argument(
        "file", type=Path, metavar="FILE", help="a connection string in each line, one per shard"
    )
    move = commands.add_parser("move", help="move a shard of the router to another server")
    move.add_argument("file", type=Path, metavar="FILE", help="the shards as they are")
    move.add_argument(
        "new_file", type=Path, metavar="NEW_FILE", help="the shards as they shall be: one differs"
    )
    move.add_argument(
        "--undo", action="store_true", help="after a move that was killed: make the shard writable"
    )
    schedule = commands.add_parser("schedule", help="make pg_cron run detection; uses psql")
    schedule.add_argument(
        "--wait",
        type=int,
        default=FIRST_RUN_SECONDS,
        metavar="SECONDS",
        help="longest wait for the first run; 0: no wait; default: %(default)s",
    )
    commands.add_parser("unschedule", help="remove pg_cron's jobs; uses psql")
    commands.add_parser(
        "psql", help="open psql on the database; takes psql's options", add_help=False
    )


def _add_config(commands: Any) -> None:
    config = commands.add_parser(
        "config", help="check, apply, show, try, compare or take back a config"
    )
    actions = config.add_subparsers(dest="action", required=True)
    _add_file(actions.add_parser("check", help="print what is wrong with a config file"))
    apply = actions.add_parser("apply", help="check a config file and put it in force")
    _add_file(apply)
    apply.add_argument(
        "--dry-run",
        action="store_true",
        help="only check it, print how it differs from the config in force, and change nothing",
    )
    _add_reason(apply)
    show = actions.add_parser("show", help="print the config in force, as JSON")
    show.add_argument("--output", choices=["json"], default="json", help="default: %(default)s")

    history = actions.add_parser(
        "history", help="print who applied which config when, and why, the newest first"
    )
    _add_rows_output(history)
    diff = actions.add_parser(
        "diff",
        help="print how a config differs from the one in force, and what it would have told",
    )
    diff.add_argument(
        "other",
        nargs="?",
        type=_file_or_config_id,
        default=CONFIG,
        metavar="FILE|ID",
        help="config file, or the number of a config that was applied; default: %(default)s",
    )
    _add_rows_output(diff)
    rollback = actions.add_parser("rollback", help="put a config that was applied in force again")
    rollback.add_argument("config_id", type=_config_id, metavar="ID", help="its number")
    _add_reason(rollback)

    route = actions.add_parser(
        "route",
        help="print whom a notification would reach, by which route, and why not by an earlier one",
        usage="%(prog)s [options] TYPE key=value...",
    )
    route.add_argument("type", choices=NOTIFICATION_TYPES, metavar="TYPE", help=_one_of_types())
    route.add_argument(
        "words",
        nargs="*",
        type=_text,
        metavar="key=value",
        help="job_type, mission_id, point_id, performer_id, or an attribute of the mission",
    )
    route.add_argument(
        "--at", type=_time, metavar="TIME", help="such as 2026-01-31T23:00+03:00; default: now"
    )
    route.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a config file that is not applied; default: the config in force",
    )
    route.add_argument(
        "--expect",
        action="append",
        type=_text,
        metavar="RECIPIENT",
        help="who is to be told, such as telegram:-1001, st:DUTY, a recipient as JSON, nobody, or"
        " no-route; given once for each; exit 1 if it is not so",
    )
    _add_output(route)


def _add_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--comment", type=_text, metavar="TEXT", help="why; notifier config history shows it"
    )
    parser.add_argument(
        "--expect",
        type=_config_id,
        metavar="ID",
        help="only if config ID is still in force; default: the one that is in force at the start",
    )


def _one_of_types() -> str:
    return f"one of {', '.join(NOTIFICATION_TYPES)}"


def _add_notifications(commands: Any) -> None:
    preview = commands.add_parser("preview", help="print the messages for a notification")
    preview.add_argument("type", choices=[*NOTIFICATION_TYPES, TEST_TYPE, DIGEST_TYPE])
    preview.add_argument("--channel", choices=list(CHANNELS), help="for this channel only")
    preview.add_argument(
        "--config", type=Path, metavar="FILE", help="config file; default: the config in force"
    )
    preview.add_argument(
        "--step", choices=STEPS, default="alert", help="of this step; default: %(default)s"
    )
    preview.add_argument(
        "--locale", choices=list(LOCALES), help="default: the locale of config.json"
    )
    preview.add_argument(
        "--token", type=_text, help="use this notification's facts instead of sample facts"
    )
    _add_output(preview)

    status = commands.add_parser(
        "status", help="print what is waiting and what failed; exit 1 if it needs a person"
    )
    form = status.add_mutually_exclusive_group()
    _add_output(form)
    form.add_argument(
        "--json", action="store_const", const="json", dest="output", help="same as --output json"
    )
    form.add_argument(
        "--jobs", action="store_true", help="also check pg_cron's jobs; uses psql; text only"
    )

    retry = commands.add_parser(
        "retry", help="try failed, in-doubt and unrouted recipients once more"
    )
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "token", nargs="?", type=_text, metavar="TOKEN", help="those of this notification"
    )
    which.add_argument("--failed", action="store_true", help="those of all notifications")
    retry.add_argument("--channel", choices=list(CHANNELS), help="those of this channel only")
    retry.add_argument(
        "--as-sent",
        action="store_true",
        help="send nothing: record the in-doubt recipients of TOKEN as sent, because it arrived",
    )

    acknowledge = commands.add_parser(
        "acknowledge", help="say who takes care of a notification: nobody else is alarmed"
    )
    acknowledge.add_argument("token", type=_text, metavar="TOKEN", help="the notification")
    acknowledge.add_argument(
        "--by", type=_text, metavar="NAME", help="who; default: the system user's name"
    )
    why = commands.add_parser(
        "why",
        help="print for each interval and skip of a mission why it was reported, or was not",
    )
    why.add_argument("mission_id", type=_text, metavar="MISSION", help="its mission_id")
    _add_rows_output(why)
    _add_silences(commands)
    _add_backtest(commands)
    _add_test(commands)
    _add_report(commands)
    _add_answers(commands)


def _add_silences(commands: Any) -> None:
    silence = commands.add_parser(
        "silence",
        help="hold the alerts that match, until the end; what has resolved by then is never sent",
        usage="%(prog)s [options] --for DURATION --comment TEXT key=value...",
    )
    silence.add_argument(
        "words",
        nargs="+",
        type=_text,
        metavar="key=value",
        help="which alerts, as in a route's match: type=job_skipped city=Omsk; a repeated key means"
        " any of its values",
    )
    silence.add_argument(
        "--for",
        dest="duration",
        type=_duration,
        required=True,
        metavar="DURATION",
        help="how long: 90m, 2h, 3d",
    )
    silence.add_argument("--comment", type=_text, metavar="TEXT", help="why; the messages say it")
    silence.add_argument(
        "--by", type=_text, metavar="NAME", help="who; default: the system user's name"
    )
    silence.add_argument(
        "--dry-run", action="store_true", help="only show what it would have held in the last day"
    )
    _add_output(silence)
    silences = commands.add_parser("silences", help="print who silenced what until when")
    silences.add_argument("--all", action="store_true", help="also those that are over")
    _add_output(silences)
    unsilence = commands.add_parser(
        "unsilence", help="end a silence early: what it holds goes out now"
    )
    unsilence.add_argument("silence_id", type=_silence_id, metavar="ID", help="its number")
    unsilence.add_argument(
        "--by", type=_text, metavar="NAME", help="who; default: the system user's name"
    )


def _add_backtest(commands: Any) -> None:
    backtest = commands.add_parser(
        "backtest",
        help="print what a config would have told, beside what was told; changes nothing",
    )
    _add_file(backtest)
    add_window(backtest)
    backtest.add_argument(
        "--by",
        action="append",
        type=_text,
        metavar="KEY",
        help="count by day, type, rule, route, or one attribute of missions, such as city; may be"
        " repeated; default: day, type and rule",
    )
    _add_rows_output(backtest)


def _add_test(commands: Any) -> None:
    test = commands.add_parser(
        "test",
        help="send a test message and wait for it; exit 1 unless it arrived",
        usage="%(prog)s [options] (CHANNEL key=value... | --route key=value... | --all)",
    )
    test.add_argument(
        "words",
        nargs="*",
        type=_text,
        metavar="CHANNEL key=value",
        help="a recipient as routes name it, such as: telegram chat_id=-1001",
    )
    which = test.add_mutually_exclusive_group()
    which.add_argument(
        "--route",
        action="store_true",
        help="to all whom the routes name for a notification of type=TYPE, job_type=... and these"
        " attributes of its mission, at every level",
    )
    which.add_argument("--all", action="store_true", help="to all whom any route names")
    test.add_argument(
        "--direct", action="store_true", help="send from this process, without the database"
    )
    test.add_argument(
        "--config", type=Path, metavar="FILE", help=f"config file of --direct; default: {CONFIG}"
    )
    test.add_argument(
        "--wait",
        type=_seconds,
        default=TEST_SECONDS,
        metavar="SECONDS",
        help="longest wait for the outcome; default: %(default)s",
    )
    _add_output(test)


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report", help="write one HTML page of charts and tables: who was late, who took care"
    )
    add_window(report)
    report.add_argument(
        "--question",
        action="append",
        default=[],
        choices=list(QUESTIONS),
        metavar="NAME",
        help=f"answer this one only; may be repeated; one of {', '.join(QUESTIONS)}",
    )
    report.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="write there, the whole or nothing; default: to standard output",
    )
    report.add_argument(
        "--locale", choices=list(LOCALES), help="default: the locale of the config in force"
    )
    report.add_argument(
        "--output",
        choices=["html", "json", "csv"],
        default="html",
        help="csv: the rows of one --question; default: %(default)s",
    )


def _add_answers(commands: Any) -> None:
    advice = commands.add_parser(
        "advice",
        help="print how many intervals a day would be overdue at which factor, how long they last,"
        " and how long jobs take",
    )
    add_window(advice)
    advice.add_argument(
        "--attribute",
        type=_text,
        metavar="KEY",
        help="by the values of this attribute of the mission, such as city",
    )
    advice.add_argument(
        "--only", choices=list(advice_command.PARTS), help="only this part; csv: default thresholds"
    )
    _add_rows_output(advice)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=CONFIG,
        metavar="FILE",
        help="config file; default: %(default)s",
    )


def _add_output(
    parser: argparse._ActionsContainer, forms: Sequence[str] = ("text", "json")
) -> None:
    parser.add_argument(
        "--output", choices=list(forms), default="text", help="default: %(default)s"
    )


def _add_rows_output(parser: argparse._ActionsContainer) -> None:
    """--output for a command that prints rows, by output.say_rows()."""
    _add_output(parser, ("text", "json", "csv"))


def _text(argument: str) -> str:
    """An argument that is sent to the database. Python represents bytes that are not UTF-8 text as
    lone surrogates, which the database could not take."""
    if any("\ud800" <= character <= "\udfff" for character in argument):
        raise argparse.ArgumentTypeError("is not text")
    return argument


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            "must be a time with its offset, such as 2026-01-31T23:00+03:00 or 2026-01-31T20:00Z"
        )
    return moment


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("must be a number of seconds, at most a day")
    return seconds


def _duration(text: str) -> timedelta:
    try:
        return duration_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _silence_id(text: str) -> int:
    if not _is_number(text):
        raise argparse.ArgumentTypeError("must be the number of a silence")
    return int(text)


def _config_id(text: str) -> int:
    if not _is_number(text):
        raise argparse.ArgumentTypeError("must be the number of a config")
    return int(text)


def _file_or_config_id(text: str) -> Path | int:
    """A file whose name is a number is given as ./7."""
    return int(text) if _is_number(text) else Path(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**63


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
