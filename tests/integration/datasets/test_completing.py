"""Datasets completed by id: what is there never changes, what comes is seen all at once."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

import headrace
from headrace import aio

ROWS = 1_000
FACTS = [
    {"event_id": f"e{n}", "distance": float(n), "carrier": "UA", "late": n % 2 == 0, "note": "not the model's"}
    for n in range(ROWS)
]


async def published(client: aio.AsyncClient) -> headrace.Dataset:
    job = await client.publish_dataset(FACTS, name="Flights 2013", labels="late", expected_rows=ROWS)
    await job.wait(timeout=60)
    return await client.dataset("Flights 2013")


async def counts(database: asyncpg.Connection, table: str) -> tuple[Any, ...]:
    row = await database.fetchrow(
        f"SELECT count(*), sum(distance), count(*) FILTER (WHERE label_late), count(score), sum(score) FROM {table}"
    )
    return tuple(row)


async def test_a_dataset_without_a_model_is_completed_for_each_model_and_stays(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    facts = await published(client)
    assert (facts.model, facts.rows, facts.table) == ("", ROWS, '"main"."flights_2013_dataset"')
    assert {column.name for column in facts.schema.columns} == {"distance", "carrier", "late", "note"}
    other = await client.register(
        headrace.Schema(features={"distance": "float64"}, predictions={"score": "float64"}), name="other"
    )
    for model, score in ((flights, 0.5), (other, 0.25)):
        scores = [{"event_id": f"e{n}", "prediction": score} for n in range(0, ROWS, 2)]
        await (await model.complete_dataset(scores, name="Flights 2013", expected_rows=ROWS // 2)).wait(timeout=60)
        completed = await client.dataset("Flights 2013", model=model.name)
        assert (completed.rows, completed.completed_columns) == (ROWS, ("score",))
    distance = ROWS * (ROWS - 1) / 2
    half = ROWS // 2
    assert await counts(database, "main.flights_datasets") == (ROWS, distance, half, half, half * 0.5)
    assert await database.fetchval("SELECT sum(score) FROM main.other_datasets") == half * 0.25
    assert await database.fetchval("SELECT count(note) FROM main.flights_2013_dataset") == ROWS
    assert [dataset.model async for dataset in client.list_datasets()] == ["", "Flights", "other"]
    with pytest.raises(headrace.ServiceError) as refused:
        await client.publish_dataset(FACTS, name="Flights 2013", labels="late")
    assert refused.value.reason == "DATASET_EXISTS"
    await client.drop_dataset("Flights 2013")
    assert await database.fetchval("SELECT to_regclass('main.flights_2013_dataset')") is None
    assert (await client.dataset("Flights 2013", model="flights")).rows == ROWS


async def test_what_is_there_never_changes_and_what_is_not_cannot_be_completed(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    await (await flights.publish_dataset([{**row, "note": None} for row in FACTS], name="own")).wait(timeout=60)
    before = await counts(database, "main.flights_datasets")
    refusals = {
        "DATASET_IMMUTABLE": [{"event_id": "e1", "late": True, "score": 0.5}],
        "DATASET_ID_UNKNOWN": [{"event_id": "e1", "score": 0.5}, {"event_id": "e-1", "score": 0.5}],
        "DATASET_ID_REPEATED": [{"event_id": "e1", "score": 0.5}, {"event_id": "e1", "score": 0.75}],
        "DATASET_ROWS_REJECTED": [{"event_id": "e1", "score": 0.5, "latency_ms": 3.0}],
    }
    for reason, rows in refusals.items():
        job = await flights.complete_dataset(rows, name="own")
        with pytest.raises(headrace.JobFailedError) as failed:
            await job.wait(timeout=60)
        assert failed.value.reason == reason
    assert await counts(database, "main.flights_datasets") == before
    scores = [{"event_id": row["event_id"], "score": 0.5} for row in FACTS]
    await (await flights.complete_dataset(scores, name="own")).wait(timeout=60)
    assert await counts(database, "main.flights_datasets") == (*before[:3], ROWS, ROWS * 0.5)
    assert (await client.dataset("own", model="flights")).completed_columns == ("score",)
    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE tablename ~ '^dataset_'")
    assert len(tables) == 1, "the partition that was there, and what the refused ones had made, are gone"
    for name, model, reason in (("none", flights, "DATASET_NOT_FOUND"), ("own", client.model("no"), "MODEL_NOT_FOUND")):
        with pytest.raises(headrace.ServiceError) as refused:
            await model.complete_dataset(scores, name=name)
        assert refused.value.reason == reason
