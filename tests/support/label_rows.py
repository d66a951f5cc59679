"""Rows of the flights' model for label tests, and short ways to read what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from headrace.v1 import result_pb2

START = datetime(2013, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def week(number: int) -> datetime:
    """A time in the n-th chunk of the tests."""
    return START + number * WEEK


def event(event_id: str, time: datetime = START, **columns: Any) -> dict[str, Any]:
    """An event's row."""
    return {"event_id": event_id, "event_time": time, "score": 0.5, **columns}


def counts(result: result_pb2.BatchResult) -> dict[str, int]:
    """The counts of a result that are not zero."""
    names = ("stored", "joined", "parked", "pending", "duplicate", "rejected")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def rows_of(ranges: result_pb2.RowRanges) -> list[int]:
    """The rows of a set of ranges."""
    return [
        row for start, length in zip(ranges.starts, ranges.lengths, strict=True) for row in range(start, start + length)
    ]


async def stored_labels(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """(event_id, event_time, late, minutes) of all labels beside their events, oldest first."""
    rows = await connection.fetch(
        "SELECT event_id, event_time, late, minutes FROM main.flight_delay_labels ORDER BY event_id, recorded_time"
    )
    return [tuple(row) for row in rows]


async def waiting_labels(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """(event_id, event_time, late, minutes) of all labels in the inbox."""
    rows = await connection.fetch(
        "SELECT event_id, event_time, late, minutes FROM main.flight_delay_labels_inbox ORDER BY inbox_id"
    )
    return [tuple(row) for row in rows]
