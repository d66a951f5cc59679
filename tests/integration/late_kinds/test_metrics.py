"""Metrics: about an event they join it as every late row does; about a time they land at once."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from headrace_server.models.registry import Registry
from headrace_server.models.schema import EventIdType
from support.label_rows import START, counts, event, week
from support.model_definitions import flights
from support.results import errors_of
from support.write_path import EVENTS, METRICS, WritePath

ROWS = "SELECT name, value, event_id, event_time, metric_time FROM main.flight_delay_metrics ORDER BY name, value"


async def test_metrics_about_events_and_about_times_come_in_one_batch(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a", week(1))])
    rows = [
        {"name": "revenue", "value": 12.5, "event_id": "a"},
        {"name": "sessions", "value": 3, "metric_time": week(2)},
        {"name": "clicks", "value": 1, "event_id": "late"},
    ]
    assert counts(await service.send(METRICS, rows)) == {"stored": 3, "joined": 1, "parked": 1}
    await service.send(EVENTS, [event("late", week(3))])
    assert [tuple(row) for row in await connection.fetch(ROWS)] == [
        ("clicks", 1.0, "late", week(3), None),
        ("revenue", 12.5, "a", week(1), None),
        ("sessions", 3.0, None, week(2), week(2)),
    ]


async def test_a_metric_is_known_by_its_name_and_time(service: WritePath, connection: asyncpg.Connection) -> None:
    row = {"name": "revenue", "value": 1.0, "metric_time": START}
    assert counts(await service.send(METRICS, [row, row])) == {"stored": 1, "duplicate": 1}
    assert counts(await service.send(METRICS, [row])) == {"duplicate": 1}
    between = await connection.fetchval("SELECT clock_timestamp()")
    others = [{**row, "value": 2.0}, {**row, "metric_time": week(1)}, {**row, "name": "clicks"}]
    assert counts(await service.send(METRICS, others)) == {"stored": 3}
    latest = "SELECT value FROM main.flight_delay_metrics_latest WHERE name = 'revenue' ORDER BY metric_time"
    assert [row[0] for row in await connection.fetch(latest)] == [2.0, 1.0]
    known = "SELECT value FROM main.flight_delay_metrics_as_of($1, $2, $3)"
    assert [row[0] for row in await connection.fetch(known, between, START, week(5))] == [1.0]


async def test_metrics_of_more_weeks_than_a_transaction_may_touch_are_all_stored(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    rows = [{"name": "revenue", "value": number, "metric_time": week(number)} for number in range(80)]
    rows += [{"name": "clicks", "value": 1, "event_id": "nobody"}]
    assert counts(await service.send(METRICS, rows)) == {"stored": 81, "parked": 1}
    assert await connection.fetchval("SELECT count(*) FROM main.flight_delay_metrics") == 80
    assert counts(await service.send(METRICS, rows)) == {"duplicate": 81}


async def test_incomplete_metrics_are_refused_by_name(service: WritePath) -> None:
    rows = [
        {"name": "revenue", "value": 1.0, "metric_time": START},
        {"value": 1.0, "metric_time": START},
        {"name": "revenue", "metric_time": START},
        {"name": "revenue", "value": 1.0},
        {"name": "revenue", "value": "much", "metric_time": START},
        {"name": "revenue", "value": 1.0, "metric_time": START - timedelta(days=20_000)},
        {"name": "revenue", "value": 1.0, "metric_time": START, "dep_delay": 1.0},
    ]
    result = await service.send(METRICS, rows)
    assert errors_of(result) == {
        ("METRIC_INCOMPLETE", "name"): [1],
        ("METRIC_INCOMPLETE", "value"): [2],
        ("METRIC_INCOMPLETE", "metric_time"): [3],
        ("WRONG_TYPE", "value"): [4],
        ("EVENT_TIME_OUT_OF_RANGE", "event_time"): [5],
        ("IMMUTABLE_COLUMN", "dep_delay"): [6],
    }
    assert counts(result) == {"stored": 1, "rejected": 6}


async def test_metrics_of_a_model_whose_ids_are_uuids(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(name="by_uuid", event_id_type=EventIdType.UUID))
    event_id = "018f2c3e-0000-7000-8000-000000000001"
    await service.send(EVENTS, [event(event_id)], model="by_uuid")
    rows = [
        {"name": "revenue", "value": 1.0, "event_id": event_id},
        {"name": "revenue", "value": 1.0, "metric_time": START},
    ]
    assert counts(await service.send(METRICS, rows, model="by_uuid")) == {"stored": 2, "joined": 1}
    assert await connection.fetchval("SELECT count(*) FROM main.by_uuid_metrics") == 2
