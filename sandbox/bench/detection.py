"""The figures of detection: what passes, views and the trigger cost."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from statistics import median
from typing import LiteralString

from sandbox.bench.fleet import (
    DETECT,
    Bench,
    Session,
    World,
    WrongCount,
    clocked,
    on_one_core,
    short,
)
from sandbox.bench.report import Figure, ratio
from sandbox.bench.rivals import READ_ROWS, TIMEOUTS, plain_view_pass, seed_worker

ONE = "select 1"
WARM_UP_TURNS = 10
"""The first statements of a session read the catalog; the first ones are planned each time."""

Times = dict[str, list[float]]
"""Seconds of each turn, by what was measured."""


def passes(bench: Bench) -> None:
    """Nothing due, and missions newly overdue: at each scale and with each history.

    All fleets take turns, so that they may be compared with each other as well.
    """
    bench.report.progress.begin("passes")
    worlds, due = bench.worlds, bench.world.fleet.due
    times: dict[World, Times] = {world: defaultdict(list) for world in worlds}
    pages: dict[World, dict[str, float]] = {world: {} for world in worlds}
    steps = {w: min(bench.turns.passes, w.fleet.steps - 2) for w in worlds}
    with ExitStack() as stack:
        sessions = {w: stack.enter_context(bench.fleets.session(w.database)) for w in worlds}
        stack.enter_context(on_one_core(sessions.values()))
        for turn in range(-WARM_UP_TURNS, bench.turns.quick):
            for world, session in sessions.items():
                one, idle = session.timed(ONE)[0], session.detect(world.fleet.start, 0)
                if turn >= 0:
                    times[world]["idle"].append(idle)
                    times[world]["beside idle"].append(one)
        for world, session in sessions.items():
            pages[world]["idle"] = session.pages(DETECT, world.fleet.start.isoformat())
        for step in range(max(steps.values()) + 1):
            for world, session in sessions.items():
                if step <= steps[world]:
                    one = session.timed(ONE)[0]
                    busy = session.detect(world.fleet.moment(step), due)
                    if step > 0:
                        times[world]["busy"].append(busy)
                        times[world]["beside busy"].append(one)
        for world, session in sessions.items():
            moment = world.fleet.moment(steps[world] + 1)
            pages[world]["busy"] = session.pages(DETECT, moment.isoformat()) / due

    idle_name, busy_name = "pass, nothing due", f"pass, {due} newly overdue"
    for name, kind, most in ((idle_name, "idle", 5), (busy_name, "busy", 40)):
        for world, taken in times.items():
            beside = taken[f"beside {kind}"]
            bench.report.add(
                ratio(f"{name} / select 1", world.fleet.label, taken[kind], beside, most)
            )
    for name, kind, most in ((idle_name, "idle", 80), (f"{busy_name}, a mission", "busy", 100)):
        for world, read in pages.items():
            bench.report.add(Figure(name, world.fleet.label, read[kind], "pages", most))
    least = {world.fleet.active: world for world in reversed(worlds)}  # each with least history
    small, large = least[min(least)], least[max(least)]
    if small != large:
        name, label = f"{idle_name}, largest / smallest fleet", f"{_size(large)}/{_size(small)}"
        grown = times[large]["idle"], times[small]["idle"]
        bench.report.add(ratio(name, label, *grown, 1.5))
    for name, kind in ((idle_name, "idle"), (busy_name, "busy")):
        for less, more in pairwise(worlds):
            if less.fleet.active == more.fleet.active:
                histories = (short(world.fleet.finished_events) for world in (more, less))
                name_ = f"{name}, history of {' / '.join(histories)}"
                grown = times[more][kind], times[less][kind]
                bench.report.add(ratio(name_, _size(more), *grown, 1.1))


def _size(world: World) -> str:
    return short(world.fleet.active)


def one_mission(bench: Bench) -> None:
    """The intervals of one mission with 15 events, the most that a fleet has; another each time."""
    bench.report.progress.begin("mission_intervals of one mission")
    query = "select * from scooters_ops.mission_intervals where mission_id = $1"
    many = range(15, bench.world.fleet.active + 1, 16)
    times: Times = defaultdict(list)
    with bench.fleets.session(bench.world.database) as session, on_one_core([session]):
        for turn in range(-WARM_UP_TURNS, bench.turns.quick):
            mission = f"mission-{many[turn * 31 % len(many)]}"
            one, intervals = session.timed(ONE)[0], session.timed(query, mission)[0]
            if turn >= 0:
                times["one"].append(one)
                times["intervals"].append(intervals)
        pages = session.pages(query, f"mission-{many[0]}")
    name, label = "mission_intervals of one mission", bench.world.fleet.label
    bench.report.add(
        ratio(f"{name} / select 1", label, times["intervals"], times["one"], 3),
        Figure(name, label, pages, "pages", 80),
    )


def whole_fleet(bench: Bench) -> None:
    """What finds the same news by evaluating every mission, the analyst's full query, and a new
    config whose first pass looks at everybody; all in turns."""
    fleet, slow = bench.world.fleet, bench.turns.slow
    passes = min(fleet.steps // slow, 3)
    bench.report.progress.begin("the whole fleet", slow)
    times: Times = defaultdict(list)
    with (
        bench.fleets.copy(bench.world.database) as database,
        bench.fleets.session(database) as session,
    ):
        session.value(READ_ROWS)  # whatever is not in memory yet is read
        for turn in range(slow):
            first = turn * passes
            for name, rival in (("worker", seed_worker), ("view", plain_view_pass)):
                with session.rolled_back():
                    moment = fleet.moment(first)
                    times[name].append(clocked(rival, session.connection, moment, fleet.due))
            for step in range(first, first + passes):
                times["pass"].append(session.detect(fleet.moment(step), fleet.due))
            times["read"].append(clocked(session.value, READ_ROWS))
            times["timeouts"].append(clocked(session.value, TIMEOUTS))
            times["change"].append(_config_change(bench, session, first + passes - 1, turn))
            session.execute("vacuum analyze scooters_ops.mission_wakeups")
            bench.report.progress.advance(1)
    for name, measured, beside, target, at_least in (
        (f"seed worker / pass, {fleet.due} newly overdue", "worker", "pass", 1000, True),
        (f"plain view pass / pass, {fleet.due} newly overdue", "view", "pass", 200, True),
        ("mission_timeouts of all / reading the rows", "timeouts", "read", 3, False),
        ("config change and its pass / plain view pass", "change", "view", 1.5, False),
    ):
        figure = ratio(name, fleet.label, times[measured], times[beside], target, at_least=at_least)
        bench.report.add(figure)


def _config_change(bench: Bench, session: Session, step: int, turn: int) -> float:
    """The seconds from a new config to the end of the pass that looked at everybody.

    What is new concerns no planned point, so that nobody becomes overdue by it.
    """
    changed = deepcopy(dict(bench.config))
    changed["detection"]["default_job_eta_seconds"] += 1 + turn
    moment = bench.world.fleet.moment(step)
    last_pass = session.value("select max(pass_id) from scooters_ops.detection_passes")
    seconds = clocked(
        session.execute, "select scooters_ops.apply_config(%s)", [json.dumps(changed)]
    ) + clocked(session.execute, "select scooters_ops.detect_timeouts(%s)", [moment])
    looked_at = session.value(
        "select sum(missions) from scooters_ops.detection_passes where pass_id > %s", [last_pass]
    )
    WrongCount.unless("looked at after a change of config", looked_at, bench.world.fleet.active)
    return seconds


def storm(bench: Bench) -> None:
    """Every mission due at once and overdue, none of them notified: the job that pg_cron runs,
    beside the plain view pass. Both insert the same; each runs on a copy of its own that it finds
    in memory, so that neither wades through what another left."""
    ago = timedelta(hours=1)  # passes as of now find all of it overdue
    fleet = replace(bench.world.fleet, start=bench.world.fleet.start - ago)
    woken = bench.fleets.woken(fleet)
    bench.report.progress.begin("a storm", bench.turns.slow)
    views, jobs = [], []
    for _ in range(bench.turns.slow):
        with bench.fleets.copy(woken) as database, bench.fleets.session(database) as session:
            session.value(READ_ROWS)
            now = datetime.now(UTC)
            views.append(clocked(plain_view_pass, session.connection, now, fleet.active))
        with bench.fleets.copy(woken) as database, bench.fleets.session(database) as session:
            session.value(READ_ROWS)
            jobs.append(clocked(session.execute, "call scooters_ops.detect_in_batches()"))
            [(found, largest, longest)] = session.connection.execute(
                "select sum(inserted), max(missions), extract(epoch from max(elapsed))"
                " from scooters_ops.detection_passes"
            )
            WrongCount.unless("found by a storm's passes", found, fleet.active)
        bench.report.progress.advance(1)
    bound = bench.config["detection"]["batch_size"]
    bench.report.add(
        ratio("storm, pg_cron's job / plain view pass", fleet.label, jobs, views, 1.5),
        Figure(
            "storm, largest pass of pg_cron's job",
            fleet.label,
            largest,
            "missions",
            bound,
            detail=f"the longest took {longest:.3g} s",
        ),
    )


INSERT_BATCH = """\\set first random(1, :fleet)
insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select 'mission-' || 1 + (:first::int + n * 97) % :fleet, 'point-1', 'point_arrived', now()
from generate_series(1, :batch) as n;
"""
"""pgbench's script: a batch of events of missions all over the fleet."""


def inserts(bench: Bench) -> None:
    """Events a second with the trigger, over those without. pgbench is the client: it takes
    little of the cores itself. Between turns the wake-ups go, as passes would take them."""
    trigger = "alter table scooters_ops.missions_history {} trigger wake_for_inserted_history"
    few = bench.turns.few
    with (
        bench.fleets.copy(bench.world.database) as database,
        bench.fleets.session(database) as session,
    ):
        for clients, batch in product((1, 8), (1, 1000)):
            name = f"inserting by {batch:,}, clients: {clients}"
            bench.report.progress.begin(name, few)
            rates: Times = defaultdict(list)
            for _ in range(few):
                for state in ("disable", "enable"):
                    session.execute(trigger.format(state))
                    session.execute("truncate scooters_ops.mission_wakeups")
                    rates[state].append(_insert_rate(bench, database, clients, batch))
                bench.report.progress.advance(1)
            enabled, disabled = median(rates["enable"]), median(rates["disable"])
            detail = f"{enabled:.3g} against {disabled:.3g} events a second"
            name, label = f"{name}, trigger / none", bench.world.fleet.label
            bench.report.add(Figure(name, label, enabled / disabled, "×", 0.75, True, few, detail))


def _insert_rate(bench: Bench, database: str, clients: int, batch: int) -> float:
    """Events a second."""
    server = bench.fleets.server
    events = bench.turns.events // (10 if batch == 1 else 1)
    command = [str(server.programs / "pgbench"), "-n", "-M", "prepared", "--random-seed=1"]
    command += ["-c", str(clients), "-j", str(min(clients, 2))]
    command += ["-t", str(max(events // batch // clients, 1)), "-f", "/dev/stdin"]
    command += ["-D", f"fleet={bench.world.fleet.active}", "-D", f"batch={batch}"]
    command += [server.conninfo(database)]
    finished = subprocess.run(
        command, input=INSERT_BATCH, capture_output=True, text=True, check=False
    )
    rate = re.search(r"^tps = ([0-9.]+)", finished.stdout, re.MULTILINE)
    if finished.returncode or rate is None:
        raise WrongCount(f"pgbench failed:\n{finished.stderr}")
    return float(rate[1]) * batch


SLICES = 10
BETWEEN_PASSES = timedelta(seconds=40)
MOVE: LiteralString = """
    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    select
        'mission-' || i, 'detour-' || %(turn)s::int, 'point_arrived',
        %(as_of)s::timestamptz - %(distance)s::interval * (i::float8 / %(active)s)
    from generate_series(1 + %(turn)s::int %% %(slices)s, %(active)s, %(slices)s) as i
    """
"""A tenth of the missions arrive at a point outside their plan, where each may stay for 450 s."""
SIZE = "select pg_total_relation_size('scooters_ops.mission_wakeups')"


def day(bench: Bench) -> None:
    """A busy day's wake-ups: whether their table stops growing, and what its age costs a pass.

    A tenth of the fleet moves each 40 s, so that each mission has an event each 400 s and its
    deadline goes on; a pass follows, and a vacuum of the wake-ups, since far more of them than
    autovacuum's threshold have come and gone. After a few such rounds the rest of a day is the
    same again: the table has the size that it keeps. The pass before the day is one on a copy
    whose wake-ups were written anew (vacuum full): nothing else differs.
    """
    fleet = bench.world.fleet
    facts = {"active": fleet.active, "slices": SLICES, "distance": BETWEEN_PASSES}
    bench.report.progress.begin("a day", bench.turns.day)
    sizes = []
    with bench.fleets.copy(bench.world.database) as aged:
        with bench.fleets.session(aged) as session:
            as_of = fleet.start
            for turn in range(bench.turns.day):
                as_of += BETWEEN_PASSES
                session.execute(MOVE, facts | {"turn": turn, "as_of": as_of})
                session.timed(DETECT, as_of.isoformat())
                session.execute("vacuum analyze scooters_ops.mission_wakeups")
                sizes.append(session.value(SIZE))
                bench.report.progress.advance(1)
            wakeups = session.value("select count(*) from scooters_ops.mission_wakeups")
            WrongCount.unless("wake-ups after a day", wakeups, fleet.active)
            session.execute("vacuum analyze")
            due = session.connection.execute(
                "select due_at from scooters_ops.mission_wakeups order by due_at limit %s",
                (fleet.due * (bench.turns.few + 1) + 1,),
            ).fetchall()
        times: Times = defaultdict(list)
        with bench.fleets.copy(aged) as renewed, bench.fleets.session(renewed) as before:
            before.execute("vacuum full analyze scooters_ops.mission_wakeups")
            with bench.fleets.session(aged) as after:
                for turn in range(bench.turns.few + 1):
                    last, following = (due[fleet.due * (turn + 1) - n][0] for n in (1, 0))
                    moment = last + (following - last) / 2
                    seconds = [each.detect(moment, fleet.due) for each in (before, after)]
                    if turn > 0:
                        times["before"].append(seconds[0])
                        times["after"].append(seconds[1])
    half = len(sizes) // 2
    name, label = f"pass, {fleet.due} newly overdue, after / before a day", fleet.label
    bench.report.add(
        Figure(
            "mission_wakeups, size in second / first half of a day",
            label,
            max(sizes[half:]) / max(sizes[:half]),
            "×",
            1.1,
            detail=f"{sizes[-1] / fleet.active:.0f} bytes for each active mission, with indexes",
        ),
        ratio(name, label, times["after"], times["before"], 1.2),
    )


FIGURES = (passes, one_mission, whole_fleet, storm, inserts, day)
"""In this order: each takes the fleets further in time."""
