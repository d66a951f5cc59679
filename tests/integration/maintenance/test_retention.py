"""What is beyond a model's retention is refused before its COPY, and dropped with all that belongs to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from headrace.v1 import error_reason_pb2, result_pb2
from headrace_server.errors import ModelInvalidError
from headrace_server.maintenance.maintenance import Maintenance
from headrace_server.maintenance.retention import drop_expired
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect
from support.label_rows import counts, event
from support.model_definitions import flights, label
from support.write_path import EVENTS, LABELS, WritePath

NOW = datetime.now(UTC)
WEEK = timedelta(days=7)
AGES = (timedelta(0), 3 * WEEK, 10 * WEEK, 30 * WEEK)  # of the test's events; retention is five weeks


def reasons(result: result_pb2.BatchResult) -> list[str]:
    return [error_reason_pb2.ErrorReason.Name(errors.reason) for errors in result.errors]


@pytest.fixture
async def aged(service: WritePath, registry: Registry) -> WritePath:
    """A model with labelled events of all ages, and a label that waits for an old one; then it gets a retention."""
    await registry.register("main", flights(label("late")))
    await service.send(EVENTS, [event(f"e{at}", NOW - age) for at, age in enumerate(AGES)])
    labels = [{"event_id": f"e{at}", "event_time": NOW - age, "late": True} for at, age in enumerate(AGES)]
    waiting = [{"event_id": "none", "event_time": NOW - AGES[3], "late": True}, {"event_id": "none", "late": True}]
    assert counts(await service.send(LABELS, [*labels, *waiting])) == {"stored": 6, "joined": 4, "parked": 2}
    await registry.update("main", "flight_delay", retention=5 * WEEK)
    return service


async def test_rows_of_expired_events_are_refused(aged: WritePath) -> None:
    result = await aged.send(EVENTS, [event(f"new{at}", NOW - age) for at, age in enumerate(AGES)])
    assert (result.stored, result.rejected, reasons(result)) == (2, 2, ["ERROR_REASON_EXPIRED"])
    labels = [{"event_id": f"e{at}", "event_time": NOW - age, "late": False} for at, age in enumerate(AGES)]
    result = await aged.send(LABELS, labels)
    assert (result.joined, result.rejected, reasons(result)) == (2, 2, ["ERROR_REASON_EXPIRED"])


async def test_what_is_expired_is_dropped_with_its_labels_and_nothing_else(
    aged: WritePath, registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    maintenance = Maintenance(opened, registry)
    await maintenance.turn(connection)
    for table in ("flight_delay", "flight_delay_labels"):
        kept = await connection.fetch(f"SELECT event_id FROM main.{table} ORDER BY event_id")
        assert [row[0] for row in kept] == ["e0", "e1"]
    waiting = await connection.fetch("SELECT event_id, event_time FROM main.flight_delay_labels_inbox")
    assert [tuple(row) for row in waiting] == [("none", None)]
    # What was rolled up before stays: nothing of what is gone is counted anew.
    rolled = await connection.fetchval("SELECT count(*) FROM headrace.touched_hours")
    assert rolled == 0
    assert await drop_expired(connection, await registry.get("main", "flight_delay")) == 0


async def test_a_chunk_that_somebody_reads_is_left_for_the_next_turn(
    aged: WritePath, registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    reader = await opened()
    maintenance = Maintenance(opened, registry)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT * FROM main.flight_delay")
            await connection.execute("SET lock_timeout = 50")
            await maintenance.drop_expired(connection)
            assert await reader.fetchval("SELECT count(*) FROM main.flight_delay") == 4
    finally:
        await reader.close()
    await maintenance.drop_expired(connection)
    assert await connection.fetchval("SELECT count(*) FROM main.flight_delay") == 2


async def test_a_retention_can_be_lifted_and_must_be_a_day_at_least(aged: WritePath, registry: Registry) -> None:
    with pytest.raises(ModelInvalidError, match="retention"):
        await registry.update("main", "flight_delay", retention=timedelta(hours=3))
    model = await registry.update("main", "flight_delay", retention=timedelta(0))
    assert (model.retention, model.expiry) == (None, None)
    assert (await aged.send(EVENTS, [event("old", NOW - AGES[3])])).stored == 1
