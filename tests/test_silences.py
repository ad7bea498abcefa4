"""Silences: what they hold waits, and nothing is lost or told twice."""

from __future__ import annotations

import json

from tests.conftest import TestDatabase

PLACE = "select scooters_ops.silence(%s, %s::interval, %s, %s)"


def test_x(database: TestDatabase) -> None:
    for line in (1,):
        database.create_mission("m1", 1, attributes={"city": "Moscow"})
        database.value(PLACE, json.dumps({"city": "Moscow"}), "2 hours", "works", "ops")
        database.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
        database.value("select scooters_ops.plan_deliveries(100)")
        print(database.rows("select * from scooters_ops.notification_steps"))
        print(database.rows("select * from scooters_ops.silence_status"))
        print(database.rows('select * from scooters_ops.preview_silence(\'{"city": "Moscow"}\')'))
        print(database.value("select scooters_ops.unsilence(1)"))
        print(database.rows("select * from scooters_ops.notification_steps"))
        raise SystemError
