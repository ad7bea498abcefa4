"""A notifier that is killed at a chosen step of its work.

    python -m sandbox.torture.runner STEP N -- run

is `notifier run`, but SIGKILL comes when STEP is reached for the N-th time. Everything of it is
here: the notifier knows nothing of it, and what runs `notifier` never imports this.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from notifier import cli
from notifier.channels import base
from notifier.channels.base import Channel, Message, Outcome, Sent
from notifier.database import Database, Result


class Step(StrEnum):
    """In the order in which a delivery goes through them."""

    LEASING = "leasing"
    """Rows are leased in a transaction that is not committed."""
    LEASED = "leased"
    """The lease is committed."""
    REQUESTING = "requesting"
    """The connection is there, and the next thing would be the request."""
    REQUESTED = "requested"
    """The request has gone out, and no answer was read."""
    ANSWERED = "answered"
    """The answer says that the message has arrived, and nothing is recorded."""
    RECORDING = "recording"
    """Results are recorded in a transaction that is not committed."""
    RECORDED = "recorded"
    """The record is committed."""


class Fuse:
    """Burns for so many calls, the last of which kills the process."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(step: Step, times: int) -> None:
    """From now on this process dies when the step is reached for so many times."""
    _ARMS[step](Fuse(times))


def _statement(
    name: str, fuse: Fuse, *, is_committed: bool, counts: Callable[[Any, Any], bool]
) -> None:
    """Before or after the commit of a call of Database's; `counts` says of its last argument and
    its result whether it was one that burns the fuse."""
    original = getattr(Database, name)

    async def fatal(self: Database, *arguments: Any) -> Any:
        execute = self.connection.execute

        async def without_commit(query: Any, *rest: Any, **options: Any) -> Any:
            return await execute("select" if query == "commit" else query, *rest, **options)

        if not is_committed:
            setattr(self.connection, "execute", without_commit)  # noqa: B010  # see below
        try:
            done = await original(self, *arguments)
            if counts(arguments[-1], done):
                fuse()
        finally:
            setattr(self.connection, "execute", execute)  # noqa: B010
        if not is_committed:
            await execute("commit")
        return done

    setattr(Database, name, fatal)


def _lease(fuse: Fuse, *, is_committed: bool) -> None:
    _statement("lease", fuse, is_committed=is_committed, counts=lambda _, leased: bool(leased))


def _record(fuse: Fuse, *, is_committed: bool) -> None:
    def counts(results: Sequence[Result], recorded: int) -> bool:
        return recorded > 0 and any(each.state == "sent" for each in results)

    _statement("record", fuse, is_committed=is_committed, counts=counts)


def _before_request(fuse: Fuse) -> None:
    original = Channel.deliver

    async def fatal(self: Channel, message: Message) -> Outcome:
        allowed = base.before_request.get()

        def go() -> None:
            if allowed is not None:
                allowed()
            fuse()

        base.before_request.set(go)
        return await original(self, message)

    setattr(Channel, "deliver", fatal)  # noqa: B010  # a method is no variable to mypy


def _after_request(fuse: Fuse) -> None:
    original = base._trace

    async def fatal(event: str, _: Mapping[str, Any]) -> None:
        await original(event, _)
        if event.endswith(".receive_response_headers.started"):
            fuse()

    base._trace = fatal


def _after_answer(fuse: Fuse) -> None:
    original = Channel.deliver

    async def fatal(self: Channel, message: Message) -> Outcome:
        outcome = await original(self, message)
        if isinstance(outcome, Sent):
            fuse()
        return outcome

    setattr(Channel, "deliver", fatal)  # noqa: B010  # a method is no variable to mypy


_ARMS: Mapping[Step, Callable[[Fuse], None]] = {
    Step.LEASING: lambda fuse: _lease(fuse, is_committed=False),
    Step.LEASED: lambda fuse: _lease(fuse, is_committed=True),
    Step.REQUESTING: _before_request,
    Step.REQUESTED: _after_request,
    Step.ANSWERED: _after_answer,
    Step.RECORDING: lambda fuse: _record(fuse, is_committed=False),
    Step.RECORDED: lambda fuse: _record(fuse, is_committed=True),
}


def main(arguments: Sequence[str]) -> int:
    step, times, _, *command = arguments
    arm(Step(step), int(times))
    return cli.main(command)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
