"""Where notifiers are tortured: a private PostgreSQL, far ends that misbehave, real processes.

The far ends live in this process and outlive every notifier. Each notifier that is started has
tokens of its own, so that the far ends' ledgers tell who sent what.
"""

from __future__ import annotations

import copy
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from notifier import config as configs
from notifier.config import ROOT
from notifier.migrate import migrate
from sandbox.postgres import Postgres
from sandbox.standins import (
    Call,
    Chat,
    Entry,
    RandomFaults,
    StandIn,
    TelegramMessage,
    TelegramStandIn,
    Ticket,
    TrackerStandIn,
    Weighted,
    telegram_faults,
    tracker_faults,
)
from sandbox.torture.runner import Step
from sandbox.torture.verdict import Due, Mishap, Row, Rules, Taken, Verdict, judge

TEMPLATE = "template_torture"
LOGIN = "torture_notifier"
"""A user that is a scooters_ops_notifier and nothing else."""
BOT = "110201543"
ORGANIZATION = "8017263"
PATIENCE_SECONDS = 90.0
"""Without any progress for so long, a trial is stuck."""
PERMANENT = frozenset({400, 403, 404, 409, 412, 422, 423, 428})
"""Statuses after which a recipient may be given up for good."""
PORTION = 500
"""So many notifications are made in one transaction."""


class Stuck(Exception):
    """A trial does not come to its end."""


@dataclass(frozen=True)
class Terms:
    """What a trial is like.

    faults            the share of the requests that goes wrong by chance
    patience_seconds  after which a notifier gives up a request: so long that a busy machine alone
                      never makes it
    is_patience_tried whether by chance some answers come later than that
    answer_seconds    None: the far ends answer at once; else each answer takes so long, and
                      nothing goes wrong by chance
    """

    chats: int = 50
    queues: int = 5
    faults: float = 0.0
    in_doubt: str = "resend"
    lease_seconds: float = 5.0
    patience_seconds: float = 12.0
    is_patience_tried: bool = True
    batch_size: int = 50
    answer_seconds: float | None = None

    def chat_id(self, number: int) -> int:
        """The chat that is told of the notification with this number."""
        return -1000 - number % self.chats

    def queue(self, number: int) -> str:
        """The queue that has the ticket of the notification with this number."""
        return f"Q{number % self.chats % self.queues}"

    def config(self, telegram_url: str, tracker_url: str) -> dict[str, Any]:
        """The config of a trial: config.json, but for what makes it quick and leads it here."""
        config: dict[str, Any] = copy.deepcopy(configs.read_json(ROOT / "config.json"))
        config["routes"] = [
            {
                "match": {"zone": f"z{zone}"},
                "recipients": [
                    {"type": "telegram", "chat_id": self.chat_id(zone)},
                    {"type": "st", "queue": self.queue(zone)},
                ],
            }
            for zone in range(self.chats)
        ]
        config["channels"]["telegram"] |= {
            "base_url": telegram_url,
            "timeout_seconds": self.patience_seconds,
            "limits": None,
            "in_doubt": self.in_doubt,
        }
        config["channels"]["st"] |= {
            "base_url": tracker_url,
            "timeout_seconds": self.patience_seconds,
            "limits": None,
        }
        config["notifier"] |= {
            "poll_seconds": 1,
            "batch_size": self.batch_size,
            "lease_seconds": self.lease_seconds,
            "retry": {
                "first_seconds": 0.1,
                "factor": 2,
                "max_seconds": 2,
                "give_up_after_attempts": 1000,
            },
        }
        return config


@dataclass
class Worker:
    """A notifier's process, from its start to its end; `sender` is how the ledgers know it."""

    sender: str
    process: subprocess.Popen[bytes]
    log: Path
    started_at: float
    is_ended_by_us: bool = False
    stopped_at: float | None = None
    continue_at: float = 0.0
    peak_kib: int = 0

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def measure(self) -> None:
        """Notes the most memory that it has had so far."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            self.peak_kib = max(self.peak_kib, int(found[1]))

    def last_words(self) -> str:
        return self.log.read_text("utf-8", "replace").strip()[-500:]


class World:
    """`with World() as world:` has a private PostgreSQL with a migrated template database."""

    def __init__(self) -> None:
        self.server = Postgres(cron_database=None)
        self._numbers = iter(range(1, 1_000_000))

    def __enter__(self) -> Self:
        self.server.__enter__()
        try:
            self._prepare()
        except BaseException:
            self.server.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.__exit__(*exc_info)

    def _prepare(self) -> None:
        before = os.environ.get("DATABASE_URL")
        os.environ["DATABASE_URL"] = self.server.conninfo(TEMPLATE)
        try:
            with psycopg.connect(self.server.conninfo("postgres"), autocommit=True) as admin:
                admin.execute(f"create database {TEMPLATE}")
                migrate()
                admin.execute(f"create role {LOGIN} login in role scooters_ops_notifier")
        finally:
            if before is None:
                del os.environ["DATABASE_URL"]
            else:
                os.environ["DATABASE_URL"] = before

    @contextmanager
    def trial(self, seed: str, terms: Terms) -> Iterator[Trial]:
        """A database of its own, and far ends that know nothing yet."""
        name = f"torture_{next(self._numbers)}"
        with psycopg.connect(self.server.conninfo("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        chats = [Chat(terms.chat_id(number)) for number in range(terms.chats)]
        queues = [terms.queue(number) for number in range(terms.chats)]
        with (
            tempfile.TemporaryDirectory(prefix="torture-") as folder,
            TelegramStandIn(f"{BOT}:nobody", chats) as telegram,
            TrackerStandIn(
                "nobody", organization=("X-Org-ID", ORGANIZATION), queues=queues
            ) as tracker,
        ):
            trial = Trial(self.server, name, Path(folder), telegram, tracker, terms, seed)
            try:
                trial.set_up()
                yield trial
            finally:
                trial.close()
        with psycopg.connect(self.server.conninfo("postgres"), autocommit=True) as admin:
            admin.execute(f"drop database {name} with (force)")


@dataclass
class Trial:
    """Notifications, notifiers, and what is done to them. To be used by the thread that started
    PostgreSQL."""

    server: Postgres
    database: str
    folder: Path
    telegram: TelegramStandIn
    tracker: TrackerStandIn
    terms: Terms
    seed: str
    notifications: int = 0
    workers: list[Worker] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """What was done, by name."""
    problems: list[str] = field(default_factory=list)
    """What a verdict does not see: a notifier that ended by itself."""
    _connection: psycopg.Connection[Any] | None = None

    # --- The scene ---

    @property
    def stand_ins(self) -> tuple[StandIn, StandIn]:
        return self.telegram, self.tracker

    def set_up(self) -> None:
        """Puts the config into force and lets things go wrong."""
        config = self.terms.config(self.telegram.base_url, self.tracker.base_url)
        self.query("select scooters_ops.apply_config(%s)", json.dumps(config))
        patience = self.terms.patience_seconds if self.terms.is_patience_tried else None
        faults: list[list[Weighted]] = [
            telegram_faults(self.telegram, patience),
            tracker_faults(self.tracker, patience),
        ]
        for stand_in, its_faults in zip(self.stand_ins, faults, strict=True):
            stand_in.answer_seconds = self.terms.answer_seconds or 0.0
            if self.terms.faults:
                stand_in.chance = RandomFaults(self.seed, self.terms.faults, its_faults, name_of)

    def close(self) -> None:
        for worker in self.workers:
            if worker.is_alive:
                worker.process.kill()
                worker.process.wait()
        if self._connection is not None:
            self._connection.close()

    def query(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows, as the superuser, on a connection that is made anew when it was lost."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.server.conninfo(self.database), autocommit=True, row_factory=dict_row
            )
        cursor = self._connection.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []

    @contextmanager
    def changed(self, statement: str, *parameters: Any) -> Iterator[None]:
        """Within, the database is as the statement leaves it; afterwards as before."""
        self.query("select")
        assert self._connection is not None
        with self._connection.transaction(force_rollback=True):
            self.query(statement, *parameters)
            yield

    def notify(self, count: int) -> None:
        """A job is skipped in each of so many new missions."""
        end = self.notifications + count
        while self.notifications < end:
            first = self.notifications + 1
            last = min(self.notifications + PORTION, end)
            self.query(
                """
                select scooters_ops.create_mission(jsonb_build_object(
                    'mission_id', 'm' || n,
                    'performer_id', 'c' || n,
                    'attributes', jsonb_build_object('zone', 'z' || n %% %s),
                    'points', jsonb_build_array(jsonb_build_object(
                        'point_id', 'p1',
                        'eta_seconds', 600,
                        'jobs', jsonb_build_array(
                            jsonb_build_object('job_id', 'j1', 'type', 'pickup')
                        )
                    ))
                ))
                from generate_series(%s::integer, %s::integer) as n
                """,
                self.terms.chats,
                first,
                last,
            )
            self.query(
                "select scooters_ops.skip_job('m' || n, 'p1', 'j1')"
                " from generate_series(%s::integer, %s::integer) as n",
                first,
                last,
            )
            self.notifications = last

    # --- Notifiers ---

    def start(self, step: Step | None = None, times: int = 1) -> Worker:
        """Starts a notifier; with `step` it dies when it gets there for so many times."""
        sender = f"notifier-{len(self.workers) + 1}"
        self.telegram.more_tokens.add(f"{BOT}:{sender}")
        self.tracker.more_tokens.add(sender)
        program = ["notifier"]
        if step is not None:
            program = ["sandbox.torture.runner", step, str(times), "--"]
        # Whatever becomes of this process, no notifier outlives it.
        command = ["setpriv", "--pdeathsig=KILL", sys.executable, "-m", *program]
        command += ["--log-level", "error", "run"]
        log = self.folder / f"{sender}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.server.environment(self.database)
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
        worker = Worker(sender, process, log, time.time(), is_ended_by_us=step is not None)
        self.workers.append(worker)
        return worker

    def await_death(self, worker: Worker) -> None:
        """Until a notifier that was started with a step has come to its end there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while worker.is_alive:
            worker.measure()
            if time.monotonic() > deadline:
                raise Stuck(f"{worker.sender} does not reach its step:\n{worker.last_words()}")
            time.sleep(0.01)
        if worker.process.returncode != -signal.SIGKILL:
            raise Stuck(f"{worker.sender} ended otherwise:\n{worker.last_words()}")
        self._note("killed", worker, time.time())
        self.done["killed at a step"] += 1

    def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        worker.measure()
        worker.is_ended_by_us = True
        at = time.time()
        worker.process.kill()
        worker.process.wait()
        if worker.stopped_at is not None:
            self._note("stopped", worker, worker.stopped_at)
        self._note("killed", worker, at)
        self.done["notifier killed"] += 1

    def stop(self, worker: Worker) -> None:
        """SIGSTOP for longer than a lease; `tend` sends SIGCONT when it is time."""
        if worker.stopped_at is None and worker.is_alive:
            worker.stopped_at = time.time()
            worker.continue_at = time.time() + self.terms.lease_seconds * 1.3
            worker.process.send_signal(signal.SIGSTOP)
            self.done["notifier stopped"] += 1

    def ask_to_end(self, worker: Worker) -> None:
        """SIGTERM: it is to finish what it has begun and to end with 0, with nothing to excuse."""
        if worker.stopped_at is None and worker.is_alive:
            worker.measure()
            worker.is_ended_by_us = True
            worker.process.terminate()
            self.done["notifier restarted"] += 1

    def cut_a_connection(self, chance: random.Random) -> None:
        """Ends a notifier's session of the database."""
        pids = self.query(
            "select pid from pg_stat_activity where datname = current_database()"
            " and usename = %s order by pid",
            LOGIN,
        )
        if pids:
            self.query("select pg_terminate_backend(%s)", chance.choice(pids)["pid"])
            self.mishaps.append(Mishap("session cut", time.time(), time.time()))
            self.done["connection cut"] += 1

    def kill_postgres(self, seconds: float) -> None:
        """SIGKILL to PostgreSQL, which is started again after so many seconds."""
        began_at = time.time()
        self.server.kill()
        self._connection = None
        time.sleep(seconds)
        self.server.start()
        self.mishaps.append(Mishap("database away", began_at, time.time()))
        self.done["PostgreSQL killed"] += 1

    def take_down(self, stand_in: StandIn, seconds: float) -> None:
        """A far end refuses connections for so many seconds."""
        began_at = time.time()
        with stand_in.down():
            time.sleep(seconds)
        self.mishaps.append(Mishap("far end down", began_at, time.time()))
        self.done["far end down"] += 1

    def tend(self, notifiers: int) -> None:
        """Wakes who has slept long enough, and keeps so many notifiers alive, as systemd would."""
        now = time.time()
        for worker in self.workers:
            if worker.stopped_at is not None and worker.continue_at <= now:
                self._continue(worker)
            if worker.is_alive:
                worker.measure()
            elif not worker.is_ended_by_us:
                worker.is_ended_by_us = True
                self._look_at_end_of(worker)
        alive = [each for each in self.workers if each.is_alive and not each.is_ended_by_us]
        for _ in range(notifiers - len(alive)):
            self.start()

    def end_all(self) -> None:
        """Asks every notifier to end, and waits until the far ends have heard all that was sent."""
        for worker in self.workers:
            if worker.stopped_at is not None:
                self._continue(worker)
        alive = [each for each in self.workers if each.is_alive]
        for worker in alive:
            worker.measure()
            if not worker.is_ended_by_us:
                worker.is_ended_by_us = True
                worker.process.terminate()
        for worker in alive:
            try:
                worker.process.wait(30)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        for worker in self.workers:
            if worker.process.returncode not in (0, -signal.SIGKILL):
                self._look_at_end_of(worker)
        self.await_(lambda: all(each.is_idle for each in self.stand_ins), "open connections")

    def await_(
        self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Until the condition holds. Raises Stuck."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Stuck(f"waited in vain for {what}")
            time.sleep(0.01)

    def _continue(self, worker: Worker) -> None:
        assert worker.stopped_at is not None
        if worker.is_alive:
            worker.process.send_signal(signal.SIGCONT)
            self._note("stopped", worker, worker.stopped_at)
        worker.stopped_at = None

    def _note(self, kind: Any, worker: Worker, began_at: float) -> None:
        self.mishaps.append(Mishap(kind, began_at, time.time(), worker.sender))

    def _look_at_end_of(self, worker: Worker) -> None:
        """Notes a problem, unless the end has an excuse. Before a notifier has begun anything, the
        loss of its database is said with exit code 2, and SIGTERM is nothing special."""
        code = worker.process.returncode
        lost_the_database = any(
            each.kind in ("database away", "session cut") and each.ended_at + 5 > worker.started_at
            for each in self.mishaps
        )
        is_excused = code == -signal.SIGTERM or (code == 2 and lost_the_database)
        if is_excused and not self.entries_of(worker):
            return
        problem = f"{worker.sender} ended with {code}: {worker.last_words()}"
        if problem not in self.problems:
            self.problems.append(problem)

    # --- How far it is ---

    @property
    def taken_count(self) -> int:
        """How many messages and tickets the far ends have."""
        return len(self.telegram.messages) + len(self.tracker.tickets)

    @property
    def peak_mib(self) -> float:
        """The most memory that any notifier had."""
        return max((worker.peak_kib for worker in self.workers), default=0) / 1024

    def states(self) -> Counter[str]:
        """How many recipients are in which state; `unplanned` counts notifications."""
        rows = self.query(
            "select state, count(*) from scooters_ops.notification_recipients group by state"
            " union all select 'unplanned', count(*)"
            " from scooters_ops.monitoring_notifications where planned_at is null"
        )
        return Counter({row["state"]: row["count"] for row in rows if row["count"]})

    # --- The verdict ---

    def rules(self, *, all_sent: bool) -> Rules:
        return Rules(
            held=("telegram",) if self.terms.in_doubt == "hold" else (),
            refused=frozenset(self._refused()),
            all_sent=all_sent,
            lease_seconds=self.terms.lease_seconds,
            patience_seconds=self.terms.patience_seconds,
        )

    def verdict(self, *, all_sent: bool) -> Verdict:
        """What the far ends have against what the table says."""
        expected = {
            Due(channel, address, token_of(number))
            for number in range(1, self.notifications + 1)
            for channel, address in (
                ("telegram", str(self.terms.chat_id(number))),
                ("st", self.terms.queue(number)),
            )
        }
        rows = [
            Row(
                Due(row["channel"], row["address"], row["idempotency_token"]),
                row["state"],
                row["sent_at"],
                row["reference"],
                row["last_error"],
            )
            for row in self.query(
                "select channel, coalesce(target ->> 'chat_id', target ->> 'queue') as address,"
                " idempotency_token, state, extract(epoch from sent_at)::float as sent_at,"
                " reference, last_error from scooters_ops.notification_deliveries"
            )
        ]
        completed = {
            row["idempotency_token"]: row["completed"]
            for row in self.query(
                "select idempotency_token, completed from scooters_ops.notifications"
            )
        }
        found = judge(
            expected, rows, self.taken(), completed, self.mishaps, self.rules(all_sent=all_sent)
        )
        return replace(found, problems=[*found.problems, *self.problems])

    def taken(self) -> list[Taken]:
        """What the far ends truly have."""
        return [
            self._as_taken(stand_in, entry)
            for stand_in in self.stand_ins
            for entry in stand_in.ledger
            if entry.taken is not None
        ]

    def _as_taken(self, stand_in: StandIn, entry: Entry) -> Taken:
        patience = self.terms.patience_seconds
        fault = entry.fault
        began_at = entry.arrived_at - entry.waited_seconds
        doubt = None
        if fault is not None and (fault.hides_success or fault.delay_seconds > patience):
            doubt = fault.name
        elif (entry.answered_at or entry.arrived_at) - began_at > patience / 2:
            doubt = "the far end was too slow"
        assert entry.taken is not None
        due, reference = as_due(entry.taken)
        sender = self._sender(stand_in, entry)
        return Taken(due, entry.arrived_at, sender, reference, doubt, entry.answered_at)

    def _sender(self, stand_in: StandIn, entry: Entry) -> str:
        return stand_in.token_of(entry.call).removeprefix(f"{BOT}:")

    def entries_of(self, worker: Worker) -> list[Entry]:
        """Every request of this notifier that a far end has read."""
        return [
            entry
            for stand_in in self.stand_ins
            for entry in stand_in.ledger
            if self._sender(stand_in, entry) == worker.sender
        ]

    def recorded_since(self, at: float) -> int:
        """How many recipients were recorded as sent since then (seconds since 1970)."""
        (row,) = self.query(
            "select count(*) from scooters_ops.notification_deliveries"
            " where sent_at >= to_timestamp(%s)",
            at,
        )
        return int(row["count"])

    def held_by(self, worker: Worker) -> int:
        """How many recipients this notifier has leased, as the table says."""
        (row,) = self.query(
            "select count(*) from scooters_ops.notification_recipients"
            " where state = 'sending' and leased_by like %s",
            f"%:{worker.process.pid}:%",
        )
        return int(row["count"])

    def _refused(self) -> Iterator[Due]:
        """Those that a far end has refused for good at least once."""
        for entry in self.telegram.ledger:
            if entry.taken is None and entry.status in PERMANENT:
                text = str(entry.call.body["text"])
                yield Due("telegram", str(entry.call.body["chat_id"]), last_word(text))
        for entry in self.tracker.ledger:
            if entry.call.operation == "create" and entry.status in PERMANENT:
                body = entry.call.body
                yield Due("st", body["queue"], last_word(body["description"]))

    # --- The person who looks at what waits ---

    def decide(self) -> Counter[str]:
        """Looks at the far ends: what arrived after all is recorded as sent; the rest, doubtful or
        failed, is tried again. Returns how many of each."""
        decided: Counter[str] = Counter()
        arrived = {each.due for each in self.taken()}
        for row in self.query(
            "select channel, coalesce(target ->> 'chat_id', target ->> 'queue') as address,"
            " idempotency_token from scooters_ops.notification_deliveries"
            " where state = 'in_doubt' order by notification_id"
        ):
            due = Due(row["channel"], row["address"], row["idempotency_token"])
            if due in arrived:
                self._as_notifier(
                    "select scooters_ops.confirm_deliveries(%s, %s)", due.token, due.channel
                )
                decided["as sent"] += 1
        (row,) = self._as_notifier("select scooters_ops.retry_deliveries() as count")
        decided["retried"] += row["count"]
        return decided

    def _as_notifier(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        conninfo = make_conninfo(self.server.conninfo(self.database), user=LOGIN)
        with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, parameters or None).fetchall()


def token_of(number: int) -> str:
    """The token of the notification with this number."""
    return f"m{number}_p1_j1_job_skipped"


def name_of(call: Call) -> str:
    """What a request is about, in every run the same: its notification."""
    body = call.body if isinstance(call.body, dict) else {}
    filters = body.get("filter", {})
    about = body.get("text") or body.get("unique") or filters.get("unique")
    return last_word(str(about or call.query.get("unique", "?")))


def last_word(text: str) -> str:
    """Every template ends with the notification's token."""
    return re.sub(r"<[^>]*>|`", "", text.split()[-1])


def as_due(taken: TelegramMessage | Ticket) -> tuple[Due, str]:
    """Whom a message or a ticket has told of what, and its reference: told by what it says, for
    what is not to be believed is that its idempotency key is right."""
    if isinstance(taken, Ticket):
        return Due("st", taken.queue, last_word(taken.description)), taken.key
    return Due("telegram", str(taken.chat_id), last_word(taken.text)), str(taken.message_id)
