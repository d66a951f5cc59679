"""Datasets from the SDK to the tables: there whole, with what was sent, or not at all, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import headrace
from headrace import aio

ROWS = 25_000


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"event_id": f"e{n}", "distance": n / 2, "carrier": "UA" if n % 3 else None, "score": 0.5, "late": n % 2 == 0}
        for n in range(first, first + count)
    ]


async def leftovers(database: asyncpg.Connection) -> list[str]:
    """Tables of uploads that belong to no dataset."""
    found = await database.fetch(
        """
        SELECT tablename FROM pg_tables WHERE schemaname = 'main' AND tablename ~ '^dataset_[0-9a-f]{32}'
        AND tablename NOT IN (SELECT table_name FROM headrace.datasets) ORDER BY 1
        """
    )
    return [row["tablename"] for row in found]


async def test_a_dataset_is_there_whole_from_every_kind_of_source(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection, tmp_path: Path
) -> None:
    table = pa.Table.from_pylist(rows(ROWS))
    pyarrow.parquet.write_table(table, tmp_path / "flights.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "flights.csv")
    sources = {
        "rows": rows(ROWS),
        "iterator": iter(rows(ROWS)),
        "frame": pd.DataFrame(rows(ROWS)),
        "table": table,
        "reader": table.to_reader(max_chunksize=700),
        "parquet": tmp_path / "flights.parquet",
        "csv": str(tmp_path / "flights.csv"),
    }
    for name, source in sources.items():
        job = await flights.publish_dataset(source, name=name, expected_rows=ROWS)
        assert job.now.total_rows == ROWS
        await job.wait(timeout=60)
        assert (job.now.state, job.now.progress_rows) == (headrace.JobState.SUCCEEDED, ROWS), name
        assert job.now.result == {"rows": ROWS, "rejected": 0, "errors": []}
    told = await database.fetch(
        """
        SELECT dataset, count(*) AS rows, count(DISTINCT event_id) AS ids, sum(distance) AS distance,
               count(carrier) AS carriers, count(*) FILTER (WHERE label_late) AS late, count(event_time) AS times,
               min(model_version) AS version
        FROM main.flights_datasets GROUP BY dataset
        """
    )
    assert {row["dataset"] for row in told} == set(sources)
    carriers = sum(1 for n in range(ROWS) if n % 3)
    expected = (ROWS, ROWS, ROWS * (ROWS - 1) / 4, carriers, ROWS // 2, 0, "v1")
    assert {tuple(row)[1:] for row in told} == {expected}
    listed = {dataset.name: dataset async for dataset in client.list_datasets(model="flights")}
    assert set(listed) == set(sources)
    assert {(each.rows, each.model, each.table) for each in listed.values()} == {
        (ROWS, "Flights", '"main"."flights_datasets"')
    }
    assert await leftovers(database) == []


async def test_ids_are_made_and_times_are_kept_where_the_source_has_them(
    flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    moments = [datetime(1968, 1, 1, tzinfo=UTC), datetime(2013, 5, 6, 7, 8, tzinfo=UTC)]
    frame = pd.DataFrame({"when": moments, "distance": [1.0, 2.0], "truth": [True, False]})
    job = await flights.publish_dataset(
        frame.rename(columns={"truth": "late"}), name="of old", event_time="when", labels="late"
    )
    await job.wait(timeout=30)
    stored = await database.fetch(
        "SELECT event_time, event_id, label_late FROM main.flights_datasets ORDER BY distance"
    )
    assert [row["event_time"] for row in stored] == moments
    assert [row["label_late"] for row in stored] == [True, False]
    assert len({row["event_id"] for row in stored}) == 2


async def test_what_a_dataset_cannot_be_is_said_by_name_and_leaves_nothing(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    bad = [*rows(3), {"event_id": "x", "distance": "far"}, {"distance": 1.0, "event_id": None}, *rows(2, first=3)]
    cases = {
        "DATASET_ROWS_REJECTED": (bad, {}),
        "DATASET_ROW_COUNT": (rows(5), {"expected_rows": 6}),
        "DATASET_ID_REPEATED": ([*rows(5), *rows(1)], {}),
    }
    for reason, (source, arguments) in cases.items():
        job = await flights.publish_dataset(source, name="none", **arguments)
        with pytest.raises(headrace.JobFailedError) as failed:
            await job.wait(timeout=30)
        assert failed.value.reason == reason
        assert job.now.state is headrace.JobState.FAILED
    assert "(e0)" in job.now.error
    refused = [job async for job in client.list_jobs(subject="Flights/none")][-1].now
    assert refused.result["rejected"] == 2
    faults = {(each["reason"], each["column"], each["count"], *each["rows"]) for each in refused.result["errors"]}
    assert faults == {("WRONG_TYPE", "distance", 1, 3), ("EVENT_ID_REQUIRED", "event_id", 1, 4)}
    assert [dataset async for dataset in client.list_datasets()] == []
    assert await leftovers(database) == []

    job = await flights.publish_dataset(bad, name="some", expected_rows=7, allow_rejected=True)
    await job.wait(timeout=30)
    assert (job.now.result["rows"], job.now.result["rejected"]) == (5, 2)
    assert (await client.dataset("some", model="flights")).rows == 5


async def test_a_source_that_breaks_off_leaves_nothing(
    flights: aio.AsyncModel, client: aio.AsyncClient, database: asyncpg.Connection
) -> None:
    def breaking() -> Iterator[dict[str, Any]]:
        yield from rows(30_000)
        raise RuntimeError("the source's own trouble")

    job = await flights.publish_dataset(breaking(), name="half")
    with pytest.raises(RuntimeError, match="own trouble"):
        await job.wait(timeout=30)
    now = await client.job(job.now.id)
    with pytest.raises(headrace.JobFailedError) as failed:
        await now.wait(timeout=30)
    assert failed.value.reason == "JOB_ABANDONED"
    assert await leftovers(database) == []


async def test_names_are_taken_once_and_datasets_are_dropped_whole(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    for name in ("jan", "feb"):
        await (await flights.publish_dataset(rows(10), name=name)).wait(timeout=30)
    for name, reason in (("jan", "DATASET_EXISTS"), ("", "NAME_INVALID"), ("x" * 129, "NAME_INVALID")):
        with pytest.raises(headrace.ServiceError) as refused:
            await flights.publish_dataset(rows(1), name=name)
        assert refused.value.reason == reason
    with pytest.raises(headrace.ModelNotFoundError):
        await client.model("nobody").publish_dataset(rows(1), name="jan")
    assert (await flights.set_baseline("jan")).baseline_dataset == "jan"
    assert await database.fetchval("SELECT baseline_dataset FROM headrace.models") == "jan"
    assert (await client.dataset("jan", model="flights")).is_baseline
    with pytest.raises(headrace.ServiceError) as refused:
        await client.drop_dataset("jan", model="flights")
    assert refused.value.reason == "DATASET_IS_BASELINE"
    await client.drop_dataset("feb", model="flights")
    for call in (client.drop_dataset("feb", model="flights"), flights.set_baseline("feb"), client.dataset("feb")):
        with pytest.raises(headrace.ServiceError) as refused:
            await call
        assert refused.value.reason == "DATASET_NOT_FOUND"
    assert [row["dataset"] for row in await database.fetch("SELECT DISTINCT dataset FROM main.flights_datasets")] == [
        "jan"
    ]
    await (await flights.publish_dataset(rows(4), name="feb")).wait(timeout=30)
    assert (await flights.set_baseline(None)).baseline_dataset == ""
    await client.drop_dataset("jan", model="flights")


async def test_a_dataset_grows_with_its_model(
    client: aio.AsyncClient, flights: aio.AsyncModel, database: asyncpg.Connection
) -> None:
    await (await flights.publish_dataset(rows(3), name="before")).wait(timeout=30)
    gate = headrace.Column("gate", headrace.ColumnKind.FEATURE, headrace.ValueType.STRING)
    await client.update_model("flights", add=[gate], unknown_columns=headrace.UnknownColumns.ADD)
    found = [{**row, "gate": "A1", "wind": 3.0} for row in rows(20_000)]
    await (await flights.publish_dataset(found, name="after")).wait(timeout=30)
    told = await database.fetch(
        "SELECT dataset, count(gate), sum(wind) FROM main.flights_datasets GROUP BY dataset ORDER BY dataset"
    )
    assert [tuple(row) for row in told] == [("after", 20_000, 60_000.0), ("before", 0, None)]
