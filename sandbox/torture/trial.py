"""The notifier processes of one trial, and everything that is done to it.

Each notifier has tokens of its own, so that the stand-ins' ledgers tell who sent what.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from notifier.resources import ROOT
from sandbox.processes import peak_memory_kib
from sandbox.standins import StandIn
from sandbox.torture.runner import Step
from sandbox.torture.scene import BOT, LOGIN, ORGANIZATION, Scene
from sandbox.torture.verdict import Disruption

STUCK_AFTER_SECONDS = 90.0
"""A trial that makes no progress for this long has failed."""
SILENCES_PER_WAVE = 2
EXIT_SECONDS = 30.0
"""How long a notifier may take to exit after SIGTERM."""


class Stuck(Exception):
    """A trial makes no progress."""


@dataclass
class Worker:
    """A notifier process. `sender` identifies it in the ledgers.

    is_ending_expected  the trial has killed it or asked it to exit
    """

    sender: str
    process: subprocess.Popen[bytes]
    log: Path
    started_at: float
    is_ending_expected: bool = False
    stopped_at: float | None = None
    continue_at: float = 0.0
    peak_kib: int = 0

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def measure(self) -> None:
        """Note its peak memory so far."""
        self.peak_kib = max(self.peak_kib, peak_memory_kib(self.process.pid) or 0)

    def log_tail(self) -> str:
        return self.log.read_text("utf-8", "replace").strip()[-500:]


@dataclass
class Trial:
    """A scene, its notifiers, and what was done to them. Only the thread that started PostgreSQL
    may use it.

    done      how often each disruption took place, by name
    problems  what a verdict cannot see, such as a notifier that exited by itself
    """

    scene: Scene
    folder: Path
    workers: list[Worker] = field(default_factory=list)
    disruptions: list[Disruption] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    # --- Notifiers ---

    def start(self, step: Step | None = None) -> Worker:
        """Start a notifier; with `step` it is killed when it first reaches that step."""
        sender = f"notifier-{len(self.workers) + 1}"
        self.scene.telegram.more_tokens.add(f"{BOT}:{sender}")
        self.scene.tracker.more_tokens.add(sender)
        program = ["notifier"] if step is None else ["sandbox.torture.runner", step]
        # The kernel kills it when this process dies, however that happens.
        command = ["setpriv", "--pdeathsig=KILL", sys.executable, "-m", *program]
        command += ["--log-level", "error", "run"]
        log = self.folder / f"{sender}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.scene.server.environment(self.scene.database)
                | {
                    "PGUSER": LOGIN,
                    "TELEGRAM_BOT_TOKEN": f"{BOT}:{sender}",
                    "TRACKER_TOKEN": sender,
                    "TRACKER_ORG_ID": ORGANIZATION,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        worker = Worker(sender, process, log, time.time(), is_ending_expected=step is not None)
        self.workers.append(worker)
        return worker

    def wait_for_kill(self, worker: Worker) -> None:
        """Wait until a notifier that was started with a step has been killed there."""
        deadline = time.monotonic() + STUCK_AFTER_SECONDS
        while worker.is_alive:
            worker.measure()
            if time.monotonic() > deadline:
                raise Stuck(f"{worker.sender} does not reach its step:\n{worker.log_tail()}")
            time.sleep(0.01)
        if worker.process.returncode != -signal.SIGKILL:
            raise Stuck(f"{worker.sender} exited by itself:\n{worker.log_tail()}")
        self._note("killed", worker, time.time())
        self.done["killed at a step"] += 1

    def keep_running(self, notifiers: int) -> None:
        """Continue stopped notifiers when it is time, and keep this many alive, as systemd
        would."""
        now = time.time()
        for worker in self.workers:
            if worker.stopped_at is not None and worker.continue_at <= now:
                self._continue(worker)
            if worker.is_alive:
                worker.measure()
            elif not worker.is_ending_expected:
                worker.is_ending_expected = True
                self._check_exit(worker)
        for _ in range(notifiers - len(self.running())):
            self.start()

    def running(self) -> list[Worker]:
        """The notifiers that are alive, stopped ones included, and were not asked to exit."""
        return [each for each in self.workers if each.is_alive and not each.is_ending_expected]

    def next_wave(self, chance: random.Random) -> None:
        """Let the next notifications come. If people change anything, some are silenced before."""
        for _ in range(SILENCES_PER_WAVE if self.scene.is_restless else 0):
            self.silence(chance)
        self.scene.next_wave()

    def end_all(self) -> None:
        """Ask every notifier to exit, and wait until the stand-ins have read all requests."""
        for worker in self.workers:
            if worker.stopped_at is not None:
                self._continue(worker)
        alive = [each for each in self.workers if each.is_alive]
        for worker in alive:
            worker.measure()
            if not worker.is_ending_expected:
                worker.is_ending_expected = True
                worker.process.terminate()
        for worker in alive:
            try:
                worker.process.wait(EXIT_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        for worker in self.workers:
            if worker.process.returncode not in (0, -signal.SIGKILL):
                self._check_exit(worker)
        self.wait_until(
            lambda: all(each.is_idle for each in self.scene.stand_ins), "connections to be closed"
        )

    def kill_all(self) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            if worker.is_alive:
                worker.process.kill()
                worker.process.wait()

    def wait_until(
        self, condition: Callable[[], bool], what: str, seconds: float = STUCK_AFTER_SECONDS
    ) -> None:
        """Wait for a condition. Raises Stuck."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Stuck(f"waited {seconds:g} s for {what}, without success")
            time.sleep(0.01)

    @property
    def peak_mib(self) -> float:
        """The most memory that any notifier has had."""
        return max((worker.peak_kib for worker in self.workers), default=0) / 1024

    # --- Disruptions ---

    def kill(self, worker: Worker) -> None:
        """Send SIGKILL."""
        worker.measure()
        worker.is_ending_expected = True
        at = time.time()
        worker.process.kill()
        worker.process.wait()
        if worker.stopped_at is not None:
            self._note("stopped", worker, worker.stopped_at)
        self._note("killed", worker, at)
        self.done["notifier killed"] += 1

    def stop(self, worker: Worker) -> None:
        """Send SIGSTOP; `keep_running` sends SIGCONT after the lease has run out."""
        if worker.stopped_at is None and worker.is_alive:
            worker.stopped_at = time.time()
            worker.continue_at = worker.stopped_at + self.scene.settings.lease_seconds * 1.3
            worker.process.send_signal(signal.SIGSTOP)
            self.done["notifier stopped"] += 1

    def restart(self, worker: Worker) -> None:
        """Send SIGTERM: the notifier must finish what it has begun and exit with 0. This explains
        no second message."""
        if worker.stopped_at is None and worker.is_alive:
            worker.measure()
            worker.is_ending_expected = True
            worker.process.terminate()
            self.done["notifier restarted"] += 1

    def terminate_session(self, chance: random.Random) -> None:
        """End one of the notifiers' database sessions."""
        pids = self.scene.query(
            "select pid from pg_stat_activity where datname = current_database()"
            " and usename = %s order by pid",
            LOGIN,
        )
        if pids:
            self.scene.query("select pg_terminate_backend(%s)", chance.choice(pids)["pid"])
            self.disruptions.append(Disruption("session terminated", time.time(), time.time()))
            self.done["session terminated"] += 1

    def silence(self, chance: random.Random) -> None:
        """Silence something: often for a moment, sometimes until somebody ends it."""
        match = self.scene.random_match(chance)
        seconds = chance.choice((0.5, 2.0, 4.0) if "zone" not in match else (2.0, 4.0, 3600.0))
        self.scene.place_silence(match, seconds)
        self.done["silence placed"] += 1

    def unsilence(self, chance: random.Random) -> None:
        """End a silence early."""
        if active := self.scene.active_silences():
            self.scene.end_silence(chance.choice(active))
            self.done["silence ended"] += 1

    def change_config(self, chance: random.Random) -> None:
        """Change digests, overrides and calendars."""
        self.scene.disturb(self.scene.random_attention(chance))
        self.done["config changed"] += 1

    def kill_postgres(self, seconds: float) -> None:
        """Send SIGKILL to PostgreSQL; start it again after this many seconds."""
        began_at = time.time()
        self.scene.server.kill()
        self.scene.close()
        time.sleep(seconds)
        self.scene.server.start()
        self.disruptions.append(Disruption("database down", began_at, time.time()))
        self.done["PostgreSQL killed"] += 1

    def take_down(self, stand_in: StandIn, seconds: float) -> None:
        """Let a stand-in refuse connections for this many seconds."""
        began_at = time.time()
        with stand_in.down():
            time.sleep(seconds)
        self.disruptions.append(Disruption("stand-in down", began_at, time.time()))
        self.done["stand-in taken down"] += 1

    def _continue(self, worker: Worker) -> None:
        assert worker.stopped_at is not None
        if worker.is_alive:
            worker.process.send_signal(signal.SIGCONT)
            self._note("stopped", worker, worker.stopped_at)
        worker.stopped_at = None

    def _note(self, kind: Literal["killed", "stopped"], worker: Worker, began_at: float) -> None:
        self.disruptions.append(Disruption(kind, began_at, time.time(), worker.sender))

    def _check_exit(self, worker: Worker) -> None:
        """Note a problem, unless the exit has an excuse.

        Before its first request a notifier exits with 2 when it loses its database, and SIGTERM
        may kill it before it handles signals.
        """
        code = worker.process.returncode
        lost_its_database = any(
            each.kind in ("database down", "session terminated")
            and each.ended_at + 5 > worker.started_at
            for each in self.disruptions
        )
        is_excused = code == -signal.SIGTERM or (code == 2 and lost_its_database)
        if is_excused and not self.scene.entries_of(worker.sender):
            return
        problem = f"{worker.sender} exited with {code}: {worker.log_tail()}"
        if problem not in self.problems:
            self.problems.append(problem)
