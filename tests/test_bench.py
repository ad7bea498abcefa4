"""make bench: every figure is measured, and a fleet has exactly the missions due that it should."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from notifier.resources import ROOT
from sandbox.bench import __main__ as bench
from sandbox.bench import queues
from sandbox.bench.context import Turns
from sandbox.bench.databases import Session
from sandbox.bench.fleet import Fleet, WrongCount
from sandbox.bench.queues import QUEUES, Queue
from sandbox.bench.report import Figure
from tests.conftest import NOON, TestDatabase

pytestmark = pytest.mark.slow

SCALE = (100, (0, 900))
TURNS = Turns(warm_up=1, quick=5, passes=4, few=1, slow=1, events=600, day=20)
FIGURES = {
    ("pass, nothing due / select 1", "×"),
    ("pass, nothing due", "pages"),
    ("pass, nothing due, history of 900 / 0", "×"),
    ("pass, 5 newly overdue / select 1", "×"),
    ("pass, 5 newly overdue", "pages/mission"),
    ("pass, 5 newly overdue, history of 900 / 0", "×"),
    ("pass, 5 woken in time / select 1", "×"),
    ("pass, 5 woken in time, history of 900 / 0", "×"),
    ("the view of those 5 missions / select 1", "×"),
    ("pass, 5 newly overdue, 50 overrides by city / none", "×"),
    ("pass, 5 woken, 50 overrides by city / none", "×"),
    ("pass, 5 newly overdue, 50 overrides by city and calendar / none", "×"),
    ("pass, 5 woken, 50 overrides by city and calendar / none", "×"),
    ("board / select 1", "×"),
    ("board", "pages"),
    ("mission_intervals of one mission / select 1", "×"),
    ("mission_intervals of two missions / of one", "×"),
    ("mission_intervals of one mission", "pages"),
    ("polling worker / pass, 5 newly overdue", "×"),
    ("plain view pass / pass, 5 newly overdue", "×"),
    ("mission_timeouts of all / reading the rows", "×"),
    ("config change and its pass / plain view pass", "×"),
    ("storm, pg_cron's job / plain view pass", "×"),
    ("storm, largest pass of pg_cron's job", "intervals"),
    ("report over interval_history / reading the rows", "×"),
    ("report over interval_history, one hour / all", "×"),
    ("backtest of factor 2 / report by city", "×"),
    ("recorded_intervals / missions_history, size", "×"),
    ("inserting by 1, clients: 1, triggers / none", "×"),
    ("inserting by 1, clients: 8, triggers / none", "×"),
    ("inserting by 1,000, clients: 1, triggers / none", "×"),
    ("inserting by 1,000, clients: 8, triggers / none", "×"),
    ("mission_wakeups, size in second / first half of a day", "×"),
    ("recorded_intervals, size after a day / rewritten", "×"),
    ("pass, 5 newly overdue, after / before a day", "×"),
    ("draining / bare httpx, 100 at once", "×"),
    ("draining / bare httpx, 10 at once", "×"),
    ("draining edits / messages, 100 at once", "×"),
    ("pass, 5 resolved, an edit of each / none", "×"),
    ("leasing 100 / select 1", "×"),
    ("leasing 100, beside 1100 later steps / alone", "×"),
    ("pages of leasing 100, beside 1100 later steps / alone", "×"),
    ("closing event to edit / late event to alert", "×"),
    ("commit to wire, idle, p50 / NOTIFY", "×"),
    ("commit to wire, idle, p99 / NOTIFY", "×"),
    ("commit to wire, under load, p50 / NOTIFY", "×"),
    ("commit to wire, under load, p99 / NOTIFY", "×"),
    ("pending rows, a notifier's peak memory", "MiB"),
    ("pending rows, leasing 100", "pages"),
    ("pages of leasing 100", "×"),
    ("pending rows, delivery_status", "pages"),
    ("pages of delivery_status", "×"),
    ("late at once in a group, all told by a digest", "ms"),
    ("late at once in a group, one by one at best / digest", "×"),
}


def figures_of(installed: set[str]) -> set[tuple[str, str]]:
    """Those of draining beside queues: none without a queue."""
    drains = {"notifier", *installed} if installed else set()
    rates = {(f"draining, {name}", "messages/s") for name in drains}
    ratios = {(f"draining / {name}", "×") for name in installed}
    return {(f"{figure}, 20 at once", unit) for figure, unit in rates | ratios}


def test_every_figure_is_measured_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "DRAINED", {20: 50})
    figures = bench.bench([SCALE], TURNS, tmp_path / "build" / "bench.json", due=5)

    written: dict[str, Any] = json.loads((tmp_path / "build" / "bench.json").read_text("utf-8"))
    printed = capsys.readouterr().out
    for queue in QUEUES:
        assert (f"{queue.name}: {queue.missing()}; left out" in printed) == bool(queue.missing())
    installed = {queue.name for queue in QUEUES if not queue.missing()}
    assert {(figure.name, figure.unit) for figure in figures} == FIGURES | figures_of(installed)
    assert [each["name"] for each in written["figures"]] == [each.name for each in figures]
    assert written["settings"]["shared_buffers"] == "1GB"
    for figure in figures:
        assert math.isfinite(figure.measured)
        assert figure.measured > 0
        assert str(figure) in printed


def test_a_pass_that_finds_another_number_stops_the_benchmark(database: TestDatabase) -> None:
    with Session(database.conninfo) as session, pytest.raises(WrongCount, match="0, not 1"):
        session.detect(NOON, 1)


def test_a_queue_that_is_not_installed_or_cannot_run_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "FOLDER", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "installed").touch()
    reasons = [
        Queue(name, (), "select 0", needs).missing()
        for name, needs in (("a", ""), ("a", "python3"), ("a", "no-such-program"), ("b", ""))
    ]
    assert reasons == ["", "", "no no-such-program", "not installed"]


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("requirements.txt", "://"),
        ("requirements-dev.txt", "://"),
        ("requirements-bench.txt", "://"),
        ("sandbox/bench/package-lock.json", '"resolved"'),
    ],
)
def test_a_lock_file_names_no_registry_and_has_hashes(name: str, host: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert host not in text
    assert ("--hash=sha256:" if name.endswith(".txt") else '"integrity": "sha512-') in text


def test_a_fleet_has_only_as_many_steps_as_its_missions_allow() -> None:
    fleet = Fleet(1000, 0, 100, NOON)
    assert (fleet.overdue, fleet.steps) == (30, 9)
    assert NOON < fleet.time_of(0) < fleet.time_of(8)
    with pytest.raises(WrongCount, match="no step 9"):
        fleet.time_of(9)


@pytest.mark.parametrize(
    ("measured", "at_least", "verdict"),
    [(40.0, False, "ok"), (40.1, False, "MISSED"), (39.9, True, "MISSED"), (40.0, True, "ok")],
)
def test_a_figure_says_whether_it_meets_its_target(
    measured: float, at_least: bool, verdict: str
) -> None:
    assert Figure("a pass", "1k", measured, "×", 40, at_least).verdict == verdict


def test_an_unknown_scale_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--scale", "1k,2k"])
    with pytest.raises(SystemExit) as exit:
        bench.main()
    assert exit.value.code == 2
    assert "no scale '2k'" in capsys.readouterr().err
