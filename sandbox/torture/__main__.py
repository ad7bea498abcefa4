"""Is anything lost, or sent twice without a reason, whatever dies and whenever? make torture.

Notifiers are killed at each step of a delivery and at random, stopped for longer than a lease, and
restarted; PostgreSQL is killed, sessions are cut, the far ends refuse, break off, answer late or
nonsense. What the far ends truly have is then held against the table: anything lost, a second
ticket, or a second message that nothing explains, ends it with 1.

A seed fixes which request meets which fault, and after how many messages what is done to whom; the
moments themselves are the machine's.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from sandbox.postgres import BootFailed, NoPostgres
from sandbox.torture.harness import PATIENCE_SECONDS, Stuck, Terms, Trial, Worker, World
from sandbox.torture.runner import Step
from sandbox.torture.verdict import Verdict

TICK_SECONDS = 0.02
LOOK_SECONDS = 0.25
SHOWN_PROBLEMS = 20


# --- What is done ------------------------------------------------------------------------------


def _somebody(trial: Trial, chance: random.Random) -> Worker | None:
    alive = [each for each in trial.workers if each.is_alive and not each.is_ended_by_us]
    return chance.choice(alive) if alive else None


def _to_somebody(act: Callable[[Trial, Worker], None]) -> Callable[[Trial, random.Random], None]:
    def do(trial: Trial, chance: random.Random) -> None:
        worker = _somebody(trial, chance)
        if worker is not None:
            act(trial, worker)

    return do


MISCHIEF: Mapping[str, Callable[[Trial, random.Random], None]] = {
    "kill": _to_somebody(Trial.kill),
    "stop": _to_somebody(Trial.stop),
    "restart": _to_somebody(Trial.ask_to_end),
    "cut": Trial.cut_a_connection,
    "postgres": lambda trial, chance: trial.kill_postgres(chance.uniform(0, 1)),
    "far end": lambda trial, chance: trial.take_down(
        chance.choice(trial.stand_ins), chance.uniform(0, 1)
    ),
}


@dataclass(frozen=True)
class Scenario:
    """So many notifications through so many notifiers, while this is done so often each."""

    name: str
    notifications: int
    notifiers: int
    mischief: Mapping[str, int] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)

    def schedule(self, chance: random.Random) -> list[tuple[int, str]]:
        """After how many messages and tickets what is done, in order."""
        total = 2 * self.notifications
        return sorted(
            (chance.randint(total // 20, total * 9 // 10), name)
            for name, times in self.mischief.items()
            for _ in range(times)
        )


@dataclass
class Report:
    """What came of a scenario."""

    scenario: str
    notifications: int
    seconds: float
    peak_mib: float
    sent: int
    done: Counter[str]
    duplicates: Counter[str]
    decided: Counter[str]
    lost: int
    problems: list[str]


# --- Scenarios ---------------------------------------------------------------------------------


def scenarios(notifications: int) -> list[Scenario]:
    """From one kind of trouble at a time to all of it at once."""
    tenth = max(notifications // 10, 20)
    faulty = Terms(faults=0.2)
    slow = Terms(answer_seconds=0.05, batch_size=10)
    some = {"kill": 10, "stop": 2, "restart": 4, "cut": 10, "postgres": 2, "far end": 2}
    return [
        Scenario("PostgreSQL killed", tenth, 2, {"postgres": 4}, slow),
        Scenario("sessions cut", tenth, 2, {"cut": 40}, slow),
        Scenario("stopped for long", tenth, 2, {"stop": 4}, slow),
        Scenario("restarted", tenth, 2, {"restart": 10}, slow),
        Scenario("1 killed at random", tenth, 1, {"kill": 15}, faulty),
        Scenario("2 killed at random", 2 * tenth, 2, {"kill": 30}, faulty),
        Scenario("4 killed at random", 2 * tenth, 4, {"kill": 40}, faulty),
        Scenario("all, doubts held", tenth, 2, some, Terms(faults=0.2, in_doubt="hold")),
        Scenario("all at once", notifications, 4, some | {"kill": 25}, faulty),
    ]


def run_steps(world: World, seed: str, terms: Terms, say: Callable[[str], None]) -> Report:
    """Each notifier in turn is killed one step later than the one before it; what it leaves behind
    is the next one's."""
    name = f"each step, {terms.in_doubt}"
    with world.trial(f"{seed} {name}", terms) as trial:
        began = time.monotonic()
        for step in Step:
            trial.notify(5)
            worker = trial.start(step)
            trial.await_death(worker)
            _check_step(trial, step, worker)
            say(f"{name}: killed at {step}")
        _settle(trial, 1, [], random.Random(seed), lambda: None)  # noqa: S311
        return _conclude(trial, name, began)


def _check_step(trial: Trial, step: Step, worker: Worker) -> None:
    """Whether it died where it was to die, as the far ends and the table have it."""

    def expect(what: str, condition: Callable[[], bool]) -> None:
        try:
            trial.await_(condition, f"{what}, killed at {step}", 10)
        except Stuck as stuck:
            trial.problems.append(str(stuck))

    def answered() -> bool:
        return any(entry.outcome == "whole" for entry in trial.entries_of(worker))

    asked_nothing = step in (Step.LEASING, Step.LEASED, Step.REQUESTING)
    if asked_nothing:
        expect("no request", lambda: not trial.entries_of(worker))
    else:
        expect("a request", lambda: bool(trial.entries_of(worker)))
    if step in (Step.ANSWERED, Step.RECORDING, Step.RECORDED):
        expect("an answer", answered)
    if step == Step.LEASING:
        expect("no lease", lambda: trial.held_by(worker) == 0)
    elif step != Step.RECORDED:
        expect("a lease", lambda: trial.held_by(worker) > 0)
    is_recorded = step == Step.RECORDED
    expect(
        "a record" if is_recorded else "no record",
        lambda: bool(trial.recorded_since(worker.started_at)) == is_recorded,
    )


def run(world: World, scenario: Scenario, seed: str, say: Callable[[str], None]) -> Report:
    """One scenario to its end."""
    own_seed = f"{seed} {scenario.name}"
    chance = random.Random(own_seed)  # noqa: S311  # reproducible on purpose
    with world.trial(own_seed, scenario.terms) as trial:
        trial.notify(scenario.notifications)
        began = time.monotonic()

        def progress() -> None:
            done = sum(trial.done.values())
            say(
                f"{scenario.name}: {trial.taken_count} arrived, repetitions included,"
                f" of {2 * scenario.notifications}, {done} mischiefs,"
                f" {time.monotonic() - began:.0f} s"
            )

        _settle(trial, scenario.notifiers, scenario.schedule(chance), chance, progress)
        return _conclude(trial, scenario.name, began)


def _settle(
    trial: Trial,
    notifiers: int,
    schedule: list[tuple[int, str]],
    chance: random.Random,
    progress: Callable[[], None],
) -> None:
    """Until nothing is left that a notifier could do, doing what is scheduled meanwhile.

    Raises Stuck.
    """
    seen: object = None
    changed_at = looked_at = -PATIENCE_SECONDS
    schedule = list(schedule)
    while True:
        trial.tend(notifiers)
        now = time.monotonic()
        if now - looked_at >= LOOK_SECONDS:
            looked_at = now
            states = trial.states()
            progress()
            if not states.keys() & {"pending", "sending", "unplanned"}:
                return
            if schedule and trial.taken_count >= schedule[0][0]:
                MISCHIEF[schedule.pop(0)[1]](trial, chance)
            if (trial.taken_count, states) != seen:
                seen, changed_at = (trial.taken_count, states), now
            elif now - changed_at > PATIENCE_SECONDS:
                raise Stuck(f"nothing happens any more: {dict(states)}")
        time.sleep(TICK_SECONDS)


def _conclude(trial: Trial, name: str, began: float) -> Report:
    """The verdict on the notifiers; then a person decides what they left, and the last verdict."""
    seconds = time.monotonic() - began
    trial.end_all()
    alone = trial.verdict(all_sent=False)
    decided: Counter[str] = Counter()
    if alone.waiting:
        decided = trial.decide()
        for stand_in in trial.stand_ins:
            stand_in.chance = None
        _settle(trial, 1, [], random.Random(0), lambda: None)  # noqa: S311
        trial.end_all()
    last: Verdict = trial.verdict(all_sent=True)
    return Report(
        scenario=name,
        notifications=trial.notifications,
        seconds=seconds,
        peak_mib=trial.peak_mib,
        sent=last.sent,
        done=trial.done,
        duplicates=last.duplicates,
        decided=decided,
        lost=len({*alone.lost, *last.lost}),
        problems=list(dict.fromkeys([*alone.problems, *last.problems])),
    )


# --- The report --------------------------------------------------------------------------------


class Progress:
    """On a terminal one line, written over and over; elsewhere a line now and then."""

    def __init__(self, seconds: float = 10) -> None:
        self._seconds = seconds
        self._said_at = -seconds

    def __call__(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r\x1b[K▸ {text}", end="", flush=True)
        elif time.monotonic() - self._said_at >= self._seconds:
            self._said_at = time.monotonic()
            print(f"▸ {text}", flush=True)


def torture(seed: str, notifications: int) -> list[Report]:
    """Everything, in turn."""
    say = Progress()
    with World() as world:
        reports = [
            run_steps(world, seed, Terms(in_doubt=in_doubt, lease_seconds=2), say)
            for in_doubt in ("resend", "hold")
        ]
        reports += [run(world, scenario, seed, say) for scenario in scenarios(notifications)]
    return reports


def show(reports: Sequence[Report]) -> None:
    """The table, and below it why anything arrived twice."""
    print(
        f"\n{'':<20} {'notified':>8} {'sent':>6} {'again':>6} {'lost':>5} {'drain':>7}"
        f" {'memory':>8}  what was done"
    )
    for report in reports:
        done = ", ".join(f"{count} {what}" for what, count in report.done.items())
        decided = ", ".join(f"{count} {what}" for what, count in report.decided.items())
        print(
            f"{report.scenario:<20} {report.notifications:>8} {report.sent:>6}"
            f" {report.duplicates.total():>6} {report.lost:>5} {report.seconds:>5.1f} s"
            f" {report.peak_mib:>4.0f} MiB  {done}" + (f"; by hand: {decided}" if decided else "")
        )
    causes = sum((report.duplicates for report in reports), Counter[str]())
    print("\nWhy a Telegram message was sent again (a ticket never was):")
    for cause, count in causes.most_common():
        print(f"{count:>7}  {cause}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--seed", default="", help="of an earlier run, to replay it")
    parser.add_argument("--notifications", type=int, default=10_000, help="of the last scenario")
    options = parser.parse_args()
    seed = options.seed or os.urandom(4).hex()
    again = f"make torture SEED={seed} NOTIFICATIONS={options.notifications}"
    print(f"Seed {seed}; to replay it: {again}", flush=True)
    try:
        reports = torture(seed, options.notifications)
    except KeyboardInterrupt:
        print("\ntorture: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    except (NoPostgres, BootFailed, Stuck, psycopg.Error) as error:
        print(f"\ntorture: {error}\nSeed {seed}: {again}", file=sys.stderr)
        return 1
    show(reports)
    problems = [(report.scenario, each) for report in reports for each in report.problems]
    if not problems:
        print(f"\nNothing lost, nothing sent twice without a cause. Seed {seed}.")
        return 0
    print(f"\n{len(problems)} problems:")
    for scenario, problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {scenario}: {problem}")
    print(f"Seed {seed}: {again}")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
