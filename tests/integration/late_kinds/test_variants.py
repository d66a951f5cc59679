"""Variants: any number of named predictions an event, each with its own latency and version, whenever they come."""

from __future__ import annotations

import asyncpg

from support.label_rows import START, counts, event, week
from support.results import errors_of
from support.write_path import EVENTS, VARIANTS, WritePath


async def test_any_number_of_variants_join_one_event_in_any_order(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    early = {"event_id": "a", "variant": "shadow-1", "prediction": 0.4, "latency_ms": 3.5, "model_version": "v2"}
    assert counts(await service.send(VARIANTS, [early])) == {"stored": 1, "parked": 1}
    await service.send(EVENTS, [event("a")])
    late = [
        {"event_id": "a", "variant": "shadow-2", "score": 0.6, "source": "batch"},
        {"event_id": "a", "event_time": START, "variant": "canary", "score": 0.7},
    ]
    assert counts(await service.send(VARIANTS, late)) == {"stored": 2, "joined": 2}
    shown = await connection.fetch(
        "SELECT variant, score, latency_ms, model_version, source FROM main.flight_delay_variants_latest ORDER BY 1"
    )
    assert [tuple(row) for row in shown] == [
        ("canary", 0.7, None, None, None),
        ("shadow-1", 0.4, 3.5, "v2", None),
        ("shadow-2", 0.6, None, None, "batch"),
    ]
    assert await connection.fetchval("SELECT score FROM main.flight_delay") == 0.5  # what was served stays


async def test_a_corrected_variant_is_a_revision_and_the_same_again_a_duplicate(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    first = {"event_id": "a", "variant": "shadow", "score": 0.4}
    await service.send(VARIANTS, [first])
    between = await connection.fetchval("SELECT clock_timestamp()")
    rows = [first, {**first, "score": 0.45}]
    assert counts(await service.send(VARIANTS, rows)) == {"stored": 1, "joined": 1, "duplicate": 1}
    assert await connection.fetchval("SELECT score FROM main.flight_delay_variants_latest") == 0.45
    known = "SELECT score FROM main.flight_delay_variants_as_of($1, $2, $3)"
    assert await connection.fetchval(known, between, START, week(1)) == 0.4


async def test_variants_without_a_name_or_a_prediction_are_refused_by_name(service: WritePath) -> None:
    await service.send(EVENTS, [event("a")])
    rows = [
        {"event_id": "a", "variant": "shadow", "score": 0.4},
        {"event_id": "a", "score": 0.4},
        {"event_id": "a", "variant": "", "score": 0.4},
        {"event_id": "a", "variant": "shadow"},
        {"event_id": "a", "variant": "shadow", "score": 0.4, "dep_delay": 3.0},
        {"event_id": "a", "variant": "shadow", "score": 0.4, "gate": "B7"},
    ]
    result = await service.send(VARIANTS, rows)
    assert errors_of(result) == {
        ("VARIANT_REQUIRED", "variant"): [1, 2],
        ("PREDICTION_REQUIRED", ""): [3],
        ("IMMUTABLE_COLUMN", "dep_delay"): [4],
        ("UNKNOWN_COLUMN", "gate"): [5],
    }
    assert counts(result) == {"stored": 1, "joined": 1, "rejected": 5}
