"""What the benchmark prints: figures, as rows of a table, and its progress."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.commands import StatusLine

ROW = "{:<54} {:<9} {:>16} {:<14} {:>3}  {}"
BAR_CELLS = 24


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    scale     active missions and events of finished missions: "10k +1M"
    unit      "×" for a ratio; otherwise what is counted
    target    the highest value of `measured` that is allowed; None: no target at this scale
    at_least  the target is the lowest allowed value instead
    turns     how often both sides of a ratio were measured; 1: counted once
    detail    the medians behind a ratio; only in the JSON
    """

    name: str
    scale: str
    measured: float
    unit: str
    target: float | None
    at_least: bool = False
    turns: int = 1
    detail: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.measured):
            raise ValueError(f"{self.name} at {self.scale}: {self.measured}")

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        holds = self.measured >= self.target if self.at_least else self.measured <= self.target
        return "ok" if holds else "MISSED"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}

    def __str__(self) -> str:
        digits = 2 if self.unit == "×" and self.measured < 100 else 0
        measured = f"{self.measured:,.{digits}f} {self.unit}"
        target = ""
        if self.target is not None:
            target = f"{'at least' if self.at_least else 'at most'} {self.target:,g}"
        row = ROW.format(self.name, self.scale, measured, target, self.turns, self.verdict)
        return row.rstrip()


class Report:
    """Prints each figure and keeps it. Between figures it shows the progress on standard error: as
    a bar on a terminal, as a line for each step elsewhere."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._status = StatusLine(sys.stderr)
        self._started = time.monotonic()
        self._step, self._total, self._done = "", 0, 0

    @property
    def elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"

    def begin(self, step: str, total: int = 0) -> None:
        """Begin a step. `total` is how much there is to advance; 0: unknown."""
        self._step, self._total, self._done = step, total, 0
        if not self._status.is_terminal:
            self._status.show(f"[{self.elapsed}] {step}")
        self.advance(0)

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        bar = ""
        if self._total:
            share = min(self._done / self._total, 1)
            bar = f" [{'#' * round(share * BAR_CELLS):<{BAR_CELLS}}] {share:4.0%}"
        if self._status.is_terminal:
            self._status.show(f"[{self.elapsed}]{bar} {self._step}")

    def say(self, line: object) -> None:
        self._status.clear()
        print(line, flush=True)

    def add(self, figure: Figure) -> None:
        if not self.figures:
            self.say(ROW.format("figure", "scale", "measured", "target", "n", "").rstrip())
        self.figures.append(figure)
        self.say(figure)
