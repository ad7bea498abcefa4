"""One trial's database, stand-ins and notifications.

The stand-ins live in this process and outlive every notifier.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from sandbox.postgres import Postgres
from sandbox.standins import (
    Call,
    Entry,
    RandomFaults,
    StandIn,
    TelegramStandIn,
    TrackerStandIn,
    telegram_faults,
    tracker_faults,
)
from sandbox.torture.attention import TIME_ZONES, Attention, Hide, Silence
from sandbox.torture.settings import Settings
from sandbox.torture.tokens import is_timeout, name_of, token_of

LOGIN = "torture_notifier"
"""A database user whose only role is scooters_ops_notifier."""
BOT = "110201543"
ORGANIZATION = "8017263"
NOTIFICATIONS_AT_ONCE = 500
"""How many notifications one transaction makes."""


@dataclass
class Scene:
    """A database with a config, and two stand-ins. Only the thread that started PostgreSQL may use
    it.

    to_come      how many notifications there will be besides
    wave         how many come together
    told_of      how many notifications were looked at by `live`
    hidden       those among them that an override hides so far
    hides        when overrides hid timeouts
    silences     by their numbers
    is_restless  whether anybody may still place silences and change the config
    settled_at   when it was certain that a notification had been acknowledged or resolved, by token
    """

    server: Postgres
    database: str
    telegram: TelegramStandIn
    tracker: TrackerStandIn
    settings: Settings
    notifications: int = 0
    to_come: int = 0
    wave: int = 0
    told_of: int = 0
    hidden: list[int] = field(default_factory=list)
    hides: list[Hide] = field(default_factory=list)
    silences: dict[int, Silence] = field(default_factory=dict)
    is_restless: bool = False
    settled_at: dict[str, float] = field(default_factory=dict)
    _connection: psycopg.Connection[Any] | None = None

    @property
    def stand_ins(self) -> tuple[StandIn, StandIn]:
        return self.telegram, self.tracker

    def set_up(self, seed: str) -> None:
        """Apply the config and switch on the random faults."""
        self.apply(None)
        self.is_restless = self.settings.attention is not None
        timeout = self.settings.timeout_seconds if self.settings.exceeds_timeout else None
        for stand_in, faults in (
            (self.telegram, telegram_faults(self.telegram, timeout)),
            (self.tracker, tracker_faults(self.tracker, timeout)),
        ):
            stand_in.answer_seconds = self.settings.answer_seconds
            if self.settings.faults:
                stand_in.chance = RandomFaults(seed, self.settings.faults, faults, self._name_of)

    def apply(self, attention: Attention | None) -> None:
        """Apply the config, with this attention instead of that at first."""
        config = self.settings.config(self.telegram.base_url, self.tracker.base_url, attention)
        if self.hides and self.hides[-1].ends_at > time.time():
            self.hides[-1] = replace(self.hides[-1], ends_at=time.time())
        self.query("select scooters_ops.apply_config(%s)", json.dumps(config))
        if attention and attention.hidden_zones:
            self.hides.append(Hide(attention.hidden_zones, time.time()))

    def _name_of(self, call: Call) -> str:
        return name_of(call, self.tracker.ticket_of(call))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def query(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows, as the superuser; reconnects after a lost connection."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.server.conninfo(self.database), autocommit=True, row_factory=dict_row
            )
        cursor = self._connection.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def query_as_notifier(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows, as a user who may do no more than a notifier."""
        conninfo = make_conninfo(self.server.conninfo(self.database), user=LOGIN)
        with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, parameters or None).fetchall()

    @contextmanager
    def changed(self, statement: str, *parameters: Any) -> Iterator[None]:
        """Run a statement for the length of the block; it is rolled back afterwards."""
        self.query("select")
        assert self._connection is not None
        with self._connection.transaction(force_rollback=True):
            self.query(statement, *parameters)
            yield

    def next_wave(self) -> None:
        """Make the next of the notifications to come."""
        count = min(self.wave, self.to_come)
        self.to_come -= count
        self.notify(count)

    def notify(self, count: int) -> None:
        """Make this many notifications, each in a mission of its own: skipped jobs, and couriers
        who have been at a point for too long."""
        end = self.notifications + count
        while self.notifications < end:
            first = self.notifications + 1
            last = min(self.notifications + NOTIFICATIONS_AT_ONCE, end)
            self.query(
                """
                select scooters_ops.create_mission(jsonb_build_object(
                    'mission_id', 'm' || n,
                    'performer_id', 'c' || n,
                    'attributes', jsonb_strip_nulls(jsonb_build_object(
                        'zone', 'z' || n %% %s,
                        'time_zone', (%s::text[])[1 + n %% 4]
                    )),
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
                self.settings.chats,
                list(TIME_ZONES),
                first,
                last,
            )
            self.query(
                "select scooters_ops.skip_job('m' || n, 'p1', 'j1')"
                " from unnest(%s::integer[]) as n",
                [number for number in range(first, last + 1) if not is_timeout(number)],
            )
            self.query(
                "select scooters_ops.record_event('m' || n, 'point_arrived', 'p1',"
                " now() - interval '1 hour') from unnest(%s::integer[]) as n",
                [number for number in range(first, last + 1) if is_timeout(number)],
            )
            self.query("select scooters_ops.detect_timeouts()")
            self.notifications = last

    def live(self, count: int) -> None:
        """Go on with the next notifications: of four, one is acknowledged, one resolves, one
        resolves after it was acknowledged, and one is left alone. Nothing becomes of those that
        an override hides until they are no longer hidden."""
        first, last = self.told_of + 1, min(self.told_of + max(count, 0), self.notifications)
        numbers = [*self.hidden, *range(first, last + 1)]
        if not numbers:
            return
        if self.settings.attention:
            known = self.query(
                "select idempotency_token from scooters_ops.notifications"
                " where idempotency_token = any(%s)",
                [token_of(number) for number in numbers],
            )
            tokens = {row["idempotency_token"] for row in known}
            self.hidden = [number for number in numbers if token_of(number) not in tokens]
            numbers = [number for number in numbers if token_of(number) in tokens]
        acknowledged = [number for number in numbers if number % 4 in (0, 1)]
        resolved = [number for number in numbers if is_timeout(number)]
        self.query(
            "select scooters_ops.acknowledge(token, 'olga') from unnest(%s::text[]) as token",
            [token_of(number) for number in acknowledged],
        )
        self._settle(token_of(number) for number in acknowledged)
        if resolved:
            self.query(
                "select scooters_ops.record_event('m' || n, 'point_completed', 'p1')"
                " from unnest(%s::integer[]) as n",
                resolved,
            )
            self.query("select scooters_ops.detect_timeouts()")
            over = self.query(
                "select idempotency_token from scooters_ops.notifications"
                " where resolved_at is not null and idempotency_token = any(%s)",
                [token_of(number) for number in resolved],
            )
            self._settle(row["idempotency_token"] for row in over)
        self.told_of = last

    def end_waits(self) -> bool:
        """Run a pass for what was locked during the one before. Whether all that ended is now
        resolved, and nothing is hidden."""
        self.query("select scooters_ops.detect_timeouts()")
        (row,) = self.query("select count(*) from scooters_ops.pending_resolutions")
        return int(row["count"]) == 0 and not self.hidden

    def place_silence(self, match: dict[str, str], seconds: float) -> Silence:
        """Silence what matches."""
        (placed,) = self.query(
            "select scooters_ops.silence(%s, make_interval(secs => %s), 'works', 'ivan') as id",
            json.dumps(match),
            seconds,
        )
        placed_at = time.time()
        (row,) = self.query(
            "select extract(epoch from ends_at)::float as ends_at from scooters_ops.silences"
            " where silence_id = %s",
            placed["id"],
        )
        silence = Silence(placed["id"], match, placed_at, row["ends_at"], row["ends_at"])
        self.silences[silence.silence_id] = silence
        return silence

    def end_silence(self, silence: Silence) -> None:
        """End a silence early, unless it is over."""
        began_at = time.time()
        (row,) = self.query(
            "select scooters_ops.unsilence(%s, 'ivan') as is_ended", silence.silence_id
        )
        if row["is_ended"]:
            self.silences[silence.silence_id] = replace(
                silence, ends_from=began_at, ends_by=time.time()
            )

    def active_silences(self) -> list[Silence]:
        """Those that are not over."""
        return [each for each in self.silences.values() if each.ends_from > time.time()]

    def disturb(self, attention: Attention) -> None:
        """Change the config, and let a pass find what it no longer hides."""
        self.apply(attention)
        self.query("select scooters_ops.detect_timeouts()")

    def calm(self) -> None:
        """From now on nobody changes anything: no override hides a timeout, no silence lasts."""
        self.is_restless = False
        for silence in self.active_silences():
            self.end_silence(silence)
        self.disturb(Attention({}, early_from=datetime.now(UTC)))

    def random_match(self, chance: random.Random) -> dict[str, str]:
        """What a silence is about: a zone, a type, a time, or two of these."""
        match = {
            "zone": f"z{chance.randrange(self.settings.chats)}",
            "type": chance.choice(("timeout_in_point", "job_skipped")),
            "at": chance.choice(("early", "late")),
        }
        keys = chance.choice((("zone",), ("zone",), ("type",), ("zone", "at"), ("type", "at")))
        return {key: match[key] for key in keys}

    def random_attention(self, chance: random.Random) -> Attention:
        """What a config says instead."""
        return Attention.any(chance, self.settings.chats)

    def _settle(self, tokens: Iterable[str]) -> None:
        for token in tokens:
            self.settled_at.setdefault(token, time.time())

    @property
    def delivered_count(self) -> int:
        """How many messages and tickets the stand-ins have."""
        return len(self.telegram.messages) + len(self.tracker.tickets)

    @property
    def accepted_count(self) -> int:
        """How many messages, tickets, edits and comments the stand-ins have."""
        return self.delivered_count + len(self.telegram.edits) + len(self.tracker.comments)

    def states(self) -> Counter[str]:
        """How many recipients are in each state; `unplanned` counts notifications, `silenced` what
        a silence holds."""
        rows = self.query(
            "select case when holding.silence_id is not null then 'silenced' else state end"
            " as state, count(*) from scooters_ops.notification_recipients as recipient"
            " left join scooters_ops.active_silences as holding on"
            " holding.silence_id = recipient.silence_id and state = 'pending' and attempts = 0"
            " and follows is null group by 1"
            " union all select 'unplanned', count(*)"
            " from scooters_ops.monitoring_notifications where planned_at is null"
        )
        return Counter({row["state"]: row["count"] for row in rows if row["count"]})

    def entries_of(self, sender: str) -> list[Entry]:
        """Every request of this notifier that a stand-in has read."""
        return [
            entry
            for stand_in in self.stand_ins
            for entry in stand_in.ledger
            if self.sender_of(stand_in, entry) == sender
        ]

    def sender_of(self, stand_in: StandIn, entry: Entry) -> str:
        """The notifier that sent a request: each has tokens of its own."""
        return stand_in.token_of(entry.call).removeprefix(f"{BOT}:")

    def recorded_since(self, at: float) -> int:
        """How many recipients were recorded as sent since this time (seconds since 1970)."""
        (row,) = self.query(
            "select count(*) from scooters_ops.notification_steps"
            " where sent_at >= to_timestamp(%s)",
            at,
        )
        return int(row["count"])

    def leased_by(self, pid: int) -> int:
        """How many recipients the notifier with this process id has leased."""
        (row,) = self.query(
            "select count(*) from scooters_ops.notification_recipients"
            " where state = 'sending' and leased_by like %s",
            f"%:{pid}:%",
        )
        return int(row["count"])
