"""What every figure is measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sandbox.bench.databases import Databases
from sandbox.bench.fleet import Fleet
from sandbox.bench.report import Figure, Report

LARGE = 100_000
"""Active missions of the fleet for the figures that concern a whole fleet."""


@dataclass(frozen=True)
class Turns:
    """How often things take turns."""

    quick: int = 201  # what costs microseconds
    passes: int = 25  # what needs a step of the fleet each; small fleets have fewer
    few: int = 7  # what takes about a second, or some work to prepare
    slow: int = 5  # what concerns a whole large fleet, and takes many seconds
    events: int = 60_000  # inserted in one turn by batches; a tenth of that one by one
    day: int = 60  # passes of the day


@dataclass(frozen=True)
class Bench:
    """What every figure needs. `fleets` by active missions, then finished events; `fleet` is the
    one for the figures that have a scale of their own."""

    databases: Databases
    config: Mapping[str, Any]
    fleets: Sequence[Fleet]
    fleet: Fleet
    turns: Turns
    report: Report

    def at_large(self, target: float) -> float | None:
        """A target that is meant for LARGE fleets; another's figures have none."""
        return target if self.fleet.active == LARGE else None

    def count(
        self, name: str, measured: float, unit: str, target: float | None, scale: str = ""
    ) -> None:
        """Adds a figure that was counted."""
        self.report.add(Figure(name, scale or self.fleet.label, measured, unit, target))

    def ratio(
        self,
        name: str,
        measured: Sequence[float],
        beside: Sequence[float],
        target: float | None,
        *,
        scale: str = "",
        at_least: bool = False,
        unit: str = "s",
    ) -> None:
        """Adds a figure: the median of what was measured over the median of what ran beside it."""
        over, under = median(measured), median(beside)
        turns = min(len(measured), len(beside))
        detail = f"{over:.3g} {unit} against {under:.3g} {unit}"
        scale = scale or self.fleet.label
        figure = Figure(name, scale, over / under, "×", target, at_least, turns, detail)
        self.report.add(figure)
