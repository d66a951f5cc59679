"""Influences on a dataset: a further part by id and output, once and whole, gone with the dataset."""

from __future__ import annotations

import asyncpg
import pytest

import headrace
from headrace import aio

ROWS = 500


async def test_influences_are_added_once_for_ids_that_are_there(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    rows = [{"event_id": f"e{n}", "distance": float(n), "carrier": "UA", "score": 0.5} for n in range(ROWS)]
    await (await flights.publish_dataset(rows, name="jan")).wait(timeout=60)
    shap = [{"event_id": f"e{n}", "base_value": 0.25, "distance": 0.5, "carrier": -0.25} for n in range(ROWS)]
    refusals = {
        "DATASET_ID_UNKNOWN": [*shap, {"event_id": "e-1", "distance": 0.5}],
        "DATASET_ID_REPEATED": [*shap, shap[0]],
        "DATASET_ROWS_REJECTED": [*shap, {"event_id": "e1", "output": "late", "distance": 0.5}],
    }
    for reason, source in refusals.items():
        job = await flights.complete_dataset(source, name="jan", kind="influences")
        with pytest.raises(headrace.JobFailedError) as failed:
            await job.wait(timeout=60)
        assert failed.value.reason == reason
    assert (await client.dataset("jan", model="flights")).influence_rows == 0

    await (await flights.complete_dataset(shap, name="jan", kind="influences", expected_rows=ROWS)).wait(timeout=60)
    dataset = await client.dataset("jan", model="flights")
    assert (dataset.influence_rows, dataset.influences_table) == (ROWS, '"main"."flights_datasets_influences"')
    told = await database.fetchrow(
        "SELECT count(*), min(output), sum(base_value), sum(distance), sum(carrier)"
        " FROM main.flights_datasets_influences WHERE dataset = 'jan'"
    )
    assert tuple(told) == (ROWS, "score", ROWS / 4, ROWS / 2, -ROWS / 4)
    for name, reason in (("jan", "DATASET_IMMUTABLE"), ("feb", "DATASET_NOT_FOUND")):
        with pytest.raises(headrace.ServiceError) as refused:
            await flights.complete_dataset(shap, name=name, kind="influences")
        assert refused.value.reason == reason
    with pytest.raises(headrace.InvalidArgumentError, match="influences"):
        await flights.complete_dataset(shap, name="jan", kind="shap")

    await client.update_model(
        "flights", add=[headrace.Column("gate", headrace.ColumnKind.FEATURE, headrace.ValueType.STRING)]
    )
    assert await database.fetchval("SELECT count(gate) FROM main.flights_datasets_influences") == 0
    await client.drop_dataset("jan", model="flights")
    assert await database.fetchval("SELECT count(*) FROM main.flights_datasets_influences") == 0
    assert await database.fetchval("SELECT count(*) FROM pg_tables WHERE tablename ~ '^dataset_'") == 0
