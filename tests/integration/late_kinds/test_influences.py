"""Influences: with their event, before it or after it, in revisions, and what is refused by name."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from headrace_server.models.definition import ModelDefinition
from headrace_server.models.registry import Registry
from headrace_server.models.schema import Identity
from support.label_rows import START, counts, event, week
from support.model_definitions import feature, flights, prediction
from support.results import errors_of
from support.write_path import EVENTS, INFLUENCES, LABELS, WritePath

TABLE = "main.flight_delay_influences"


async def test_the_first_influences_make_their_tables_and_join_their_event(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a"), event("b", week(3))])
    assert await connection.fetchval("SELECT to_regclass($1)", TABLE) is None
    rows = [
        {"event_id": "a", "dep_delay": 0.25, "base_value": 0.1, "source": "shap"},
        {"event_id": "b", "event_time": week(3), "dep_delay": -0.5},
    ]
    assert counts(await service.send(INFLUENCES, rows)) == {"stored": 2, "joined": 2}
    stored = await connection.fetch(
        f"SELECT event_id, event_time, output, base_value, dep_delay FROM {TABLE} ORDER BY 1"
    )
    assert [tuple(row) for row in stored] == [("a", START, "score", 0.1, 0.25), ("b", week(3), "score", None, -0.5)]


async def test_influences_that_came_first_join_when_their_event_comes(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    rows = [{"event_id": "a", "dep_delay": 0.25}, {"event_id": "never", "dep_delay": 1.0}]
    assert counts(await service.send(INFLUENCES, rows)) == {"stored": 2, "parked": 2}
    await service.send(LABELS, [{"event_id": "never", "late": True}])
    orphans = await connection.fetch("SELECT kind, event_id FROM main.flight_delay_orphans ORDER BY 1, 2")
    assert [tuple(row) for row in orphans] == [("influences", "a"), ("influences", "never"), ("labels", "never")]
    await service.send(EVENTS, [event("a", week(2))])
    assert await connection.fetchval(f"SELECT event_time FROM {TABLE}") == week(2)
    orphans = await connection.fetch("SELECT kind, event_id, age FROM main.flight_delay_orphans ORDER BY 1")
    assert [(row["kind"], row["event_id"]) for row in orphans] == [("influences", "never"), ("labels", "never")]
    assert all(row["age"] > timedelta(0) for row in orphans)


async def test_equal_influences_are_duplicates_and_others_are_revisions(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    first = {"event_id": "a", "dep_delay": 0.25}
    assert counts(await service.send(INFLUENCES, [first])) == {"stored": 1, "joined": 1}
    assert counts(await service.send(INFLUENCES, [first])) == {"duplicate": 1}
    between = await connection.fetchval("SELECT clock_timestamp()")
    assert counts(await service.send(INFLUENCES, [{**first, "dep_delay": 0.5}])) == {"stored": 1, "joined": 1}
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}") == 2
    assert await connection.fetchval("SELECT dep_delay FROM main.flight_delay_influences_latest") == 0.5
    known = "SELECT dep_delay FROM main.flight_delay_influences_as_of($1, $2, $3)"
    assert await connection.fetchval(known, between, START, week(1)) == 0.25
    assert await connection.fetchval(known, between, week(1), week(2)) is None


async def test_each_output_has_influences_of_its_own_and_a_class_is_an_output(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(prediction("Airport Code"), feature("output"), name="several"))
    await service.send(EVENTS, [event("a")], model="several")
    rows = [
        {"event_id": "a", "output": "score", "dep_delay": 1.0, "f_output": 0.5},
        {"event_id": "a", "output": "Airport Code:JFK", "dep_delay": 2.0},
        {"event_id": "a", "output": "gate", "dep_delay": 3.0},
        {"event_id": "a", "dep_delay": 4.0},
    ]
    result = await service.send(INFLUENCES, rows, model="several")
    assert errors_of(result) == {("UNKNOWN_OUTPUT", "output"): [2], ("OUTPUT_REQUIRED", "output"): [3]}
    shown = await connection.fetch("SELECT output, dep_delay, f_output FROM main.several_influences_latest ORDER BY 2")
    assert [tuple(row) for row in shown] == [("score", 1.0, 0.5), ("airport_code:JFK", 2.0, None)]


async def test_what_is_no_feature_is_refused_by_name_and_the_rest_is_stored(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    rows = [
        {"event_id": "a", "dep_delay": 0.25},
        {"event_id": "a", "dep_dealy": 0.25},
        {"event_id": "a", "score": 0.25},
        {"event_id": "a", "latency_ms": 3.0, "dep_delay": 0.1},
        {"event_id": "a"},
        {"dep_delay": 0.1},
    ]
    result = await service.send(INFLUENCES, rows)
    assert errors_of(result) == {
        ("UNKNOWN_FEATURE", "dep_dealy"): [1],
        ("UNKNOWN_FEATURE", "score"): [2],
        ("IMMUTABLE_COLUMN", "latency_ms"): [3],
        ("INFLUENCE_REQUIRED", ""): [4],
        ("EVENT_ID_REQUIRED", "event_id"): [5],
    }
    assert counts(result) == {"stored": 1, "joined": 1, "rejected": 5}
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 5


async def test_a_model_without_features_takes_no_influences_and_gets_no_tables(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", ModelDefinition("bare", (prediction("score"),)))
    result = await service.send(INFLUENCES, [{"event_id": "a", "dep_delay": 1.0}], model="bare")
    assert errors_of(result) == {("NO_FEATURES", ""): [0]}
    await service.send(INFLUENCES, [{"event_id": "a", "nothing": 1.0}])
    assert await connection.fetchval("SELECT to_regclass($1)", TABLE) is None


async def test_a_feature_that_comes_later_gets_its_column_and_the_views_show_it(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    await service.send(INFLUENCES, [{"event_id": "a", "dep_delay": 1.0}, {"event_id": "b", "dep_delay": 1.0}])
    await registry.update("main", "flight_delay", [feature("distance"), feature("seq")])
    rows = [{"event_id": "a", "distance": 2.0}, {"event_id": "b", "seq": 3.0}]
    assert counts(await service.send(INFLUENCES, rows)) == {"stored": 2, "joined": 1, "parked": 1}
    await service.send(EVENTS, [event("b")])
    shown = await connection.fetch(
        "SELECT event_id, dep_delay, distance, f_seq FROM main.flight_delay_influences_latest ORDER BY 1"
    )
    assert [tuple(row) for row in shown] == [("a", None, 2.0, None), ("b", None, None, 3.0)]


async def test_append_models_get_the_index_that_the_search_needs(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(name="appended", identity=Identity.APPEND))
    await service.send(EVENTS, [event("a", week(4))], model="appended")
    assert counts(await service.send(INFLUENCES, [{"event_id": "a", "dep_delay": 1.0}], model="appended")) == {
        "stored": 1,
        "joined": 1,
    }
    indexes = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = 'appended'")
    assert any("(event_id)" in row[0] for row in indexes)
