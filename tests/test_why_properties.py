"""Whatever happens, why says what happened: what was reported ends in its deliveries, and what was
not reported has exactly one answer that is no, and that no is true.

The scripts are those of the tests of detection and of steps. SCRIPTS_SEED=<another number> plays
others.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Postgres
from tests import test_detection_properties as detection
from tests import test_steps_properties as delivery
from tests.conftest import TestDatabase, shared_database

pytestmark = pytest.mark.slow(seconds=12)

DETECTION_SCRIPTS = 16
STEPS_BETWEEN_QUESTIONS = 3
OFTEN = {"change_notify_within": 6, "plan_job": 3}
DELIVERY_SCRIPTS = 3
DELIVERY_STEPS = 45
LONG_AGO = datetime.min.replace(tzinfo=UTC)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def shared(cluster: Postgres) -> Iterator[TestDatabase]:
    with shared_database(cluster) as database:
        database.connection.execute("set lock_timeout = '20s'")
        yield database


class Sentences:
    """The sentence of each reason, and that nothing is missing in any."""

    def __init__(self, database: TestDatabase) -> None:
        self.of = {
            row["reason"]: row["sentence"]
            for row in database.rows("select * from scooters_ops.why_sentences()")
        }

    def check(self, row: Mapping[str, Any]) -> None:
        printed = set(re.findall(r"\{(\w+)\}", self.of[row["reason"]]))
        assert printed == set(row["facts"]), row


def answers(database: TestDatabase, as_of: datetime | None) -> dict[tuple[str, int], list[Row]]:
    """The answers about everything that anybody knows of, by mission and subject."""
    rows = database.rows(
        "select mission.mission_id, found.*, found.type::text as type from ("
        " select mission_id from scooters_ops.missions"
        " union select mission_id from scooters_ops.recorded_intervals"
        " union select mission_id from scooters_ops.monitoring_notifications"
        ") as mission cross join lateral"
        " scooters_ops.why_facts(mission.mission_id, coalesce(%s, now())) as found"
        " order by mission.mission_id, found.subject, found.n",
        as_of,
    )
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["mission_id"], row["subject"]].append(row)
    return groups


# --- Detection ------------------------------------------------------------------------------------


class DetectionWorld(detection.World):
    """The world of the tests of detection, which asks why after each step."""

    def __init__(self, database: TestDatabase, sentences: Sentences, *, is_eager: bool) -> None:
        super().__init__(database, is_eager=is_eager)
        self.sentences = sentences
        self.news_since: dict[datetime, datetime] = {}
        """By each pass: what was no news to it."""
        self.seen: Counter[str] = Counter()

    def detect(self, passed: int, microseconds: int) -> None:
        self.as_of += timedelta(seconds=passed, microseconds=microseconds)
        self.check()
        self.pass_as_of(self.as_of)
        self.check()

    def pass_as_of(self, as_of: datetime) -> None:
        if self.enabled:
            within = self.notify_within
            self.news_since[as_of] = (
                LONG_AGO if within is None else as_of - timedelta(seconds=within)
            )
        super().pass_as_of(as_of)

    def horizon(self) -> datetime:
        found: datetime | None = self.database.value(
            "select max(news_since) from scooters_ops.news_horizon"
            " where news_since <= now() and isfinite(news_since)"
        )
        return found or LONG_AGO

    def truth(self, row: Mapping[str, Any], is_recorded: bool) -> str | None:
        """Which question has the answer no; None: it was reported. By what is recorded, or by the
        view where no pass has recorded it."""
        if is_recorded and row["notification_id"] is not None:
            return None
        end = row["finished_at"] or self.as_of
        if row["eta"] is None:
            return "eta"
        if not (row["deadline"] and end > row["deadline"]):
            return "over_limit"
        horizon = self.horizon()
        if is_recorded and row["is_judged"]:
            news_since = max(self.news_since[row["seen_at"]], horizon)
            assert row["deadline"] < news_since, "judged as no news, and it was"
            return "news"
        if not (self.enabled and self.timeouts[row["type"]]["enabled"]):
            return "enabled"
        within = self.notify_within
        if row["deadline"] < horizon or (
            within is not None and row["deadline"] < self.as_of - timedelta(seconds=within)
        ):
            return "news"
        return "noticed"

    def check(self) -> None:
        recorded = self.database.rows(
            "select *, type::text as type from scooters_ops.recorded_intervals"
        )
        names = {(row["mission_id"], row["type"], row["from_point_id"]) for row in recorded}
        live = [
            row
            for row in self.intervals()
            if (row["mission_id"], row["type"], row["from_point_id"] or "") not in names
        ]
        told = self.database.rows(
            "select notification_id, mission_id, type::text as type, idempotency_token, point_id,"
            " (details ->> 'started_at')::timestamptz as started_at"
            " from scooters_ops.monitoring_notifications"
        )
        reported = {row["idempotency_token"] for row in told}
        expected: list[Any] = []
        for row in recorded:
            expected.append((row, self.truth(row, is_recorded=True)))
        for row in live:
            is_told = any(
                each["mission_id"] == row["mission_id"]
                and each["type"] == row["type"]
                and (
                    each["started_at"] == row["started_at"]
                    or (each["point_id"] == row["point_id"] and row["is_overdue"])
                )
                for each in told
            )
            expected.append((row, None if is_told else self.truth(row, is_recorded=False)))

        groups = answers(self.database, self.as_of)
        found: dict[tuple[Any, ...], list[list[Row]]] = defaultdict(list)
        tokens: list[str] = []
        # Of two intervals that share a notification, it tells of the one that it names.
        named = {
            each["idempotency_token"]: each["started_at"]
            for each in told
            if any(
                (row["notification_id"], row["started_at"])
                == (each["notification_id"], each["started_at"])
                for row in recorded
            )
        }
        for (mission_id, _), rows in groups.items():
            first = rows[0]
            nos = [row["question"] for row in rows if row["answer"] == "no"]
            assert len(nos) <= 1, rows
            assert not nos or rows[-1]["answer"] == "no", rows
            for row in rows:
                self.sentences.check(row)
                self.seen[row["reason"]] += 1
                if (row["question"], row["answer"]) == ("reported", "yes"):
                    token = row["facts"]["token"]
                    tokens.append(token)
                    assert named.get(token, row["started_at"]) == row["started_at"]
            name = (mission_id, first["type"], first["point_id"], first["started_at"])
            found[name].append(rows)
        assert sorted(tokens) == sorted(reported)
        for row, no in expected:
            name = (row["mission_id"], row["type"], row["point_id"], row["started_at"])
            nos = [
                [each["question"] for each in rows if each["answer"] == "no"]
                for rows in found[name]
            ]
            assert ([] if no is None else [no]) in nos, (row, no, found[name])


def test_of_what_was_not_reported_exactly_one_answer_is_no_and_true(shared: TestDatabase) -> None:
    sentences = Sentences(shared)
    detection.World(shared, is_eager=False).apply_config()
    shared.connection.execute(
        "delete from scooters_ops.configs"
        " where config_id < (select max(config_id) from scooters_ops.configs)"
    )
    seen: Counter[str] = Counter()
    for number in range(DETECTION_SCRIPTS):
        chance = Random(f"why {detection.SEED} {number}")  # reproducible on purpose
        weights = [OFTEN.get(name, weight) for name, (weight, _) in detection.MENU.items()]
        names = chance.choices([*detection.MENU], weights, k=detection.STEPS)
        world = DetectionWorld(shared, sentences, is_eager=False)
        played: list[str] = []
        try:
            for place, name in enumerate(names):
                arguments = detection.MENU[name][1](chance)
                played.append(f"{name}({arguments})")
                world.step(name, arguments)
                if place % STEPS_BETWEEN_QUESTIONS == 0:
                    world.check()
        except AssertionError as problem:
            steps = "\n    ".join(played)
            raise AssertionError(f"script {number}:\n    {steps}\n{problem}") from problem
        finally:
            world.end()
        seen += world.seen
    # The scripts reach what they are for.
    assert seen.keys() >= {
        "eta_none", "eta_config", "eta_override", "eta_default", "eta_leg", "eta_legs",
        "eta_changed", "rule_default", "rule_default_minimum", "rule_override", "in_time",
        "in_time_so_far", "over", "over_when_noticed", "detection_disabled", "history_judged",
        "news", "unseen_woken", "noticed", "reported",
    }, seen  # fmt: skip


# --- Delivery -------------------------------------------------------------------------------------


def check_deliveries(database: TestDatabase, sentences: Sentences) -> set[str]:
    """Each step of each notification is listed once, with its state; returns the reasons."""
    reasons: set[str] = set()
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for rows in answers(database, None).values():
        token = None
        for row in rows:
            sentences.check(row)
            reasons.add(row["reason"])
            if (row["question"], row["answer"]) == ("reported", "yes"):
                token = row["facts"]["token"]
                found[token] = []
            elif row["question"].startswith("step_"):
                facts = row["facts"]
                assert token is not None
                step = row["question"].removeprefix("step_")
                found[token].append((step, facts["channel"], facts["address"], row["answer"]))
    expected: dict[str, list[tuple[str, str, str, str]]] = {
        token: []
        for token in database.values("select idempotency_token from scooters_ops.notifications")
    }
    for row in database.rows(
        "select step.*, coalesce(recipient.sent_to, recipient.address) as address"
        " from scooters_ops.notification_steps as step"
        " inner join scooters_ops.notification_recipients as recipient using (recipient_id)"
    ):
        expected[row["idempotency_token"]].append(
            (row["step"], row["channel"], row["address"], row["state"])
        )
    assert {token: sorted(steps) for token, steps in found.items()} == {
        token: sorted(steps) for token, steps in expected.items()
    }
    return reasons


def test_what_was_reported_ends_in_its_deliveries(cluster: Postgres) -> None:
    with shared_database(cluster) as database:
        sentences = Sentences(database)
        seen: set[str] = set()
        for number in range(DELIVERY_SCRIPTS):
            chance = Random(f"why {delivery.SEED} {number}")  # reproducible on purpose
            database.value("select setseed(%s)", chance.random())
            world = delivery.World(database, chance)
            acts = chance.choices([*delivery.ACTS], [*delivery.ACTS.values()], k=DELIVERY_STEPS)
            try:
                for name in ("notify", "notify", "plan", "lease", *acts):
                    world.step(name)
                    seen |= check_deliveries(database, sentences)
                world.drain()
                seen |= check_deliveries(database, sentences)
            except (AssertionError, psycopg.Error) as error:
                played = ", ".join(world.log)
                raise AssertionError(f"script {number}: {played}: {error}") from error
            finally:
                world.end()
        assert seen >= {
            "step_sent", "step_shown", "step_sending", "step_retrying", "step_later",
            "step_no_notifier", "step_waits_message", "step_cancelled_acknowledged",
            "step_cancelled_resolved", "route_decided", "planned",
        }, seen  # fmt: skip
