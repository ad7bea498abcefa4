"""The figures of detection: what passes, views and the trigger cost."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any, LiteralString

from sandbox.bench.baselines import (
    BACKTEST,
    READ_ROWS,
    REPORT,
    REPORT_BY_CITY,
    TIMEOUTS,
    plain_view_pass,
    polling_worker,
)
from sandbox.bench.context import LARGE, Bench
from sandbox.bench.databases import DETECT, Session, clocked
from sandbox.bench.fleet import Fleet, WrongCount, short
from sandbox.postgres import find_postgres

ONE = "select 1"
RECORDED = ("scooters_ops.mission_wakeups", "scooters_ops.recorded_intervals")
"""What passes write, besides notifications."""
Times = dict[str, list[float]]
"""The seconds of each turn, by what was measured."""

ARRIVE: LiteralString = """
    with calm as (
        select mission_id from scooters_ops.recorded_intervals
        where finished_at is null and not is_judged
        order by deadline desc limit %(missions)s
    )
    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    select mission_id, 'detour-' || %(turn)s, 'point_arrived', %(as_of)s from calm
    """
"""The missions that have the most time left arrive at a point outside their plan."""
EVALUATE: LiteralString = """
    select count(seen)
    from unnest(array(
        select event.mission_id from scooters_ops.missions_history as event
        order by event.history_id desc limit %(missions)s
    )) as woken (mission_id)
    cross join lateral scooters_ops.mission_intervals_of(woken.mission_id, %(as_of)s) as seen
    """
"""The view's intervals of the missions of the latest events: what a pass over them must cost."""


def passes(bench: Bench) -> None:
    """Passes that find nothing due, passes that find missions overdue because time went by, and
    passes over missions that an event woke, in time: at each scale and with each history.

    All fleets take turns, so that they can also be compared with each other.
    """
    bench.report.begin("passes")
    fleets, due = bench.fleets, bench.fleet.due
    times: dict[Fleet, Times] = {fleet: defaultdict(list) for fleet in fleets}
    pages: dict[Fleet, dict[str, float]] = {fleet: {} for fleet in fleets}
    # The step after these is read for its pages, and that after it stays in time.
    steps = {fleet: min(bench.turns.passes, fleet.steps - 3) for fleet in fleets}
    with ExitStack() as stack:
        sessions = {
            fleet: stack.enter_context(bench.databases.session(fleet.database)) for fleet in fleets
        }
        for turn in range(-bench.turns.warm_up, bench.turns.quick):
            for fleet, session in sessions.items():
                one, idle = session.timed(ONE)[0], session.detect(fleet.start, 0)
                if turn >= 0:
                    times[fleet]["idle"].append(idle)
                    times[fleet]["baseline idle"].append(one)
        for fleet, session in sessions.items():
            pages[fleet]["idle"] = session.pages(DETECT, [fleet.start])
        for step in range(max(steps.values()) + 1):
            for fleet, session in sessions.items():
                if step <= steps[fleet]:
                    one, busy = session.timed(ONE)[0], session.detect(fleet.time_of(step), due)
                    if step > 0:
                        times[fleet]["busy"].append(busy)
                        times[fleet]["baseline busy"].append(one)
        for fleet, session in sessions.items():
            as_of = fleet.time_of(steps[fleet] + 1)
            pages[fleet]["busy"] = session.pages(DETECT, [as_of]) / due
        for turn in range(bench.turns.passes):
            for fleet, session in sessions.items():
                as_of = fleet.time_of(steps[fleet] + 1)
                session.execute(ARRIVE, {"missions": due, "turn": turn, "as_of": as_of})
                one, woken = session.timed(ONE)[0], session.detect(as_of, 0, woken=due)
                view = session.timed(EVALUATE, {"missions": due, "as_of": as_of})[0]
                if turn > 0:
                    times[fleet]["woken"].append(woken)
                    times[fleet]["view"].append(view)
                    times[fleet]["baseline woken"].append(one)

    names = {
        "idle": "pass, nothing due",
        "busy": f"pass, {due} newly overdue",
        "woken": f"pass, {due} woken in time",
    }
    for kind, target, everywhere in (("idle", 3, True), ("busy", 30, False), ("woken", 70, False)):
        for fleet, measured in times.items():
            name, baseline = f"{names[kind]} / select 1", measured[f"baseline {kind}"]
            here = target if everywhere or fleet.active == LARGE else None
            bench.ratio(name, measured[kind], baseline, here, scale=fleet.label)
    for fleet, measured in times.items():
        name = f"the view of those {due} missions / select 1"
        bench.ratio(name, measured["view"], measured["baseline woken"], None, scale=fleet.label)
    for kind, unit, target in (("idle", "pages", 12), ("busy", "pages/mission", 45)):
        for fleet, read in pages.items():
            bench.count(names[kind], read[kind], unit, target, fleet.label)
    least = {fleet.active: fleet for fleet in reversed(fleets)}  # each with its shortest history
    small, large = least[min(least)], least[max(least)]
    if small != large:
        name = f"{names['idle']}, largest / smallest fleet"
        scale = f"{short(large.active)}/{short(small.active)}"
        bench.ratio(name, times[large]["idle"], times[small]["idle"], 1.2, scale=scale)
    for kind, name in names.items():
        for less, more in pairwise(fleets):
            if less.active == more.active:
                history = f"{short(more.finished_events)} / {short(less.finished_events)}"
                both = times[more][kind], times[less][kind]
                bench.ratio(f"{name}, history of {history}", *both, 1.2, scale=short(more.active))


OVERRIDES = 50
DAY = {"from": "06:00", "to": "23:00", "time_zone": "Europe/Moscow"}


def overridden(config: Mapping[str, Any], city: str, *, is_by_day: bool) -> dict[str, Any]:
    """The config with overrides for as many cities, the last of which is this one; they leave the
    limits as they are. `is_by_day`: each has a calendar besides."""
    changed = deepcopy(dict(config))
    at = {"at": "day"} if is_by_day else {}
    changed["calendars"] = {"day": DAY} if is_by_day else {}
    changed["detection"]["overrides"] = [
        {
            "name": f"{name} by day",
            "match": {"city": name, **at},
            "timeouts": {"timeout_in_point": {"factor": 1.5}},
        }
        for name in (*(f"City {n}" for n in range(1, OVERRIDES)), city)
    ]
    return changed


def overrides(bench: Bench) -> None:
    """Passes with overrides, one of which holds for every mission, and without; in turns, on copies
    of one fleet. Time that goes by costs no look at an override; a woken mission does."""
    name = f"passes with {OVERRIDES} overrides"
    bench.report.begin(name, bench.turns.passes)
    due, fleet = bench.fleet.due, bench.fleet
    steps = min(bench.turns.passes, fleet.steps - 3)
    times: dict[str, Times] = {kind: defaultdict(list) for kind in ("none", "city", "calendar")}
    with ExitStack() as stack:
        sessions = {
            kind: stack.enter_context(bench.databases.copy(fleet.database)) for kind in times
        }
        for kind, session in sessions.items():
            if kind != "none":
                changed = overridden(bench.config, "Moscow", is_by_day=kind == "calendar")
                session.execute("select scooters_ops.apply_config(%s)", [json.dumps(changed)])
                session.execute("select scooters_ops.detect_timeouts(%s)", [fleet.start])
            session.execute("vacuum analyze")
        for step in range(steps + 1):
            for kind, session in sessions.items():
                seconds = session.detect(fleet.time_of(step), due)
                if step > 0:
                    times[kind]["newly overdue"].append(seconds)
        as_of = fleet.time_of(steps)
        for turn in range(bench.turns.passes):
            for kind, session in sessions.items():
                session.execute(ARRIVE, {"missions": due, "turn": turn, "as_of": as_of})
                seconds = session.detect(as_of, 0, woken=due)
                if turn > 0:
                    times[kind]["woken"].append(seconds)
            bench.report.advance()
    for kind, label in (("city", "by city"), ("calendar", "by city and calendar")):
        for what in ("newly overdue", "woken"):
            name = f"pass, {due} {what}, {OVERRIDES} overrides {label} / none"
            bench.ratio(name, times[kind][what], times["none"][what], 1.1)


def one_mission(bench: Bench) -> None:
    """The intervals of one mission with 15 events, the most that a mission has here; each turn asks
    for another one."""
    name = "mission_intervals of one mission"
    bench.report.begin(name)
    query = "select * from scooters_ops.mission_intervals where mission_id = %s"
    missions = range(15, bench.fleet.active + 1, 16)
    pair = "select * from scooters_ops.mission_intervals where mission_id in (%s, %s)"
    ones, intervals, pairs = [], [], []
    with bench.databases.session(bench.fleet.database) as session:
        for turn in range(-bench.turns.warm_up, bench.turns.quick):
            both = [f"mission-{missions[(turn * 31 + n) % len(missions)]}" for n in (0, 1)]
            one, asked = session.timed(ONE)[0], session.timed(query, both[:1])[0]
            if turn >= 0:
                ones.append(one)
                intervals.append(asked)
                pairs.append(session.timed(pair, both)[0])
        pages = session.pages(query, [f"mission-{missions[0]}"])
    bench.ratio(f"{name} / select 1", intervals, ones, 3)
    bench.count(name, pages, "pages", 80)
    bench.ratio("mission_intervals of two missions / of one", pairs, intervals, 2.2)


def boards(bench: Bench) -> None:
    """The board without a filter: exact counts of all open intervals, and the 200 missions that are
    furthest over their limit."""
    bench.report.begin("board")
    query = "select length(scooters_ops.board(as_of => %s)::text)"
    as_of = [bench.fleet.start]
    ones, boards = [], []
    with bench.databases.session(bench.fleet.database) as session:
        for turn in range(-bench.turns.warm_up, bench.turns.passes):
            one, board = session.timed(ONE)[0], session.timed(query, as_of)[0]
            if turn >= 0:
                ones.append(one)
                boards.append(board)
        pages = session.pages(query, as_of)
    bench.ratio("board / select 1", boards, ones, bench.at_large(150))
    bench.count("board", pages, "pages", bench.at_large(4_000))


def whole_fleet(bench: Bench) -> None:
    """What evaluates the whole fleet, in turns: the two things that a pass is compared with, an
    analyst's full query, and the first pass after a config change."""
    fleet, slow = bench.fleet, bench.turns.slow
    passes = min(fleet.steps // slow, 3)
    bench.report.begin("evaluating the whole fleet", slow)
    times: Times = defaultdict(list)
    with bench.databases.copy(fleet.database) as session:
        session.value(READ_ROWS)  # so that everything is in memory
        for turn in range(slow):
            times_of_passes = [fleet.time_of(turn * passes + n) for n in range(passes)]
            for name, baseline in (("worker", polling_worker), ("view", plain_view_pass)):
                with session.connection.transaction(force_rollback=True):
                    seconds = clocked(baseline, session.connection, times_of_passes[0], fleet.due)
                times[name].append(seconds)
            times["pass"] += [session.detect(as_of, fleet.due) for as_of in times_of_passes]
            times["read"].append(clocked(session.value, READ_ROWS))
            times["timeouts"].append(clocked(session.value, TIMEOUTS))
            times["change"].append(_config_change(bench, session, times_of_passes[-1], turn))
            session.execute(f"vacuum analyze {', '.join(RECORDED)}")
            bench.report.advance()
    large = bench.at_large
    a_pass = f"pass, {fleet.due} newly overdue"
    bench.ratio(
        f"polling worker / {a_pass}", times["worker"], times["pass"], large(1000), at_least=True
    )
    bench.ratio(
        f"plain view pass / {a_pass}", times["view"], times["pass"], large(500), at_least=True
    )
    bench.ratio(
        "mission_timeouts of all / reading the rows", times["timeouts"], times["read"], large(3)
    )
    name = "config change and its pass / plain view pass"
    bench.ratio(name, times["change"], times["view"], large(1.3))


def _config_change(bench: Bench, session: Session, as_of: datetime, turn: int) -> float:
    """The seconds from a new config to the end of the pass that evaluated every mission.

    The change affects no planned point, so that no mission becomes overdue by it.
    """
    changed = deepcopy(dict(bench.config))
    changed["detection"]["default_job_eta_seconds"] += 1 + turn
    apply, detect = "scooters_ops.apply_config(%s)", "scooters_ops.detect_timeouts(%s)"
    last = session.value("select max(pass_id) from scooters_ops.detection_passes")
    seconds = clocked(session.execute, f"select {apply}", [json.dumps(changed)])
    seconds += clocked(session.execute, f"select {detect}", [as_of])
    evaluated = session.value(
        "select sum(missions) from scooters_ops.detection_passes where pass_id > %s", [last]
    )
    WrongCount.unless("evaluated after a config change", evaluated, bench.fleet.active)
    return seconds


def storm(bench: Bench) -> None:
    """Every mission becomes overdue because time goes by: the job that pg_cron runs, in turns with
    the plain view pass. Both insert the same rows. Each runs on a fresh copy that is in memory, so
    that neither meets dead rows of the other."""
    start = bench.fleet.start - timedelta(hours=1)  # so that every mission is overdue now
    fleet = bench.databases.settled(replace(bench.fleet, start=start))
    expected = fleet.active - fleet.overdue
    bench.report.begin("a storm: every mission due at once", bench.turns.slow)
    views, jobs = [], []
    for _ in range(bench.turns.slow):
        with bench.databases.copy(fleet.database) as session:
            session.value(READ_ROWS)
            now = datetime.now(UTC)
            views.append(clocked(plain_view_pass, session.connection, now, expected))
        with bench.databases.copy(fleet.database) as session:
            session.value(READ_ROWS)
            last = session.value("select max(pass_id) from scooters_ops.detection_passes")
            jobs.append(clocked(session.execute, "call scooters_ops.detect_in_batches()"))
            of_passes = "select {} from scooters_ops.detection_passes where pass_id > %s"
            found = session.value(of_passes.format("sum(inserted)"), [last])
            WrongCount.unless("found by the passes of a storm", found, expected)
            largest = session.value(of_passes.format("max(judged)"), [last])
        bench.report.advance()
    bound = 2 * bench.config["detection"]["batch_size"]  # of each type, the size of a batch
    bench.ratio("storm, pg_cron's job / plain view pass", jobs, views, bench.at_large(0.5))
    bench.count("storm, largest pass of pg_cron's job", largest, "intervals", bound)


def reports(bench: Bench) -> None:
    """An analyst's report over every recorded interval, finished missions' included, and over one
    hour of them; and what it costs to keep them."""
    least = [fleet for fleet in bench.fleets if fleet.active == bench.fleet.active]
    fleet = least[-1]
    bench.report.begin("reports", bench.turns.few)
    times: Times = defaultdict(list)
    with bench.databases.copy(fleet.database) as session:
        session.execute("call scooters_ops.backfill_intervals('-infinity')")
        session.execute("vacuum analyze")
        sizes = [
            session.value("select pg_total_relation_size(%s)", [f"scooters_ops.{table}"])
            for table in ("recorded_intervals", "missions_history")
        ]
        hour = REPORT.format("where started_at >= %s and started_at < %s")
        for turn in range(bench.turns.few):
            since = fleet.start - timedelta(days=3, hours=turn)
            times["read"].append(session.timed(READ_ROWS)[0])
            times["report"].append(session.timed(REPORT.format(""))[0])
            times["hour"].append(session.timed(hour, [since, since + timedelta(hours=1)])[0])
            times["by city"].append(session.timed(REPORT_BY_CITY)[0])
            window = [fleet.start - timedelta(days=365), fleet.start + timedelta(days=1)]
            times["backtest"].append(session.timed(BACKTEST, window)[0])
            bench.report.advance()
    scale, large = fleet.label, bench.at_large
    name = "report over interval_history"
    bench.ratio(f"{name} / reading the rows", times["report"], times["read"], large(1), scale=scale)
    bench.ratio(f"{name}, one hour / all", times["hour"], times["report"], large(0.1), scale=scale)
    name = "backtest of factor 2 / report by city"
    bench.ratio(name, times["backtest"], times["by city"], large(3), scale=scale)
    name = "recorded_intervals / missions_history, size"
    bench.count(name, sizes[0] / sizes[1], "×", large(1.2), scale)


INSERT_BATCH = """\\set first random(1, :fleet)
insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select 'mission-' || 1 + (:first::int + n * 97) % :fleet, 'point-1', 'point_arrived', now()
from generate_series(1, :batch) as n;
"""
"""pgbench's script: a batch of events, of missions all over the fleet."""


def inserts(bench: Bench) -> None:
    """Events a second with the triggers, divided by those without. The client is pgbench, which
    itself needs little CPU. Between turns the wake-ups are removed, as passes would do."""
    triggers = "alter table scooters_ops.missions_history {} trigger user"
    with bench.databases.copy(bench.fleet.database) as session:
        for clients, batch in product((1, 8), (1, 1000)):
            name = f"inserting by {batch:,}, clients: {clients}"
            bench.report.begin(name, bench.turns.few)
            rates: Times = defaultdict(list)
            for _ in range(bench.turns.few):
                for state in ("disable", "enable"):
                    session.execute(triggers.format(state))
                    session.execute("truncate scooters_ops.mission_wakeups")
                    rates[state].append(_insert_rate(bench, session, clients, batch))
                bench.report.advance()
            name = f"{name}, triggers / none"
            both = rates["enable"], rates["disable"]
            bench.ratio(name, *both, 0.75, at_least=True, unit="events a second")


def _insert_rate(bench: Bench, session: Session, clients: int, batch: int) -> float:
    """Events a second."""
    events = bench.turns.events // (10 if batch == 1 else 1)
    command = [str(find_postgres() / "pgbench"), "-n", "-M", "prepared", "--random-seed=1"]
    command += ["-c", str(clients), "-j", str(min(clients, 2)), "-f", "/dev/stdin"]
    command += ["-t", str(max(events // batch // clients, 1))]
    command += ["-D", f"fleet={bench.fleet.active}", "-D", f"batch={batch}"]
    command += [session.conninfo]
    done = subprocess.run(command, input=INSERT_BATCH, capture_output=True, text=True, check=False)
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or rate is None:
        raise WrongCount(f"pgbench failed:\n{done.stderr}")
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
"""A tenth of the missions arrive at a point outside their plan, where the limit is 450 s."""
SIZE = "select pg_total_relation_size(%s)"


def day(bench: Bench) -> None:
    """A busy day: whether what passes write stays small, and what its age costs a pass.

    Every 40 s a tenth of the fleet moves, so that each mission has an event every 400 s, which
    closes an interval and opens another. A pass follows, then a vacuum, as autovacuum would run:
    far more rows than its threshold have come and gone. The wake-ups stop growing after a few such
    rounds. The recorded intervals grow by what is new, and are compared with a copy that vacuum
    full rewrote; so is a pass.
    """
    fleet, due = bench.fleet, bench.fleet.due
    facts = {"active": fleet.active, "slices": SLICES, "distance": BETWEEN_PASSES}
    wakeups, recorded = RECORDED
    bench.report.begin("a busy day", bench.turns.day)
    sizes, before, after = [], [], []
    aged = bench.databases.copied(fleet.database)
    with bench.databases.session(aged) as session:
        for turn in range(bench.turns.day):
            as_of = fleet.start + BETWEEN_PASSES * (turn + 1)
            session.execute(MOVE, facts | {"turn": turn, "as_of": as_of})
            sizes.append(session.value(SIZE, [wakeups]))
            session.execute("select scooters_ops.detect_timeouts(%s)", [as_of])
            session.execute(f"vacuum analyze {wakeups}, {recorded}")
            bench.report.advance()
        left = session.value("select count(*) from scooters_ops.mission_wakeups")
        WrongCount.unless("wake-ups after a day", left, 0)
        session.execute("vacuum analyze")
        due_times = session.connection.execute(
            "select deadline from scooters_ops.recorded_intervals where not is_judged"
            " order by deadline"
        ).fetchall()
    with bench.databases.copy(aged) as rewritten, bench.databases.session(aged) as session:
        rewritten.execute(f"vacuum full analyze {wakeups}, {recorded}")
        grown = session.value(SIZE, [recorded]) / rewritten.value(SIZE, [recorded])
        for turn in range(bench.turns.few + 1):
            (last,), (following,) = due_times[due * (turn + 1) - 1 : due * (turn + 1) + 1]
            as_of = last + (following - last) / 2
            seconds = rewritten.detect(as_of, due), session.detect(as_of, due)
            if turn > 0:
                before.append(seconds[0])
                after.append(seconds[1])
    half, large = len(sizes) // 2, bench.at_large
    growth = max(sizes[half:]) / max(sizes[:half])
    bench.count("mission_wakeups, size in second / first half of a day", growth, "×", large(1.1))
    bench.count("recorded_intervals, size after a day / rewritten", grown, "×", large(1.5))
    name = f"pass, {due} newly overdue, after / before a day"
    bench.ratio(name, after, before, large(1.2))


FIGURES = (passes, overrides, one_mission, boards, whole_fleet, storm, reports, inserts, day)
