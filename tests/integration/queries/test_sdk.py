"""Reading back through the SDK: dicts, frames, one event, statistics; sync and asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import headrace
import headrace.aio
from headrace import Schema
from headrace_server.cli.application import application
from support.service import ServiceProcess, running_service

START = datetime(2026, 1, 5, tzinfo=UTC)
COLUMNS = Schema(
    features={"distance": "float64", "carrier": "category", "v": "vector(2)", "stops": "string_list", "raw": "json"},
    predictions={"score": "float64"},
    labels={"late": "bool"},
)


@pytest.fixture
async def running(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(database_url) as service:
        yield service


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{n:05}",
            "event_time": START + timedelta(minutes=n),
            "distance": None if n % 10 == 0 else float(n),
            "carrier": "UA",
            "v": [0.5, float(n)],
            "stops": ["a", "b"],
            "raw": {"n": n},
            "score": n / count,
        }
        | ({"late": n % 4 == 0} if n % 2 == 0 else {})
        for n in range(count)
    ]


async def test_what_was_published_is_read_back(running: ServiceProcess) -> None:
    await asyncio.to_thread(read_back, running.grpc)


def read_back(address: str) -> None:
    with headrace.connect(address) as client:
        model = client.register(COLUMNS, name="m", version="v1")
        published = model.publish(rows(6_000), labels="late", timeout=60)
        assert client.wait_until_queryable(published) is None

        read = model.events(columns=["distance", "carrier", "v", "stops", "raw", "score", "late"]).to_list()
        assert read == [dict.fromkeys(read[0]) | row for row in rows(6_000)]
        hour = model.events(START, START + timedelta(hours=1), has_label=True, columns=["late"], version="v1")
        assert [row["event_id"] for row in hour] == [f"{n:05}" for n in range(0, 60, 2)]
        assert len(hour.to_list()) == 30  # read anew
        assert [row["event_id"] for row in model.events(newest_first=True, limit=2)] == ["05999", "05998"]

        table = model.events().to_arrow()
        assert table.num_rows == 6_000
        assert table.schema.field("v").type == pa.list_(pa.float32(), 2)
        assert table.column("distance").null_count == 600
        frame = model.events(columns=["late", "distance"]).to_pandas()
        assert frame["late"].sum() == 1_500
        assert str(frame["event_time"].dtype) == "datetime64[us, UTC]"
        assert model.events(columns=["score"]).to_polars().select(pl.col("score").max()).item() == 5_999 / 6_000
        assert model.events(START - timedelta(days=9), START).to_arrow().num_rows == 0

        model.log_label("00002", late=False, event_time=START + timedelta(minutes=2), source="desk")
        client.flush(30)
        event = model.event("00002")
        assert (event.event_time, event.labels) == (START + timedelta(minutes=2), {"late": False})
        assert event.values["raw"] == {"n": 2}
        assert [revision["late"] for revision in event.history] == [False, False]
        assert [one.event_id for one in model.events_by_id(["00003", "nobody", "00001"])] == ["00003", "00001"]
        with pytest.raises(headrace.EventNotFoundError):
            model.event("nobody")
        with pytest.raises(headrace.ServiceError, match="TIME_RANGE_INVALID"):
            model.events(START, START).to_list()
        with pytest.raises(headrace.InvalidArgumentError, match="limit"):
            model.events(limit=0)

        told = model.statistics()
        assert (told.events.rows.rows, told.late["labels"].rows.rows, told.waiting["labels"].rows.rows) == (
            6_000,
            3_001,
            0,
        )
        assert told.first_event_time == START

        output = CliRunner().invoke(application, ["models", "stats", "m", "--address", address]).output
        assert "6,000" in output
        assert "labels, waiting" in output

        left = iter(model.events())
        next(left)
        left.close()
        unread = iter(model.events())
        next(unread)
    with pytest.raises(headrace.ClosedError):
        list(unread)


async def test_asyncio_reads_the_same(running: ServiceProcess) -> None:
    async with headrace.aio.connect(running.grpc) as client:
        model = await client.register(COLUMNS, name="m", version="v1")
        await client.wait_until_queryable(await model.publish(rows(3_000), labels="late", timeout=60))
        read = [row["event_id"] async for row in model.events(has_label=False)]
        assert read == [f"{n:05}" for n in range(1, 3_000, 2)]
        assert (await model.events().to_arrow()).num_rows == 3_000
        assert len(await model.events(limit=5).to_pandas()) == 5
        assert (await model.events(limit=5).to_polars()).height == 5
        assert (await model.event("00004")).labels == {"late": True}
        assert len(await model.events_by_id(["00004", "00005"])) == 2
        assert (await model.statistics()).events.rows == headrace.RowCount(3_000, exact=True)
        async for _ in model.events():
            break
        assert len(await model.events().to_list()) == 3_000
