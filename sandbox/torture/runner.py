"""A notifier that is killed at a chosen step of a delivery.

    python -m sandbox.torture.runner STEP run

is `notifier run`, except that SIGKILL ends it when it first reaches STEP. The notifier itself
knows nothing of this: everything it takes is in this file, which `notifier` never imports.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from notifier import cli
from notifier.channels import http
from notifier.channels.base import Channel
from notifier.channels.outcomes import Message, Outcome, Sent
from notifier.database.statements import Database
from notifier.database.values import Result


class Step(StrEnum):
    """The steps of a delivery, in order."""

    LEASING = "leasing"
    """Rows are leased in a transaction that is not committed."""
    LEASED = "leased"
    """The lease is committed."""
    REQUESTING = "requesting"
    """The connection is open and the request has not been written."""
    REQUESTED = "requested"
    """The request has been written and no answer has been read."""
    ANSWERED = "answered"
    """The answer says that the message has arrived, and nothing is recorded."""
    RECORDING = "recording"
    """Results are recorded in a transaction that is not committed."""
    RECORDED = "recorded"
    """The record is committed."""


def die_at(step: Step) -> None:
    """From now on, reaching this step kills this process."""
    _PATCHES[step]()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _patch_statement(
    name: str, *, is_committed: bool, is_fatal: Callable[[Any, Any], bool]
) -> None:
    """Die before or after the commit of a method of Database, where `is_fatal` holds for its last
    argument and its result."""
    original = getattr(Database, name)

    async def patched(self: Database, *arguments: Any) -> Any:
        execute = self.connection.execute

        async def without_commit(query: Any, *rest: Any, **options: Any) -> Any:
            return await execute("select" if query == "commit" else query, *rest, **options)

        if not is_committed:
            setattr(self.connection, "execute", without_commit)  # noqa: B010  # see below
        try:
            result = await original(self, *arguments)
            if is_fatal(arguments[-1], result):
                _die()
        finally:
            setattr(self.connection, "execute", execute)  # noqa: B010
        if not is_committed:
            await execute("commit")
        return result

    setattr(Database, name, patched)


def _patch_lease(*, is_committed: bool) -> None:
    _patch_statement("lease", is_committed=is_committed, is_fatal=lambda _, leased: bool(leased))


def _patch_record(*, is_committed: bool) -> None:
    def is_fatal(results: Sequence[Result], recorded: int) -> bool:
        return recorded > 0 and any(each.state == "sent" for each in results)

    _patch_statement("record", is_committed=is_committed, is_fatal=is_fatal)


def _patch_before_request() -> None:
    original = Channel.deliver

    async def patched(self: Channel, message: Message) -> Outcome:
        allow = http.before_request.get()

        def allow_and_die() -> None:
            if allow is not None:
                allow()
            _die()

        http.before_request.set(allow_and_die)
        return await original(self, message)

    setattr(Channel, "deliver", patched)  # noqa: B010  # mypy lets no method be assigned


def _patch_after_request() -> None:
    original = http._trace

    async def patched(event: str, _: Mapping[str, Any]) -> None:
        await original(event, _)
        if event.endswith(".receive_response_headers.started"):
            _die()

    http._trace = patched


def _patch_after_answer() -> None:
    original = Channel.deliver

    async def patched(self: Channel, message: Message) -> Outcome:
        outcome = await original(self, message)
        if isinstance(outcome, Sent):
            _die()
        return outcome

    setattr(Channel, "deliver", patched)  # noqa: B010  # mypy lets no method be assigned


_PATCHES: Mapping[Step, Callable[[], None]] = {
    Step.LEASING: lambda: _patch_lease(is_committed=False),
    Step.LEASED: lambda: _patch_lease(is_committed=True),
    Step.REQUESTING: _patch_before_request,
    Step.REQUESTED: _patch_after_request,
    Step.ANSWERED: _patch_after_answer,
    Step.RECORDING: lambda: _patch_record(is_committed=False),
    Step.RECORDED: lambda: _patch_record(is_committed=True),
}


def main(arguments: Sequence[str]) -> int:
    step, *command = arguments
    die_at(Step(step))
    return cli.main(command)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
