"""Whatever happens to a notification, to its messages and to those who send them, in any order:
each message ends with the truth, and nobody is alarmed after somebody has taken care.

Random scripts call the SQL functions as workers, people and passes would. The channels are a model
that knows what each message says. Every run plays the same scripts; SCRIPTS_SEED=<another number>
plays others.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from sandbox.postgres import Postgres
from tests.conftest import PATIENCE_SECONDS, TestDatabase, config, shared_database, until

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("SCRIPTS_SEED", "20261126"))
SCRIPTS = int(os.environ.get("SCRIPTS", "12"))
STEPS = 60
DRAIN_ROUNDS = 40

WORKERS = 3
GOOD_WORKER = "n:9:good#00000001"
CHAT, BOSS = -1001, -1009
RANKS = {None: 0, "acknowledged": 1, "resolved": 2}
LATER_ALARMS = ("escalation_", "reminder_")
CHANGES = ("acknowledged", "resolved")

ROUTE = {
    "match": {},
    "recipients": [{"type": "telegram", "chat_id": CHAT}, {"type": "st", "queue": "DUTY"}],
    "escalate": [
        {
            "after_seconds": 60,
            "recipients": [{"type": "telegram", "chat_id": BOSS}, {"type": "st", "queue": "LEADS"}],
        },
        {"at_factor": 9, "recipients": [{"type": "telegram", "chat_id": BOSS}]},
    ],
    "remind": {"every_seconds": 60, "times": 2},
}
WEIRD: tuple[dict[str, Any], ...] = (
    {"channels__telegram__on_resolved": "nothing", "channels__st__on_resolved": "nothing"},
    {"channels__st": None, "routes": [ROUTE | {"recipients": [ROUTE["recipients"][0]]}]},  # type: ignore[index]
    {"routes": []},
)


def document(**changes: Any) -> dict[str, Any]:
    routes = [{**ROUTE, "escalate": changes.pop("escalate", ROUTE["escalate"])}]
    return config(
        **{
            "routes": routes,
            "channels__telegram__limits": None,
            "channels__st__limits": None,
            "detection__notify_within_seconds": None,
            **changes,
        }
    )


# --- The channels, as a model -------------------------------------------------------------------


@dataclass
class Note:
    """A message, or a ticket: what it says of its notification by now, and who has made it.

    shows    the outcome that its readers see
    delivery the recipient_id
    texts    the idempotency key of each comment
    """

    reference: str
    delivery: int
    shows: str | None
    is_gone: bool = False
    texts: list[str] = field(default_factory=list)


@dataclass
class Lease:
    """A leased row. `answer` is what its worker will record; None: nothing was requested."""

    row: Mapping[str, Any]
    is_expired: bool = False
    answer: dict[str, Any] | None = None

    @property
    def id(self) -> int:
        return int(self.row["recipient_id"])

    @property
    def shows(self) -> str | None:
        if self.row["resolution"] is not None:
            return "resolved"
        return None if self.row["acknowledged_at"] is None else "acknowledged"


class Servers:
    """What Telegram and Tracker have."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}
        self.tickets: dict[str, Note] = {}

    def deliver(self, lease: Lease) -> dict[str, Any]:
        """The result of a request that was answered."""
        row = lease.row
        result: dict[str, Any] = {"state": "sent"}
        earlier = row["earlier"]
        if row["channel"] == "st" and earlier is None:
            ticket = self.tickets.get(row["idempotency_key"])
            result["is_earlier"] = ticket is not None
            if ticket is None:
                ticket = self._make(lease)
                self.tickets[row["idempotency_key"]] = ticket
            return result | {"reference": ticket.reference}
        reference = earlier and earlier["reference"]
        if row["channel"] == "st":
            assert reference is not None, "a comment on what was never made"
            ticket = self.notes[reference]
            if row["idempotency_key"] not in ticket.texts:
                ticket.texts.append(row["idempotency_key"])
                said = "acknowledged" if row["step"].startswith("acknowledged") else lease.shows
                ticket.shows = max(ticket.shows, said, key=RANKS.__getitem__)
            return result | {"reference": reference}
        if row["step"].startswith(CHANGES) and reference is not None:
            message = self.notes[reference]
            if not message.is_gone:
                assert RANKS[lease.shows] >= RANKS[message.shows], "an edit went back"
                message.shows = lease.shows
                return result | {"reference": reference}
        made = self._make(lease)
        if reference is not None and row["step"].startswith(CHANGES):
            self.notes[reference].shows = lease.shows  # the answer to it says so
        return result | {"reference": made.reference}

    def _make(self, lease: Lease) -> Note:
        note = Note(str(len(self.notes) + 1), lease.id, lease.shows)
        self.notes[note.reference] = note
        return note


# --- The world ------------------------------------------------------------------------------------


class World:
    """Workers, people and passes, one step at a time."""

    def __init__(self, database: TestDatabase, chance: Random) -> None:
        self.database = database
        self.chance = chance
        self.servers = Servers()
        self.log: list[str] = []
        self.leases: dict[str, list[Lease]] = {GOOD_WORKER: []}
        self.workers = [self._new_worker() for _ in range(WORKERS)]
        self.minutes = 0.0
        self.missions: dict[str, str] = {}  # by token of the notification
        self.is_weird = False
        self.exempt: set[int] = set()
        self.doubts: set[int] = set()  # whose request's result nobody knows
        self.held: psycopg.Connection[Any] | None = None
        self.held_by = ""
        self.execute("set lock_timeout = '20ms'; set statement_timeout = '5s'")
        self.configure()

    def end(self) -> None:
        self.rollback()
        self.execute(
            "delete from scooters_ops.missions;"
            " delete from scooters_ops.missions_history;"
            " delete from scooters_ops.monitoring_notifications;"
            " delete from scooters_ops.mission_wakeups;"
            " delete from scooters_ops.recorded_intervals;"
            " delete from scooters_ops.pending_resolutions;"
            " delete from scooters_ops.delivery_targets where address <> ''"
        )

    def execute(self, statement: str, *parameters: Any) -> None:
        self.database.connection.execute(statement, parameters or None)

    def call(self, query: str, *parameters: Any) -> Any:
        return self.database.value(query, *parameters)

    # --- What happens to couriers ---

    def notify(self) -> None:
        mission_id = f"m{len(self.missions) + 1}"
        self.database.create_mission(mission_id, 1)
        if self.chance.random() < 0.3:
            self.call("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)
            self.missions[f"{mission_id}_p1_j1_job_skipped"] = mission_id
        else:
            self.database.record("point_arrived", self.minutes, "p1", mission_id)
            self.minutes += 8
            self.missions[f"{mission_id}_p1__timeout_in_point"] = mission_id
            self.detect()

    def resolve(self) -> None:
        if mission_id := self._mission_id():
            self.minutes += 1
            self.database.record("point_completed", self.minutes, "p1", mission_id)
            self.detect()

    def withdraw(self) -> None:
        if mission_id := self._mission_id():
            self.execute(
                "delete from scooters_ops.missions_history where mission_id = %s", mission_id
            )
            self.detect()

    def detect(self) -> None:
        """A pass waits for nobody."""
        self.database.detect(self.minutes)

    def _mission_id(self) -> str | None:
        return self.chance.choice([*self.missions.values()]) if self.missions else None

    # --- What people do ---

    def acknowledge(self) -> None:
        if self.missions:
            token = self.chance.choice([*self.missions])
            with suppress(psycopg.errors.ObjectNotInPrerequisiteState):
                self.call("select scooters_ops.acknowledge(%s, 'olga')", token)

    def retry(self) -> None:
        token = self.chance.choice([None, *self.missions])
        self.call("select scooters_ops.retry_deliveries(%s)", token)

    def confirm(self) -> None:
        if self.missions:
            token = self.chance.choice([*self.missions])
            self.call("select scooters_ops.confirm_deliveries(%s, 'telegram')", token)

    def delete_message(self) -> None:
        messages = [note for note in self.servers.notes.values() if note.delivery]
        if messages and self.chance.random() < 0.5:
            self.chance.choice(messages).is_gone = True

    def configure(self, weird: Mapping[str, Any] | None = None) -> None:
        changes = dict(weird or {})
        if "channels__st" in changes:
            changes.pop("channels__st__limits", None)
        made = document(**changes)
        if weird and "channels__st" in weird:
            del made["channels"]["st"]
            made["routes"] = [
                {
                    **ROUTE,
                    "recipients": ROUTE["recipients"][:1],  # type: ignore[index]
                    "escalate": ROUTE["escalate"][1:],  # type: ignore[index]
                }
            ]
        self.is_weird = weird is not None
        self.call("select scooters_ops.apply_config(%s)", json.dumps(made))

    def reconfigure(self) -> None:
        self.configure(None if self.is_weird else self.chance.choice(WEIRD))

    # --- What workers do ---

    def plan(self) -> None:
        self.call("select scooters_ops.plan_deliveries(3)")

    def come_due(self) -> None:
        """The time of what waits for it comes, of some of it."""
        self.execute(
            "update scooters_ops.notification_recipients set next_attempt_at = now()"
            " where state = 'pending' and random() < 0.7"
        )

    def lease(self, worker: str | None = None) -> None:
        worker = worker or self.chance.choice(self.workers)
        self.record_all(worker)
        slots = {"telegram": 3, "st": 3} if worker != GOOD_WORKER else {"telegram": 50, "st": 50}
        rows = self.database.rows(
            "select * from scooters_ops.lease_deliveries(%s, %s, 60, %s)",
            worker,
            json.dumps(slots),
            json.dumps({channel: max(free // 2, 1) for channel, free in slots.items()}),
        )
        self._leased(worker, rows)

    def _leased(self, worker: str, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            if row["step"].startswith(LATER_ALARMS):
                is_settled = row["resolved_at"] or row["acknowledged_at"]
                assert not is_settled or row["is_in_doubt"], "an alarm after it was settled"
            self.leases[worker].append(Lease(row))

    def deliver(self) -> None:
        """A request, which is answered, refused, or answered when nobody listens any more."""
        if held := self._any(lambda lease: not lease.is_expired and lease.answer is None):
            self._deliver(held[1])

    def _deliver(self, lease: Lease) -> None:
        fate = self.chance.random()
        if fate < 0.15:
            state = self.chance.choice(["pending", "failed"])
            lease.answer = {"state": state, "error": "refused"}
            return
        lease.answer = self.servers.deliver(lease)
        if fate < 0.35:
            self.doubts.add(lease.id)
            doubtful = (
                ["pending", "in_doubt"] if lease.row["channel"] == "telegram" else ["pending"]
            )
            lease.answer = {
                "state": self.chance.choice(doubtful),
                "error": "half an answer",
                "is_in_doubt": True,
            }

    def record(self) -> None:
        if held := self._any(lambda lease: lease.answer is not None):
            worker, lease = held
            self._record(worker, [lease])

    def _record(self, worker: str, leases: Sequence[Lease]) -> None:
        results = [
            {
                "recipient_id": lease.id,
                "is_attempt": True,
                "delay_seconds": 0,
                **(lease.answer or {}),
            }
            for lease in leases
        ]
        self.call("select scooters_ops.record_deliveries(%s, %s)", worker, json.dumps(results))
        for lease in leases:
            self.leases[worker].remove(lease)

    def record_all(self, worker: str) -> None:
        """A worker records what it knows before it leases more, and drops the leases it lost."""
        self._record(worker, [each for each in self.leases[worker] if each.answer is not None])
        self.leases[worker] = [each for each in self.leases[worker] if not each.is_expired]

    def release(self) -> None:
        worker = self.chance.choice(self.workers)
        kept = [lease.id for lease in self.leases[worker] if lease.answer is not None]
        self.call("select scooters_ops.release_deliveries(%s, %s)", worker, kept)
        self.leases[worker] = [each for each in self.leases[worker] if each.answer is not None]

    def renew(self) -> None:
        worker = self.chance.choice(self.workers)
        asked = [lease.id for lease in self.leases[worker]]
        held = self.database.values("select scooters_ops.renew_leases(%s, %s, 60)", worker, asked)
        for lease in self.leases[worker]:
            lease.is_expired = lease.id not in held

    def expire(self) -> None:
        """A worker is stopped for longer than its leases."""
        worker = self.chance.choice(self.workers)
        self.execute(
            "update scooters_ops.notification_recipients"
            " set next_attempt_at = now() - interval '1 second'"
            " where state = 'sending' and leased_by = %s",
            worker,
        )
        for lease in self.leases[worker]:
            lease.is_expired = True
            self.doubts.add(lease.id)

    def crash(self) -> None:
        worker = self.chance.choice(self.workers)
        self.execute(
            "update scooters_ops.notification_recipients"
            " set next_attempt_at = now() - interval '1 second'"
            " where state = 'sending' and leased_by = %s",
            worker,
        )
        self.doubts.update(lease.id for lease in self.leases.pop(worker))
        if worker == self.held_by:  # its transaction ends with it
            self.rollback()
        self.workers[self.workers.index(worker)] = self._new_worker()

    def _new_worker(self) -> str:
        worker = f"n:{len(self.log)}:{len(self.leases)}#00000001"
        self.leases[worker] = []
        return worker

    def hold(self) -> None:
        """Somebody's transaction takes its time: it leases, or locks rows as others do."""
        if self.held is not None:
            self.let_go()
            return
        self.held_by = self.chance.choice(self.workers)
        self.record_all(self.held_by)
        self.held = self.database.connect()
        self.held.execute("begin")
        if self.chance.random() < 0.5:
            cursor = self.held.cursor(row_factory=dict_row)
            self._held_rows = cursor.execute(
                "select * from scooters_ops.lease_deliveries(%s, %s, 60, %s)",
                (self.held_by, json.dumps({"telegram": 2, "st": 2}), '{"telegram": 1, "st": 1}'),
            ).fetchall()
        else:
            self._held_rows = []
            self.held.execute(
                "select from scooters_ops.notification_recipients"
                " where state <> 'waiting' and random() < 0.3 order by recipient_id for update"
            )

    def let_go(self) -> None:
        if self.held is None:
            return
        if self.chance.random() < 0.7:
            self.held.execute("commit")
            self._leased(self.held_by, self._held_rows)
        self.rollback()

    def rollback(self) -> None:
        if self.held is not None:
            self.held.close()
            self.held = None

    def _any(self, wanted: Callable[[Lease], bool]) -> tuple[str, Lease] | None:
        found = [
            (name, each) for name, held in self.leases.items() for each in held if wanted(each)
        ]
        return self.chance.choice(found) if found else None

    # --- Checks ---

    def step(self, name: str) -> None:
        self.log.append(name)
        if name in ("resolve", "withdraw", "detect", "notify", "acknowledge"):
            getattr(self, name)()
        else:
            with suppress(psycopg.errors.LockNotAvailable):
                getattr(self, name)()
        if self.is_weird:
            self.exempt.update(
                self.database.values(
                    "select notification_id from scooters_ops.monitoring_notifications"
                    " where resolved_at is not null or acknowledged_at is not null"
                )
            )
        assert not self.database.values(
            "select follows from scooters_ops.notification_recipients"
            " where step ~ '^(acknowledged|resolved)' and state = 'sending'"
            " group by follows having count(*) > 1"
        ), "two changes of one message are in flight"
        self.check_summary()

    def check_summary(self) -> None:
        """`completed` and `recipients` speak of alerts alone, and are true."""
        for row in self.database.rows(
            """
            select
                notification.idempotency_token,
                notification.completed,
                notification.recipients,
                coalesce(bool_and(alert.state in ('sent', 'cancelled')), false) as are_sent,
                coalesce(
                    jsonb_agg(
                        alert.target || jsonb_build_object('sended', alert.state = 'sent')
                        order by alert.recipient_id
                    ) filter (where alert.recipient_id is not null),
                    '[]'
                ) as alerts
            from scooters_ops.monitoring_notifications as notification
            left join scooters_ops.notification_recipients as alert
                on
                    notification.notification_id = alert.notification_id
                    and alert.step = 'alert'
            group by notification.notification_id
            """
        ):
            said = (row["completed"], row["recipients"])
            assert said == (row["are_sent"], row["alerts"]), row["idempotency_token"]

    def drain(self) -> None:
        """From now on everything goes well."""
        self.let_go()
        self.configure()
        for worker in self.leases:
            self.record_all(worker)
            self.leases[worker] = []
        self.execute(
            "update scooters_ops.notification_recipients"
            " set next_attempt_at = now() - interval '1 second' where state = 'sending'"
        )
        for _ in range(DRAIN_ROUNDS):
            self.detect()
            self.plan()
            self.retry_all()
            self.execute(
                "update scooters_ops.notification_recipients set next_attempt_at = now()"
                " where state = 'pending'"
            )
            self.lease(GOOD_WORKER)
            leases = [*self.leases[GOOD_WORKER]]
            for lease in leases:
                lease.answer = self.servers.deliver(lease)
            self._record(GOOD_WORKER, leases)
            if not leases and not self.database.value(
                "select count(*) from scooters_ops.notification_recipients"
                " where state not in ('sent', 'cancelled')"
            ):
                return
        left = self.database.rows(
            "select step, state, channel, attempts, leased_by, next_attempt_at"
            " from scooters_ops.notification_recipients where state not in ('sent', 'cancelled')"
        )
        raise AssertionError(f"not drained: {left}")

    def retry_all(self) -> None:
        self.call("select scooters_ops.retry_deliveries()")

    def check_end(self) -> None:
        rows = self.database.rows(
            "select recipient.*, notification.resolved_at, notification.acknowledged_at,"
            " notification.idempotency_token as token"
            " from scooters_ops.notification_recipients as recipient"
            " inner join scooters_ops.monitoring_notifications as notification"
            " using (notification_id) order by recipient_id"
        )
        by_id = {row["recipient_id"]: row for row in rows}
        for row in rows:
            name = f"{row['token']} {row['channel']} {row['address']} {row['step']}"
            made = [
                note for note in self.servers.notes.values() if note.delivery == row["recipient_id"]
            ]
            if row["follows"] is not None and row["state"] == "sent":
                assert by_id[row["follows"]]["state"] == "sent", f"{name} follows nothing"
            if row["step"].startswith(CHANGES):
                continue
            if row["recipient_id"] not in self.doubts or row["channel"] == "st":
                assert len(made) <= 1, f"{name} was sent {len(made)} times"
            outcome = (row["resolved_at"] and "resolved") or (
                row["acknowledged_at"] and "acknowledged"
            )
            if not outcome or row["notification_id"] in self.exempt:
                continue
            if row["channel"] == "st":
                assert all(note.shows == outcome for note in made), (
                    f"{name} ({row['state']}) shows {[note.shows for note in made]}"
                )
            elif row["state"] == "sent" and row["reference"] is not None:
                shows = self.servers.notes[row["reference"]].shows
                assert shows == outcome, f"{name} shows {shows}"


ACTS = {
    "notify": 0.7,
    "resolve": 1.5,
    "withdraw": 0.5,
    "acknowledge": 2,
    "retry": 1,
    "confirm": 0.7,
    "delete_message": 0.5,
    "reconfigure": 0.7,
    "plan": 1,
    "come_due": 3,
    "lease": 8,
    "deliver": 10,
    "record": 8,
    "release": 1,
    "renew": 1,
    "expire": 1.5,
    "crash": 1,
    "hold": 2,
    "let_go": 1,
}


@pytest.fixture(scope="module")
def shared(cluster: Postgres) -> Iterator[TestDatabase]:
    with shared_database(cluster) as database:
        yield database


def test_in_whatever_order_things_happen_each_message_ends_with_the_truth(
    shared: TestDatabase,
) -> None:
    for number in range(SCRIPTS):
        seed = f"{SEED} {number}"
        chance = Random(seed)  # reproducible on purpose
        shared.value("select setseed(%s)", chance.random())
        world = World(shared, chance)
        try:
            acts = chance.choices([*ACTS], [*ACTS.values()], k=STEPS)
            for name in ("notify", "notify", "plan", "lease", *acts):
                world.step(name)
            world.log.append("drain")
            world.drain()
            world.check_end()
        except Exception as error:
            raise AssertionError(f"script {seed}: {', '.join(world.log)}: {error}") from error
        finally:
            world.end()


# --- Locks ----------------------------------------------------------------------------------------


@contextmanager
def in_thread(database: TestDatabase, query: str, *parameters: Any) -> Iterator[list[Any]]:
    """Run a statement in another session; afterwards the list has its result or its error."""
    results: list[Any] = []

    def run() -> None:
        with database.connect() as connection:
            try:
                results.append(connection.execute(query, parameters).fetchone())
            except psycopg.Error as error:
                results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield results
    thread.join(PATIENCE_SECONDS)


def waiting(database: TestDatabase, count: int) -> bool:
    return bool(
        database.value(
            "select count(*) = %s from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'",
            count,
        )
    )


def test_an_acknowledgement_and_the_record_of_an_alert_do_not_deadlock(
    database: TestDatabase,
) -> None:
    world = World(database, Random(0))
    world.notify()
    world.plan()
    world.lease(GOOD_WORKER)
    (token,) = world.missions
    results = json.dumps(
        [
            {"recipient_id": lease.id, "is_attempt": True, "delay_seconds": 0}
            | world.servers.deliver(lease)
            for lease in world.leases[GOOD_WORKER]
        ]
    )
    with database.connect() as other:
        other.execute("begin")
        other.execute("select from scooters_ops.monitoring_notifications for update")
        with in_thread(
            database, "select scooters_ops.record_deliveries(%s, %s)", GOOD_WORKER, results
        ) as recorded:
            until(lambda: waiting(database, 1))
            with in_thread(
                database, "select scooters_ops.acknowledge(%s, 'olga')", token
            ) as acknowledged:
                until(lambda: waiting(database, 2))
                other.execute("commit")
    assert [*recorded, *acknowledged] == [(3,), (True,)]
    assert not database.value(
        "select count(*) from scooters_ops.notification_recipients"
        " where step ~ '^(escalation|reminder)' and state not in ('sent', 'cancelled')"
    )


def test_a_record_does_not_wait_for_the_record_of_a_follow_up_of_the_same_notification(
    database: TestDatabase,
) -> None:
    world = World(database, Random(0))
    world.notify()
    world.plan()
    world.lease(GOOD_WORKER)
    message, ticket = world.leases[GOOD_WORKER][:2]
    message.answer = world.servers.deliver(message)
    ticket.answer = world.servers.deliver(ticket)
    world._record(GOOD_WORKER, [message])
    (token,) = world.missions
    assert database.value("select scooters_ops.acknowledge(%s, 'olga')", token)
    with database.connect() as other:
        other.execute("begin")
        other.execute(
            "update scooters_ops.notification_recipients set attempts = 1"
            " where step = 'acknowledged'"
        )
        world._record(GOOD_WORKER, [ticket])  # at once, or else lock_timeout ends it
    assert database.values(
        "select channel from scooters_ops.notification_recipients where step = 'acknowledged'"
        " order by recipient_id"
    ) == ["telegram", "st"]


def test_the_outcome_waits_for_an_acknowledgement_that_was_being_leased(
    database: TestDatabase,
) -> None:
    world = World(database, Random(0))
    while not any(token.endswith("timeout_in_point") for token in world.missions):
        world.notify()
    world.plan()
    world.lease(GOOD_WORKER)
    for lease in world.leases[GOOD_WORKER]:
        lease.answer = world.servers.deliver(lease)
    world.record_all(GOOD_WORKER)
    token, mission_id = [*world.missions.items()][-1]
    assert database.value("select scooters_ops.acknowledge(%s, 'olga')", token)
    with database.connect() as other:
        other.execute("begin")
        query = "select recipient_id, step from scooters_ops.lease_deliveries(%s, %s, 60)"
        leased = other.execute(query, ["n:7:a#1", '{"telegram": 9, "st": 9}']).fetchall()
        world.minutes += 1
        database.record("point_completed", world.minutes, "p1", mission_id)
        world.detect()
        other.execute("commit")
    assert {step.partition("_")[0] for _, step in leased} == {"acknowledged"}
    assert database.rows(query, "n:8:b#1", '{"telegram": 9, "st": 9}') == []
    results = [
        {"recipient_id": id, "state": "sent", "is_attempt": True, "delay_seconds": 0}
        for id, _ in leased
    ]
    database.value("select scooters_ops.record_deliveries('n:7:a#1', %s)", json.dumps(results))
    outcomes = database.rows(query, "n:8:b#1", '{"telegram": 9, "st": 9}')
    assert {row["step"].partition("_")[0] for row in outcomes} == {"resolved"}
    assert len(outcomes) == len(leased)
