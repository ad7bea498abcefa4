"""What is done to the notifiers, to PostgreSQL and to the stand-ins, how often and when."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox.torture.attention import Attention
from sandbox.torture.evidence import decide, verdict_on
from sandbox.torture.harness import Harness
from sandbox.torture.runner import Step
from sandbox.torture.settings import Settings
from sandbox.torture.trial import STUCK_AFTER_SECONDS, Stuck, Trial, Worker

TICK_SECONDS = 0.02
QUERY_SECONDS = 0.25
"""How often the table is asked how far the notifiers are."""
BUSY = frozenset({"unplanned", "pending", "sending"})
"""States in which a notifier has something to do, now or soon."""
UNFINISHED = BUSY | {"silenced"}
"""States in which a notifier still has something to do."""

CHANGES = frozenset({"silence", "unsilence", "config"})
"""What people change, as long as the scene is restless."""

Act = Callable[[Trial, random.Random], None]


def _to_one_notifier(act: Callable[[Trial, Worker], None]) -> Act:
    def to_one(trial: Trial, chance: random.Random) -> None:
        if running := trial.running():
            act(trial, chance.choice(running))

    return to_one


DISRUPTIONS: Mapping[str, Act] = {
    "kill": _to_one_notifier(Trial.kill),
    "stop": _to_one_notifier(Trial.stop),
    "restart": _to_one_notifier(Trial.restart),
    "session": Trial.terminate_session,
    "postgres": lambda trial, chance: trial.kill_postgres(chance.uniform(0, 1)),
    "silence": Trial.silence,
    "unsilence": Trial.unsilence,
    "config": Trial.change_config,
    "stand-in": lambda trial, chance: trial.take_down(
        chance.choice(trial.scene.stand_ins), chance.uniform(0, 1)
    ),
}


@dataclass(frozen=True)
class Scenario:
    """How many notifications go through how many notifiers, and how often each disruption comes
    meanwhile."""

    name: str
    notifications: int
    notifiers: int
    disruptions: Mapping[str, int] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    def schedule(self, chance: random.Random) -> list[tuple[int, str]]:
        """After how many messages, tickets, edits and comments each disruption comes, in order. A
        digest counts as often as it tells of an alert."""
        total = self.notifications * (4 if self.settings.attention else 5) // 2
        return sorted(
            (chance.randint(total // 20, total * 9 // 10), name)
            for name, times in self.disruptions.items()
            for _ in range(times)
        )


@dataclass
class Report:
    """The result of a scenario.

    sent        deliveries recorded as sent that did arrive
    followed    edits, comments, escalations and reminders recorded as sent, by kind
    done        how often each disruption took place
    duplicates  second messages, by what explains them
    decided     what a person had to decide
    together    alerts that digests told of
    held        alerts that a silence held
    muted       those among them that were over before the silence
    """

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
    followed: Counter[str] = field(default_factory=Counter)
    together: int = 0
    held: int = 0
    muted: int = 0


def scenarios(notifications: int) -> list[Scenario]:
    """From one kind of disruption at a time to all of them at once."""
    tenth = max(notifications // 10, 20)
    faulty = Settings(faults=0.2)
    slow = Settings(answer_seconds=0.05, batch_size=10)
    some = {"kill": 10, "stop": 2, "restart": 4, "session": 10, "postgres": 2, "stand-in": 2}
    changes = {"silence": 10, "unsilence": 10, "config": 10}
    attention = Attention({"telegram": 2, "st": 1})
    return [
        Scenario("PostgreSQL killed", tenth, 2, {"postgres": 4}, slow),
        Scenario("sessions terminated", tenth, 2, {"session": 40}, slow),
        Scenario("stopped past a lease", tenth, 2, {"stop": 4}, slow),
        Scenario("restarted", tenth, 2, {"restart": 10}, slow),
        Scenario(
            "people change things",
            tenth,
            2,
            changes,
            Settings(chats=20, attention=attention, waves=5),
        ),
        Scenario("1 killed at random", tenth, 1, {"kill": 15}, faulty),
        Scenario("2 killed at random", 2 * tenth, 2, {"kill": 30}, faulty),
        Scenario("4 killed at random", 2 * tenth, 4, {"kill": 40}, faulty),
        Scenario(
            "all, doubts held",
            tenth,
            2,
            some | changes,
            Settings(faults=0.2, in_doubt="hold", escalates=False, attention=attention, waves=5),
        ),
        Scenario(
            "all at once",
            notifications,
            4,
            some | {"kill": 25} | dict.fromkeys(changes, 20),
            Settings(faults=0.2, attention=attention, waves=20),
        ),
    ]


def run_steps(
    harness: Harness, seed: str, settings: Settings, say: Callable[[str], None]
) -> Report:
    """Kill one notifier at each step in turn. The next one takes over what it leaves behind."""
    name = f"each step, {settings.in_doubt}{', digests' if settings.attention else ''}"
    with harness.trial(f"{seed} {name}", settings) as trial:
        began = time.monotonic()
        for step in Step:
            trial.scene.notify(5)
            trial.scene.live(trial.scene.told_of and 5)
            worker = trial.start(step)
            trial.wait_for_kill(worker)
            _check_step(trial, step, worker)
            say(f"{name}: killed at {step}")
        _deliver(trial, 1)
        return _conclude(trial, name, began)


def _check_step(trial: Trial, step: Step, worker: Worker) -> None:
    """Whether the stand-ins and the table agree that it was killed at this step."""
    scene = trial.scene

    def expect(what: str, condition: Callable[[], bool]) -> None:
        try:
            trial.wait_until(condition, f"{what} (killed at {step})", 10)
        except Stuck as stuck:
            trial.problems.append(str(stuck))

    def answered() -> bool:
        return any(entry.outcome == "whole" for entry in scene.entries_of(worker.sender))

    if step in (Step.LEASING, Step.LEASED, Step.REQUESTING):
        expect("no request", lambda: not scene.entries_of(worker.sender))
    else:
        expect("a request", lambda: bool(scene.entries_of(worker.sender)))
    if step in (Step.ANSWERED, Step.RECORDING, Step.RECORDED):
        expect("an answer", answered)
    if step == Step.LEASING:
        expect("no lease", lambda: scene.leased_by(worker.process.pid) == 0)
    elif step != Step.RECORDED:
        expect("a lease", lambda: scene.leased_by(worker.process.pid) > 0)
    is_recorded = step == Step.RECORDED
    expect(
        "a record" if is_recorded else "no record",
        lambda: bool(scene.recorded_since(worker.started_at)) == is_recorded,
    )


def run(harness: Harness, scenario: Scenario, seed: str, say: Callable[[str], None]) -> Report:
    """Run one scenario to its end. Raises Stuck."""
    own_seed = f"{seed} {scenario.name}"
    chance = random.Random(own_seed)  # noqa: S311  # reproducible on purpose
    with harness.trial(own_seed, scenario.settings) as trial:
        trial.scene.to_come = scenario.notifications
        trial.scene.wave = -(-scenario.notifications // scenario.settings.waves)
        trial.next_wave(chance)
        began = time.monotonic()

        def progress() -> None:
            say(
                f"{scenario.name}: {trial.scene.accepted_count} messages, tickets and changes for"
                f" {2 * scenario.notifications} recipients, disruptions: {trial.done.total()},"
                f" {time.monotonic() - began:.0f} s"
            )

        _deliver(trial, scenario.notifiers, scenario.schedule(chance), chance, progress)
        return _conclude(trial, scenario.name, began)


def _deliver(
    trial: Trial,
    notifiers: int,
    schedule: list[tuple[int, str]] | None = None,
    chance: random.Random | None = None,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Keep notifiers running and follow the schedule until no notifier has anything left to do.

    Raises Stuck.
    """
    schedule = schedule or []
    scene = trial.scene
    chance = chance or random.Random(0)  # noqa: S311

    def delivered() -> int:
        return states["sent"] if scene.settings.attention else scene.delivered_count

    seen: object = None
    changed_at = asked_at = -STUCK_AFTER_SECONDS
    while True:
        trial.keep_running(notifiers)
        now = time.monotonic()
        if now - asked_at >= QUERY_SECONDS:
            asked_at = now
            states = trial.scene.states()
            progress()
            is_idle = not states.keys() & UNFINISHED
            is_quiet = not states.keys() & BUSY
            if scene.to_come and (is_quiet or states["sent"] >= scene.notifications):
                trial.next_wave(chance)
            if scene.told_of < scene.notifications or scene.hidden:
                told = scene.notifications if is_idle else delivered() // 2
                scene.live(told - scene.told_of)
            if scene.is_restless and not scene.to_come and (not schedule or is_quiet):
                schedule = [each for each in schedule if each[1] not in CHANGES]
                scene.calm()
            elif (
                is_idle
                and scene.told_of == scene.notifications
                and not scene.is_restless
                and scene.end_waits()
                and not scene.states().keys() & UNFINISHED
            ):
                return
            accepted = states["sent"] if scene.settings.attention else scene.accepted_count
            if schedule and accepted >= schedule[0][0]:
                DISRUPTIONS[schedule.pop(0)[1]](trial, chance)
            if (accepted, states) != seen:
                seen, changed_at = (accepted, states), now
            elif now - changed_at > STUCK_AFTER_SECONDS:
                raise Stuck(f"no progress for {STUCK_AFTER_SECONDS:g} s: {dict(states)}")
        time.sleep(TICK_SECONDS)


def _conclude(trial: Trial, name: str, began: float) -> Report:
    """Judge what the notifiers did alone. Then let a person decide what waits, and judge again."""
    scene = trial.scene
    seconds = time.monotonic() - began
    trial.end_all()
    alone = verdict_on(scene, trial.disruptions, all_sent=False)
    decided: Counter[str] = Counter()
    if alone.waiting:
        decided = decide(scene)
        for stand_in in scene.stand_ins:
            stand_in.chance = None
        _deliver(trial, 1)
        trial.end_all()
    last = verdict_on(scene, trial.disruptions, all_sent=True)
    return Report(
        scenario=name,
        notifications=scene.notifications,
        seconds=seconds,
        peak_mib=trial.peak_mib,
        sent=last.sent,
        done=trial.done,
        duplicates=last.duplicates,
        decided=decided,
        lost=len({*alone.lost, *last.lost}),
        followed=last.followed,
        together=last.together,
        held=last.held,
        muted=last.muted,
        problems=list(dict.fromkeys([*alone.problems, *last.problems, *trial.problems])),
    )
