"""How values come from the database, whatever its session is set to.

Binary results know neither DateStyle nor IntervalStyle. What Python cannot hold is the nearest that
it can: an infinite moment or a year 10000 must not cost the row, let alone the others.
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


class MomentLoader(Loader):
    """timestamptz, in UTC: microseconds since 2000."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        (microseconds,) = struct.unpack("!q", data)
        try:
            return EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            return (datetime.max if microseconds > 0 else datetime.min).replace(tzinfo=UTC)


class DurationLoader(Loader):
    """interval: microseconds, days, months."""

    format = Format.BINARY

    def load(self, data: Buffer) -> timedelta:
        microseconds, days, months = struct.unpack("!qii", data)
        days += months * DAYS_OF_MONTH
        try:
            return timedelta(days=days, microseconds=microseconds)
        except OverflowError:
            return timedelta.max if days > 0 else timedelta.min


def register_loaders(adapters: AdaptersMap) -> None:
    """For a connection, or a cursor, with binary results."""
    adapters.register_loader("timestamptz", MomentLoader)
    adapters.register_loader("interval", DurationLoader)
    adapters.register_loader(INVALID_OID, TextBinaryLoader)  # types of ours: enums
