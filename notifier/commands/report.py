"""notifier report: the questions of docs/analyst.md, answered in one page, or as rows."""

from __future__ import annotations

import io
import os
import sys
from argparse import Namespace
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifier.commands.connection import connected
from notifier.commands.output import csv_rows, json_rows, json_text
from notifier.commands.window import window_by
from notifier.config import ConfigError
from notifier.report.page import Head, page, require_questions
from notifier.report.questions import Answer, for_psycopg

IN_FORCE: Final = """
select
    in_force.config_id,
    in_force.applied_at,
    in_force.applied_by,
    in_force.config #>> '{notifier,time_zone}' as time_zone,
    in_force.config #>> '{notifier,locale}' as locale,
    (
        select count(*)
        from scooters_ops.config_history as changed
        where changed.applied_at >= %(since)s and changed.applied_at < %(until)s
    ) as configs,
    now() as made_at
from scooters_ops.config_in_force as in_force
"""


async def run(options: Namespace) -> int:
    """Raises ConfigError if the window, the time zone or the file cannot be used, or no config is
    in force."""
    questions = require_questions(options.question)
    async with connected() as database:
        since, until = await window_by(database, options)
        (_, in_force), *found = await database.snapshot(
            [IN_FORCE, *(for_psycopg(question.query()) for question in questions)],
            {"since": since, "until": until},
        )
    if not in_force:
        raise ConfigError(["no config is in force: make config"])
    answers = [
        Answer(question, columns, rows)
        for question, (columns, rows) in zip(questions, found, strict=True)
    ]
    facts = in_force[0]
    match options.output:
        case "csv":
            text = csv_rows(answers[0].columns, answers[0].rows)
        case "json":
            text = json_text(_document(facts, since, until, answers)) + "\n"
        case _:
            text = page(
                _head(facts, since, until, options), answers, options.locale or facts["locale"]
            )
    if options.file is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as the page says of itself
        sys.stdout.write(text)
    else:
        _write(options.file, text)
    return 0


def _head(facts: dict[str, Any], since: datetime, until: datetime, options: Namespace) -> Head:
    try:
        time_zone = ZoneInfo(facts["time_zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            [f"notifier.time_zone: this machine does not know {facts['time_zone']!r}"]
        ) from None
    local = [time.astimezone(time_zone).isoformat(timespec="seconds") for time in (since, until)]
    return Head(
        f"notifier report --since {local[0]} --until {local[1]}",
        options.question,
        since,
        until,
        facts["made_at"],
        time_zone,
        facts["config_id"],
        facts["applied_at"],
        facts["applied_by"],
        facts["configs"],
    )


def _document(
    facts: dict[str, Any], since: datetime, until: datetime, answers: list[Answer]
) -> dict[str, Any]:
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "time_zone": facts["time_zone"],
        "config_id": facts["config_id"],
        "made_at": facts["made_at"].isoformat(),
        "questions": {
            answer.question.name: json_rows(answer.columns, answer.rows, answer.durations)
            for answer in answers
        },
    }


def _write(path: Path, text: str) -> None:
    """Writes the whole file or nothing: a file of that name stays as it was until the new one is
    complete."""
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():  # such as /dev/stdout
            target.write_text(text, "utf-8")
            return
        part = target.with_name(f".{target.name[:200]}.{os.getpid()}")
        try:
            with open(part, "x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except (OSError, RuntimeError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError([f"--file: {path} cannot be written: {said}"]) from None
