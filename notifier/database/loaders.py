"""How psycopg reads times, durations and our enums from binary results.

Binary results do not depend on the session's DateStyle and IntervalStyle. A value that Python
cannot hold becomes the nearest one that it can: an infinite timestamp or the year 10000 must not
make the row unreadable, let alone the other rows.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.types.string import TextBinaryLoader

INVALID_OID = 0
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAYS_OF_MONTH = 30


class TimestampLoader(Loader):
    """timestamptz, in UTC. Sent as microseconds since 2000."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        (microseconds,) = struct.unpack("!q", data)
        try:
            return EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            return (datetime.max if microseconds > 0 else datetime.min).replace(tzinfo=UTC)


class IntervalLoader(Loader):
    """interval. Sent as microseconds, days and months."""

    format = Format.BINARY

    def load(self, data: Buffer) -> timedelta:
        microseconds, days, months = struct.unpack("!qii", data)
        days += months * DAYS_OF_MONTH
        try:
            return timedelta(days=days, microseconds=microseconds)
        except OverflowError:
            return timedelta.max if days > 0 else timedelta.min


def register_loaders(adapters: AdaptersMap) -> None:
    """For a connection or a cursor with binary results."""
    adapters.register_loader("timestamptz", TimestampLoader)
    adapters.register_loader("interval", IntervalLoader)
    adapters.register_loader(INVALID_OID, TextBinaryLoader)  # unknown types: our enums
