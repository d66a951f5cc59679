"""What a model has stored: counted where that reads little, estimated elsewhere, and it says which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.v1 import batch_pb2
from headrace.v1 import query_service_pb2 as pb
from headrace_server.models.registry import Registry
from headrace_server.queries import statistics
from support.write_path import EVENTS, LABELS, WritePath

START = datetime(2026, 1, 5, tzinfo=UTC)
ASKED = pb.GetModelStatisticsRequest(model="flight_delay")


async def fill(service: WritePath) -> None:
    events = [{"event_id": f"{n}", "event_time": START + timedelta(days=n % 20), "score": 0.5} for n in range(1_000)]
    await service.send(EVENTS, events)
    await service.send(EVENTS, [{"event_id": "now", "event_time": datetime.now(UTC), "score": 0.5}])
    await service.send(LABELS, [{"event_id": "1", "late": True}, {"event_id": "nobody", "late": True}])


async def test_of_a_small_model_everything_is_exact(service: WritePath, queries: Any) -> None:
    await fill(service)
    told = await queries.stub.GetModelStatistics(ASKED)
    assert (told.events.table, told.events.rows.rows, told.events.rows.exact) == ('"main"."flight_delay"', 1_001, True)
    assert told.events.chunks == 5
    assert told.events.total_bytes > 0
    assert told.first_event_time.ToDatetime(tzinfo=UTC) == START
    assert told.first_event_time_exact
    assert told.last_event_time_exact
    assert (told.events_last_minute.rows, told.events_last_hour.rows) == (1, 1)
    (labels,) = told.late
    assert labels.kind == batch_pb2.RECORD_KIND_LABELS
    assert (labels.stored.rows.rows, labels.waiting.rows.rows) == (1, 1)


async def test_of_a_large_one_it_says_what_is_an_estimate(
    service: WritePath, queries: Any, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(service)
    await connection.execute("ANALYZE main.flight_delay")
    monkeypatch.setattr(statistics, "EXACT_BYTES", 0)
    told = await queries.stub.GetModelStatistics(ASKED)
    assert not told.events.rows.exact
    assert 900 <= told.events.rows.rows <= 1_100
    assert not told.first_event_time_exact
    assert told.first_event_time.ToDatetime(tzinfo=UTC) <= START
    assert not told.events_last_hour.exact


async def test_an_empty_model_has_no_times(registry: Registry, queries: Any) -> None:
    told = await queries.stub.GetModelStatistics(ASKED)
    assert (told.events.rows.rows, told.events.rows.exact, told.events.chunks) == (0, True, 0)
    assert not told.HasField("first_event_time")
