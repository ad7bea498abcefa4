"""What the benchmark says: figures, the table of them, and how far it is."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

ROW = "{:<54} {:<9} {:>14} {:<16} {:>3}  {}"
BAR_CELLS = 24


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    scale    active missions, and events of finished missions where there are any: "10k +1M"
    unit     "×": a ratio; else what is counted
    target   the bound, itself allowed: `measured` is to be at most, or at least, that;
             None: there is none at this scale
    turns    repetitions of what was measured and of what it is compared with; 1: counted once
    detail   the medians behind a ratio, and whatever else one must know to read it; JSON only
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
    """Prints each figure as it comes, and keeps it; in between says what is being done: on a
    terminal as a bar that is written over, elsewhere as a line for each step, on standard error."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._is_terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._step, self._total, self._done = "", 0, 0

    @property
    def elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"

    def begin(self, step: str, total: int = 0) -> None:
        """A step begins; `total`: how much there is to advance, 0 where that is not known."""
        self._step, self._total, self._done = step, total, 0
        if not self._is_terminal:
            print(f"[{self.elapsed}] {step}", file=sys.stderr, flush=True)
        self.advance(0)

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        bar = ""
        if self._total:
            share = min(self._done / self._total, 1)
            bar = f" [{'#' * round(share * BAR_CELLS):<{BAR_CELLS}}] {share:4.0%}"
        self._write_over(f"[{self.elapsed}]{bar} {self._step}")

    def say(self, line: object) -> None:
        self._write_over("")
        print(line, flush=True)

    def add(self, figure: Figure) -> None:
        if not self.figures:
            self.say(ROW.format("figure", "scale", "measured", "target", "n", "").rstrip())
        self.figures.append(figure)
        self.say(figure)

    def _write_over(self, line: str) -> None:
        if self._is_terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
