"""The command line: notifier, or python -m notifier.

Exit codes: 0 done; 1 something needs a person (status, schedule), or results could not be recorded
(run); 2 bad input, a missing secret, or a database that cannot be used. The error names the cause.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

import psycopg

from notifier import arguments, logs, psql
from notifier.commands import (
    advice,
    backtest,
    config,
    config_history,
    daemon,
    installation,
    notifications,
    report,
    route,
    silences,
    test,
    why,
)
from notifier.commands.output import complain
from notifier.config import ConfigError
from notifier.database.errors import DatabaseUnusable, is_temporary, reason
from notifier.database.session import require_session
from notifier.delivery.notifier import NotRecorded
from notifier.secrets import SecretMissing, Secrets
from notifier.templates import TemplateError
from notifier.web.address import AddressUnusable

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
            case "schedule" | "unschedule" if installation.is_router():
                raise DatabaseUnusable(
                    f"this is a router, and passes run in its shards: make {options.command} there"
                )
            case "schedule":
                return psql.cron_script("schedule.sql", wait_seconds=options.wait).run()
            case "unschedule":
                return psql.cron_script("unschedule.sql").run()
            case "router":
                installation.router(options.file)
                return 0
            case "move":
                installation.move(options)
                return 0
            case "migrate":
                installation.migrate()
        return asyncio.run(_command(options, secrets))
    except BrokenPipeError:  # notifier preview ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConfigError as error:
        for problem in error.problems:
            complain(problem)
    except (AddressUnusable, DatabaseUnusable, SecretMissing, TemplateError) as error:
        complain(str(error))
    except psycopg.Error as error:
        is_lost = error.sqlstate is None and is_temporary(error)
        problem = f"no database: {error}" if is_lost else reason(error)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            problem += ": docs/dba.md says which role may do what (Roles)"
        # libpq puts a hint, such as "Is the server running ...?", on an indented line of its own.
        complain(" ".join(secrets.redact(problem).replace("\n\t", ". ").split()))
    except NotRecorded as error:
        complain(f"{error}; they will be sent again")
        return 1
    return 2


async def _config(options: Namespace) -> int:
    match options.action:
        case "check":
            return await config.check(options.file)
        case "apply":
            return await config.apply(
                options.file, options.comment, options.expect, dry_run=options.dry_run
            )
        case "rollback":
            return await config.rollback(options.config_id, options.comment, options.expect)
        case "history":
            return await config_history.history(options)
        case "diff":
            return await config_history.diff(options)
        case "route":
            return await route.run(options)
        case _:
            return await config.show()


async def _command(options: Namespace, secrets: Secrets) -> int:
    match options.command:
        case "run":
            return await daemon.run(secrets, options.listen, once=options.once)
        case "serve":
            return await daemon.serve(secrets, options.listen)
        case "migrate":
            return await installation.first_config(options.file)
        case "config":
            return await _config(options)
        case "preview":
            return await config.preview(options)
        case "status":
            return await notifications.status(
                as_json=options.output == "json", with_jobs=options.jobs
            )
        case "acknowledge":
            return await notifications.acknowledge(options.token, options.by)
        case "why":
            return await why.run(options.mission_id, options.output)
        case "silence":
            return await silences.silence(options)
        case "silences":
            return await silences.silences(with_past=options.all, as_json=options.output == "json")
        case "advice":
            return await advice.run(options)
        case "unsilence":
            return await silences.unsilence(options.silence_id, options.by)
        case "report":
            return await report.run(options)
        case "backtest":
            return await backtest.run(options)
        case "test":
            return await test.run(options, secrets)
        case _:
            return await notifications.retry(
                options.token, options.channel, as_sent=options.as_sent
            )
