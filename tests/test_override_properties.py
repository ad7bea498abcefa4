"""For any missions, attributes, matches and calendars, also when clocks change, the SQL gives each
interval the same rule and limit as the reference, and the same matches hold.

Every run uses the same examples. HYPOTHESIS_SEED=<another number> makes others.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st
from psycopg.types.json import Json

from tests import reference
from tests.conftest import TestDatabase, at
from tests.reference import BETWEEN_POINTS, IN_POINT, Config
from tests.reference_matches import DAYS, Calendar, Calendars, Match, Override, holds
from tests.test_interval_properties import (
    SEED,
    Case,
    anywhere,
    as_json,
    configs,
    durations,
    fleets,
    intervals_by_sql,
    sorted_by_text,
    write,
)

pytestmark = pytest.mark.slow(seconds=15)

# Each example applies a config, and reads the names of all time zones for its calendars.
EXAMPLES = 40
IN_A_DATABASE = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
"""What a property needs whose examples share a database."""
FACTS_OF_AN_EXAMPLE = 20

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata")
CLOCK_CHANGES = tuple(
    datetime.fromisoformat(text)
    for text in (
        # Europe/Berlin: 02:00 becomes 03:00; 03:00 becomes 02:00.
        "2026-03-29T01:00Z",
        "2026-10-25T01:00Z",
        # America/New_York: 02:00 becomes 03:00; 02:00 becomes 01:00.
        "2026-03-08T07:00Z",
        "2026-11-01T06:00Z",
        # Australia/Lord_Howe: 02:00 becomes 02:30; 02:00 becomes 01:30.
        "2026-10-03T15:30Z",
        "2026-04-04T15:00Z",
        # No clock changes.
        "2026-01-14T12:00Z",
    )
)
QUARTER = timedelta(minutes=15)

# 5, 5.0 and "5", true and 1, "Omsk" and "omsk" are there to be confused.
TEXTS = ("Omsk", "omsk", "5", "true", "")
NUMBERS = (0, 1, 5, 5.0, 2.5)
scalars = st.sampled_from((*TEXTS, *NUMBERS, True, False))
ZONE_TEXTS = (*ZONES, "europe/berlin", "Mars/Olympus", "Europe/Berlin ", "")
NESTED: tuple[Any, ...] = (None, [], ["Omsk"], {}, {"city": "Omsk"}, [[5]])
attribute_values = scalars | st.sampled_from(NESTED)
attributes = st.fixed_dictionaries(
    {},
    optional={
        "city": attribute_values,
        "zone": attribute_values,
        "time_zone": st.sampled_from((*ZONE_TEXTS, *ZONES, *NESTED, 5)),
        # A match on these asks for the mission's own.
        "performer_id": st.just("c2"),
        "type": st.just(IN_POINT),
    },
)
performers = st.sampled_from(["c1", "c2", "5"])
CALENDARS = ("night", "peak", "other")

T = TypeVar("T")


def one_or_list(values: st.SearchStrategy[T]) -> st.SearchStrategy[T | list[T]]:
    return values | st.lists(values, min_size=1, max_size=3)


def matches(types: tuple[str, ...], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Match]:
    """Matches of up to three keys, every second one of a time, mostly of nothing else."""
    keys = {
        "city": one_or_list(scalars),
        "zone": one_or_list(scalars),
        "nobody_has_it": one_or_list(scalars),
        "mission_id": one_or_list(st.sampled_from(["m0", "m1"])),
        "performer_id": one_or_list(performers | st.just(5)),
        "point_id": one_or_list(anywhere | st.just(5)),
        "type": one_or_list(st.sampled_from(types)),
        "at": one_or_list(st.sampled_from(CALENDARS)),
        **more,
    }
    any_keys = st.lists(st.sampled_from(sorted(keys)), max_size=3, unique=True)
    return st.one_of(st.just(["at"]), any_keys).flatmap(
        lambda chosen: st.fixed_dictionaries({key: keys[key] for key in chosen})
    )


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    # Most begin or end near the hours at which clocks change.
    begins = draw(st.sampled_from(["00:00", "01:00", "01:30", "02:00", "02:30", "22:00", "09:15"]))
    ends = draw(
        st.sampled_from(
            ["00:00", "01:45", "02:00", "02:15", "02:30", "03:00", "07:00", "23:59", "24:00"]
        ).filter(lambda ends: ends != begins)
    )
    return Calendar(
        begins,
        ends,
        tuple(draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=6, unique=True)))
        if draw(st.booleans())
        else DAYS,
        **draw(
            st.sampled_from(
                [
                    {},
                    {"zone_attribute": "time_zone"},
                    *({"time_zone": zone} for zone in ZONES),
                    {"zone_attribute": "time_zone"},
                ]
            )
        ),
    )


timeout_types = st.sampled_from([IN_POINT, BETWEEN_POINTS])
override_rules: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "factors": st.dictionaries(timeout_types, st.sampled_from([0.25, 1.1, 3, 7.5])),
        "minimums": st.dictionaries(timeout_types, durations),
        "job_etas": st.dictionaries(
            st.sampled_from(["battery_exchange", "pickup", "inspection"]), durations, max_size=2
        ),
        "default_job_eta": st.none() | durations,
    }
)


@st.composite
def configs_with_overrides(draw: st.DrawFn) -> Config:
    listed = draw(st.lists(matches((IN_POINT, BETWEEN_POINTS)), min_size=1, max_size=8))
    return replace(
        draw(configs),
        overrides=[
            Override(f"rule {n}", match, **draw(override_rules)) for n, match in enumerate(listed)
        ],
        calendars=Calendars(
            {name: draw(calendars()) for name in CALENDARS}, draw(st.sampled_from(ZONES))
        ),
    )


def stretched(base: datetime, moment: datetime) -> datetime:
    """The minutes of the fleet's day become hours around the base."""
    return base + (moment - at(10)) * 30


@st.composite
def fleets_around_clock_changes(draw: st.DrawFn) -> tuple[list[Case], datetime]:
    """Missions whose events are mostly a quarter of an hour apart, and when they are over."""
    base = draw(st.sampled_from(CLOCK_CHANGES))
    fleet = [
        (
            replace(
                mission,
                mission_id=f"m{n}",
                performer_id=draw(performers),
                attributes=draw(attributes),
            ),
            [replace(event, occurred_at=stretched(base, event.occurred_at)) for event in history],
        )
        for n, (mission, history) in enumerate([*draw(fleets()), *draw(fleets()), *draw(fleets())])
    ]
    return fleet, base + timedelta(days=10)


facts = st.fixed_dictionaries(
    {
        "type": st.sampled_from([IN_POINT, BETWEEN_POINTS, "job_skipped"]),
        "job_type": st.sampled_from(["pickup", "dropoff", None]),
        "mission_id": st.sampled_from(["m0", "m1", "m2"]),
        "point_id": anywhere,
        "performer_id": performers,
        "attributes": attributes,
    }
)
near_clock_changes = st.builds(
    lambda base, quarters, microseconds: (
        base + quarters * QUARTER + timedelta(microseconds=microseconds)
    ),
    st.sampled_from(CLOCK_CHANGES),
    st.integers(-20, 20) | st.integers(-400, 400),
    st.sampled_from([0, 0, -1, 1]),
)
routes = st.lists(
    matches(
        (IN_POINT, BETWEEN_POINTS, "job_skipped"),
        job_type=one_or_list(st.sampled_from(["pickup", "dropoff"])),
    ),
    min_size=5,
    max_size=12,
)


def calendar_as_json(calendar: Calendar) -> dict[str, Any]:
    zone: Any = calendar.time_zone
    if calendar.zone_attribute:
        zone = {"attribute": calendar.zone_attribute}
    return {
        "from": calendar.begins,
        "to": calendar.ends,
        "days": list(calendar.days),
        "time_zone": zone,
    }


def override_as_json(override: Override) -> dict[str, Any]:
    timeouts: dict[str, dict[str, float]] = {}
    for type, factor in override.factors.items():
        timeouts.setdefault(type, {})["factor"] = factor
    for type, minimum in override.minimums.items():
        timeouts.setdefault(type, {})["minimum_seconds"] = minimum.total_seconds()
    return {
        "name": override.name,
        "match": override.match,
        "timeouts": timeouts,
        "job_eta_seconds": {type: eta.total_seconds() for type, eta in override.job_etas.items()},
        "default_job_eta_seconds": None
        if override.default_job_eta is None
        else override.default_job_eta.total_seconds(),
    }


def with_matches_as_json(in_force: Config, route_matches: list[Match]) -> str:
    config = json.loads(as_json(in_force))
    config["notifier"]["time_zone"] = in_force.calendars.default_zone
    config["calendars"] = {
        name: calendar_as_json(calendar) for name, calendar in in_force.calendars.by_name.items()
    }
    config["detection"]["overrides"] = [override_as_json(each) for each in in_force.overrides]
    recipients = config["routes"][-1]["recipients"]
    config["routes"] = [{"match": match, "recipients": recipients} for match in route_matches]
    return json.dumps(config)


@seed(SEED)
@settings(IN_A_DATABASE, max_examples=EXAMPLES)
@given(
    in_force=configs_with_overrides(),
    moving=fleets_around_clock_changes(),
    route_matches=routes,
    asked=st.lists(
        st.tuples(facts, near_clock_changes),
        min_size=FACTS_OF_AN_EXAMPLE,
        max_size=FACTS_OF_AN_EXAMPLE,
    ),
)
def test_sql_and_reference_agree_on_every_rule_limit_and_match(
    database: TestDatabase,
    in_force: Config,
    moving: tuple[list[Case], datetime],
    route_matches: list[Match],
    asked: list[tuple[dict[str, Any], datetime]],
) -> None:
    note(f"HYPOTHESIS_SEED={SEED}")
    fleet, as_of = moving
    with database.connection.transaction(force_rollback=True):
        document = with_matches_as_json(in_force, route_matches)
        note(document)
        database.value("select scooters_ops.apply_config(%s)", document)
        write(database, fleet)
        assert intervals_by_sql(database, as_of) == sorted_by_text(
            interval
            for mission, history in fleet
            for interval in reference.intervals(mission, history, in_force, as_of)
        )
        assert routes_by_sql(database, asked) == [
            [
                n
                for n, match in enumerate(route_matches, 1)
                if holds(match, each, moment, in_force.calendars)
            ]
            for each, moment in asked
        ]


def routes_by_sql(
    database: TestDatabase, asked: list[tuple[dict[str, Any], datetime]]
) -> list[list[int]]:
    """The places of the routes whose match holds, for each of the facts at a time."""
    return [
        row["held"]
        for row in database.rows(
            "select array("
            " select match_id from scooters_ops.matches_for('route', asked.facts, asked.moment)"
            " as held (match_id) order by match_id) as held"
            " from unnest(%s::jsonb[], %s::timestamptz[]) with ordinality"
            " as asked (facts, moment, n) order by n",
            [Json(each) for each, _ in asked],
            [moment for _, moment in asked],
        )
    ]
