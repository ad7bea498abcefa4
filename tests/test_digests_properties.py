"""Whatever happens to alerts that go together, to their messages and to those who send them, in any
order: every alert is told, none twice where the outcome was certain, and each row has the reference
of a message that tells of it.

The world of test_steps_properties, where alerts come in crowds, digest_above changes, and silences
come and go. Every run plays the same scripts; SCRIPTS_SEED=<another number> plays others.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, shared_database
from tests.test_steps_properties import (
    ACTS,
    GOOD_WORKER,
    SEED,
    STEPS,
    Lease,
    Note,
    Servers,
    World,
    document,
)

pytestmark = pytest.mark.slow

SCRIPTS = int(os.environ.get("SCRIPTS", "10"))
DIGESTS = (None, 1, 2, 4)
SILENCES = {"silence": 1, "unsilence": 1.5}
OLD_WORKERS = 0.15
"""The share of leases by notifiers that know no digests."""


@dataclass
class DigestNote(Note):
    """told: the recipients of the alerts that it tells of."""

    told: frozenset[int] = frozenset()


@dataclass
class DigestLease(Lease):
    """members: the recipients that it stands for, itself included."""

    members: frozenset[int] = field(default_factory=frozenset)

    @property
    def shows(self) -> str | None:
        digest = self.row["digest"]
        if digest is None:
            return super().shows
        skips = sum(each["alerts"] for each in digest["types"] if each["type"] == "job_skipped")
        timeouts = digest["alerts"] - skips
        return "resolved" if timeouts and digest["resolved"] == timeouts else None


class DigestServers(Servers):
    def deliver(self, lease: Lease) -> dict[str, Any]:
        earlier = lease.row["earlier"]
        if earlier and earlier["reference"] is not None:
            note = self.notes[earlier["reference"]]
            if isinstance(note, DigestNote) and len(note.told) > 1:
                assert lease.row["digest"], "a message of many would become one of one"
                assert lease.row["step"] == "resolved", "nothing else follows a digest"
        return super().deliver(lease)

    def _make(self, lease: Lease) -> Note:
        assert isinstance(lease, DigestLease)
        told = lease.members if lease.row["earlier"] is None else frozenset[int]()
        reference = str(len(self.notes) + 1)
        note = DigestNote(reference, lease.id, lease.shows, told=told)
        self.notes[reference] = note
        return note


class DigestWorld(World):
    def __init__(self, database: TestDatabase, chance: Random) -> None:
        self.members: dict[int, set[int]] = defaultdict(set)
        super().__init__(database, chance)
        self.servers = DigestServers()
        self.digests = 0

    def notify(self) -> None:
        for _ in range(self.chance.choice((1, 3, 6))):
            super().notify()

    def configure(self, weird: Mapping[str, Any] | None = None) -> None:
        above = self.chance.choice(DIGESTS)
        made = document(channels__telegram__digest_above=above, channels__st__digest_above=above)
        self.call("select scooters_ops.apply_config(%s)", json.dumps(made))

    def reconfigure(self) -> None:
        self.configure()

    def silence(self) -> None:
        missions = [*self.missions.values()]
        matches: list[dict[str, Any]] = [{"type": "timeout_in_point"}, {"type": "job_skipped"}]
        if missions:
            matches.append({"mission_id": [*{*self.chance.choices(missions, k=4)}]})
        match = json.dumps(self.chance.choice(matches))
        self.call("select scooters_ops.silence(%s, '1 hour', 'works', 'ops')", match)

    def unsilence(self) -> None:
        if silences := self.database.values(
            "select silence_id from scooters_ops.silence_status where is_active"
        ):
            self.call("select scooters_ops.unsilence(%s, 'olga')", self.chance.choice(silences))

    def plan(self) -> None:
        self.call("select scooters_ops.plan_deliveries(50)")

    def lease(self, worker: str | None = None) -> None:
        is_good = worker == GOOD_WORKER
        worker = worker or self.chance.choice(self.workers)
        self.record_all(worker)
        free = 50 if is_good else 3
        is_old = not is_good and self.chance.random() < OLD_WORKERS
        rows = self.database.rows(
            "select * from scooters_ops.lease_deliveries(%s, %s, 60, %s, %s)",
            worker,
            json.dumps({"telegram": free, "st": free}),
            json.dumps({"telegram": free // 2, "st": free // 2}),
            [] if is_old else ["telegram", "st"],
        )
        assert not is_old or not any(row["digest"] for row in rows)
        self._leased(worker, rows)

    def _leased(self, worker: str, rows: Sequence[Mapping[str, Any]]) -> None:
        super()._leased(worker, rows)
        leases = self.leases[worker]
        leases[len(leases) - len(rows) :] = [self._with_members(row) for row in rows]

    def _with_members(self, row: Mapping[str, Any]) -> DigestLease:
        id = row["recipient_id"]
        members = {id}
        if row["digest"] is not None and row["earlier"] is None:
            members |= set(
                self.database.values(
                    "select recipient_id from scooters_ops.notification_recipients"
                    " where digest_id = %s and follows is null",
                    id,
                )
            )
            self.digests += 1
            assert len(members) == row["digest"]["alerts"] > 1
            settled = row["digest"]["settled"]
            is_frozen = row["is_in_doubt"] or id in self.doubts
            assert settled in (0, len(members)) or is_frozen, "one should have dropped out"
        self.members[id] |= members
        return DigestLease(row, members=frozenset(members))

    def drain(self) -> None:
        """In every other script all that goes on comes to an end first."""
        if self.chance.random() < 0.5:
            self.let_go()
            for mission_id in {*self.missions.values()}:
                self.minutes += 1
                self.database.record("point_completed", self.minutes, "p1", mission_id)
        self.let_go()
        self.execute(
            "select scooters_ops.unsilence(silence_id, 'olga') from scooters_ops.silence_status"
            " where is_active"
        )
        super().drain()

    def end(self) -> None:
        super().end()
        self.execute("delete from scooters_ops.silences")

    def check_members(self) -> None:
        """No row waits for a digest that is not under way."""
        lost = self.database.values(
            "select member.recipient_id from scooters_ops.notification_recipients as member"
            " left join scooters_ops.notification_recipients as leader"
            " on member.digest_id = leader.recipient_id"
            " where member.step = 'alert' and member.state = 'waiting' and not coalesce("
            " leader.state in ('pending', 'sending') and leader.digest_id = leader.recipient_id,"
            " false)"
        )
        assert not lost, f"nobody will ever tell of {lost}"

    def step(self, name: str) -> None:
        super().step(name)
        self.check_members()

    def check_end(self) -> None:
        rows = self.database.rows(
            "select recipient.*, notification.resolved_at, notification.acknowledged_at,"
            " notification.type::text as type, notification.idempotency_token as token"
            " from scooters_ops.notification_recipients as recipient"
            " inner join scooters_ops.monitoring_notifications as notification"
            " using (notification_id) order by recipient_id"
        )
        doubtful = set().union(*(self.members[id] | {id} for id in self.doubts))
        notes = [note for note in self.servers.notes.values() if isinstance(note, DigestNote)]
        by_id = {row["recipient_id"]: row for row in rows}
        for row in rows:
            if row["step"] != "alert":
                continue
            if row["state"] == "cancelled":  # it resolved while a silence held it
                assert row["silence_id"] is not None
                assert row["resolved_at"] is not None
                continue
            name = f"{row['token']} {row['channel']} ({row['state']})"
            telling = [note for note in notes if row["recipient_id"] in note.told]
            assert telling, f"{name} was never told"
            if row["recipient_id"] not in doubtful:
                assert len(telling) == 1, f"{name} was told {len(telling)} times"
            if row["digest_id"] is not None:
                leader = by_id[row["digest_id"]]
                assert (leader["state"], leader["reference"]) == (row["state"], row["reference"])
            if row["reference"] is None:  # a person found it
                continue
            note = self.servers.notes[row["reference"]]
            assert note in telling, f"{name} has the reference of a message that does not say it"
            if row["digest_id"] is None:
                outcome = (row["resolved_at"] and "resolved") or (
                    row["acknowledged_at"] and "acknowledged"
                )
                assert not outcome or note.shows == outcome, f"{name} shows {note.shows}"
                continue
            told = [by_id[id] for id in note.told if by_id[id]["type"] != "job_skipped"]
            are_over = bool(told) and all(each["resolved_at"] for each in told)
            assert not are_over or note.shows == "resolved", f"{name} does not show the end"


@pytest.fixture(scope="module")
def shared(cluster: Postgres) -> Iterator[TestDatabase]:
    with shared_database(cluster) as database:
        yield database


def test_in_whatever_order_things_happen_each_alert_is_told_and_has_its_message(
    shared: TestDatabase,
) -> None:
    digests = 0
    for number in range(SCRIPTS):
        seed = f"{SEED} {number}"
        chance = Random(seed)  # reproducible on purpose
        shared.value("select setseed(%s)", chance.random())
        world = DigestWorld(shared, chance)
        try:
            acts = chance.choices([*ACTS, *SILENCES], [*ACTS.values(), *SILENCES.values()], k=STEPS)
            for name in ("notify", "notify", "plan", "lease", *acts):
                world.step(name)
            world.log.append("drain")
            world.drain()
            world.check_end()
            digests += world.digests
        except Exception as error:
            raise AssertionError(f"script {seed}: {', '.join(world.log)}: {error}") from error
        finally:
            world.end()
    assert digests > 2 * SCRIPTS, "the scripts hardly ever make digests"
