"""make bench measures what it says, of a fleet in which exactly that is due."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sandbox import bench


def test_a_small_benchmark_measures_every_figure_and_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "THE_LARGE_FIGURES_AT", 1000)
    monkeypatch.setattr(bench, "CLIENTS", (2,))
    scale = bench.Scale(1000, (0, 1800), rounds=1)
    figures = bench.bench([scale], tmp_path / "build" / "bench.json")

    written = json.loads((tmp_path / "build" / "bench.json").read_text("utf-8"))
    assert [figure["name"] for figure in written["figures"]] == [each.name for each in figures]
    assert written["postgresql"]
    assert all(math.isfinite(figure.measured) and figure.measured > 0 for figure in figures)
    printed = capsys.readouterr().out
    for part in ("nothing due", "newly overdue", "seed worker", "storm", "config change", "a day"):
        assert any(part in figure.name for figure in figures), part
        assert part in printed


@pytest.mark.parametrize(
    ("measured", "at_least", "verdict"),
    [(40.0, False, "ok"), (40.1, False, "MISSED"), (39.9, True, "MISSED"), (40.0, True, "ok")],
)
def test_a_figure_says_whether_it_meets_its_target(
    measured: float, at_least: bool, verdict: str
) -> None:
    assert bench.Figure("a pass", "1k", measured, 40, at_least).verdict == verdict


def test_an_unknown_scale_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--scale", "1k,2k"])
    assert bench.main() == 2
    assert "no scale '2k'" in capsys.readouterr().err
