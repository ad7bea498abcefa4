"""The figures of queues that people would pick instead: procrastinate and graphile-worker.

A queue drains as many jobs as the notifier drains notifications, in turns with it: on the same
server, each in a database of its own, into the same sink, with as many requests at once. A job
POSTs the JSON that it was enqueued with; it is as long as the notifier's. All are measured in the
same way: everything is enqueued beforehand, and the seconds are those from the first arrival at the
sink to the last, so that neither enqueuing nor the start of a process counts.

A queue is a process with packages of its own, which `make bench` installs below build/queues. One
that is not installed there is left out.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import LiteralString

from notifier.resources import ROOT
from sandbox.bench.bare_httpx import BODY
from sandbox.bench.context import Bench
from sandbox.bench.databases import Session
from sandbox.bench.delivery import drain_rate, installation
from sandbox.bench.fleet import WrongCount, short
from sandbox.bench.processes import TOKEN, Sink, logged_process
from sandbox.bench.report import Figure

FOLDER = ROOT / "build" / "queues"
OURS = "notifier"
EMPTY = "template1"
"""The database that a queue's own is copied from."""
DRAINED: Mapping[int, int] = {100: 3_000, 10: 1_500}
"""Messages of a drain by requests at once, which are delivery.AT_ONCE; at most as many as the fleet
has missions."""


@dataclass(frozen=True)
class Queue:
    """A queue to compare with.

    command   what drains; URL, COUNT, AT_ONCE and BODY follow
    not_done  a query for the number of its jobs that are not done
    needs     a program that the machine must have; empty: none
    """

    name: str
    command: tuple[str, ...]
    not_done: LiteralString
    needs: str = ""

    def missing(self) -> str:
        """Why the queue cannot run; empty: it can."""
        if self.needs and not shutil.which(self.needs):
            return f"no {self.needs}"
        return "" if (FOLDER / self.name / "installed").exists() else "not installed"

    def drain_rate(self, session: Session, sink: Sink, count: int, at_once: int) -> float:
        """Messages per second of a drain. Raises WrongCount."""
        server = session.connection.info
        environment = os.environ | {
            "DATABASE_URL": f"postgresql://{server.user}@{server.host}:{server.port}/{server.dbname}",
            "NODE_PATH": str(FOLDER / self.name / "node_modules"),
        }
        arguments = (f"{sink.url}/bot{TOKEN}/sendMessage", str(count), str(at_once))
        command = (*self.command, *arguments, json.dumps(BODY))
        with logged_process(self.name, *command, env=environment):
            pass
        messages, seconds = sink.received()
        WrongCount.unless(f"messages of {self.name}", messages, count)
        WrongCount.unless(f"jobs of {self.name} not done", session.value(self.not_done), 0)
        return count / seconds


QUEUES = (
    Queue(
        "procrastinate",
        (str(FOLDER / "procrastinate/bin/python"), "-m", "sandbox.bench.procrastinate_worker"),
        "select count(*) from procrastinate_jobs where status <> 'succeeded'",
    ),
    Queue(
        "graphile-worker",
        ("node", "sandbox/bench/graphile_worker.js"),
        "select count(*) from graphile_worker.jobs",  # it deletes jobs that are done
        needs="node",
    ),
)


def drain_beside_queues(bench: Bench) -> None:
    """Drain a backlog, in turns with each queue that is installed."""
    queues = []
    for queue in QUEUES:
        if missing := queue.missing():
            bench.report.say(f"{queue.name}: {missing}; left out")
        else:
            queues.append(queue)
    if not queues:
        return
    turns = min(bench.turns.few, 3)
    bench.report.begin("draining beside queues", turns * len(DRAINED) * (1 + len(queues)))
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    counts = {at_once: min(most, bench.fleet.active) for at_once, most in DRAINED.items()}
    for _ in range(turns):
        for at_once, count in counts.items():
            with installation(bench, at_once) as (session, sink):
                rates[OURS, at_once].append(drain_rate(session, sink, count))
                bench.report.advance()
                for queue in queues:
                    with bench.databases.copy(EMPTY) as own:
                        rate = queue.drain_rate(own, sink, count, at_once)
                    rates[queue.name, at_once].append(rate)
                    bench.report.advance()
    for at_once, count in counts.items():
        for name in (OURS, *(queue.name for queue in queues)):
            _add_rate(bench, f"{name}, {at_once} at once", count, rates[name, at_once])
        for queue in queues:
            bench.ratio(
                f"draining / {queue.name}, {at_once} at once",
                rates[OURS, at_once],
                rates[queue.name, at_once],
                1 if count == DRAINED[at_once] else None,
                scale=short(count),
                at_least=True,
                unit="messages/s",
            )


def _add_rate(bench: Bench, name: str, count: int, rates: Sequence[float]) -> None:
    figure = Figure(
        f"draining, {name}", short(count), median(rates), "messages/s", None, turns=len(rates)
    )
    bench.report.add(figure)


FIGURES = (drain_beside_queues,)
