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
"""Active missions of the fleet that figures about a whole fleet are meant for."""


@dataclass(frozen=True)
class Turns:
    """How often each kind of thing is measured.

    warm_up  turns before the first that counts: a session's first statements read the catalog and
             are planned each time
    quick    what takes microseconds
    passes   passes that find something; each takes a step of the fleet, and small fleets have few
    few      what takes about a second, or some work to prepare
    slow     what evaluates a whole large fleet, and takes many seconds
    events   inserted in one turn by batches; one by one, a tenth of this
    day      passes of the simulated day
    """

    warm_up: int = 10
    quick: int = 201
    passes: int = 25
    few: int = 7
    slow: int = 5
    events: int = 60_000
    day: int = 60


@dataclass(frozen=True)
class Bench:
    """What every figure needs.

    fleets  in order of active missions, then of finished events
    fleet   the one for figures that do not use all of them
    """

    databases: Databases
    config: Mapping[str, Any]
    fleets: Sequence[Fleet]
    fleet: Fleet
    turns: Turns
    report: Report

    def at_large(self, target: float) -> float | None:
        """A target that only LARGE fleets have; None for another fleet."""
        return target if self.fleet.active == LARGE else None

    def count(
        self, name: str, measured: float, unit: str, target: float | None, scale: str = ""
    ) -> None:
        """Add a figure that was counted."""
        self.report.add(Figure(name, scale or self.fleet.label, measured, unit, target))

    def ratio(
        self,
        name: str,
        measured: Sequence[float],
        baseline: Sequence[float],
        target: float | None,
        *,
        scale: str = "",
        at_least: bool = False,
        unit: str = "s",
    ) -> None:
        """Add a figure: the median of what was measured, divided by that of what it is compared
        with."""
        over, under = median(measured), median(baseline)
        turns = min(len(measured), len(baseline))
        detail = f"{over:.3g} {unit} against {under:.3g} {unit}"
        scale = scale or self.fleet.label
        figure = Figure(name, scale, over / under, "×", target, at_least, turns, detail)
        self.report.add(figure)
