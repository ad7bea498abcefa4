"""How `make demo`, `make bench` and `make torture` report progress and end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

import psycopg

from notifier.config import ConfigError
from sandbox.postgres import BootFailed, NoPostgres


def exit_code_of(
    command: str, run: Callable[[], int], *errors: type[Exception], hint: str = ""
) -> int:
    """The exit code of `run`: what it returns, 130 after Ctrl-C, 1 after an expected error.

    The error is printed to standard error, followed by `hint`.

    errors  the command's own; errors of PostgreSQL and of config.json are always expected
    """
    expected: tuple[type[Exception], ...] = (
        NoPostgres,
        BootFailed,
        psycopg.Error,
        ConfigError,
        *errors,
    )
    try:
        return run()
    except KeyboardInterrupt:
        print(f"\n{command}: interrupted; no process and no file is left", file=sys.stderr)
        return 130
    except expected as error:
        print(f"\n{command}: {error}", file=sys.stderr)
        if hint:
            print(hint, file=sys.stderr)
        return 1


class StatusLine:
    """Progress as one line that is overwritten on a terminal, and as separate lines elsewhere.

    every_seconds  elsewhere, at most one line in this time
    """

    def __init__(self, stream: TextIO, every_seconds: float = 0.0) -> None:
        self.is_terminal = stream.isatty()
        self._stream = stream
        self._every_seconds = every_seconds
        self._shown_at = -every_seconds
        self._shown = ""

    def show(self, text: str, *, terminal_only: str = "") -> None:
        """Show `text`; only a terminal shows the rest, which changes too often for a log."""
        if self.is_terminal:
            print(f"\r\x1b[K{text}{terminal_only}", end="", file=self._stream, flush=True)
            return
        now = time.monotonic()
        if text != self._shown and now - self._shown_at >= self._every_seconds:
            self._shown, self._shown_at = text, now
            print(text, file=self._stream, flush=True)

    def clear(self) -> None:
        """Leave the line empty for other output."""
        if self.is_terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
