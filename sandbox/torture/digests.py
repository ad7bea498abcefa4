"""Of which notifications does each message tell? A digest tells of many.

The message itself says how many, and names the worst; the table says which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sandbox.torture.verdict import Arrival, Delivery, Row, Told

NAMED = 10
"""How many a digest names at most."""


def members_of(rows: Iterable[Row]) -> dict[Delivery, list[Row]]:
    """The rows of each digest, by that of its leader."""
    members: defaultdict[Delivery, list[Row]] = defaultdict(list)
    for row in rows:
        if row.digest is not None:
            members[row.digest].append(row)
    return dict(members)


def spread(arrivals: Iterable[Arrival], rows: Sequence[Row]) -> tuple[list[Arrival], list[str]]:
    """One arrival for each alert that a message tells of, and where the messages and the table
    disagree about this."""
    members = members_of(rows)
    found: list[Arrival] = []
    problems = list(_check_rows(members))
    for arrival in arrivals:
        if arrival.told is None:
            found.append(arrival)
            continue
        leader = arrival.delivery
        told = members.get(leader, [])
        found += [replace(arrival, delivery=row.delivery, digest=leader) for row in told]
        problems += _check_message(arrival, arrival.told, told)
    return found, problems


def _check_message(arrival: Arrival, says: Told, told: Sequence[Row]) -> Iterator[str]:
    about = f"{arrival.delivery}, digest {arrival.reference}"
    if says.alerts != len(told):
        yield f"{about}: it tells of {says.alerts} alerts, the table of {len(told)}"
    missions = {row.mission for row in told}
    for mission in sorted(set(says.missions) - missions):
        yield f"{about}: it names {mission}, which is none of it"
    if len(set(says.missions)) != min(says.alerts, NAMED):
        yield f"{about}: it names {len(set(says.missions))} of {says.alerts}"


def _check_rows(members: dict[Delivery, list[Row]]) -> Iterator[str]:
    for leader, rows in members.items():
        if leader not in {row.delivery for row in rows}:
            yield f"{leader}: its digest has lost it"
        places = {(row.delivery.channel, row.delivery.address) for row in rows}
        if len(places) > 1:
            yield f"{leader}: its digest tells of alerts for {len(places)} addresses"
        if len({(row.state, row.reference) for row in rows if row.state != "waiting"}) > 1:
            yield f"{leader}: the rows of its digest differ"
