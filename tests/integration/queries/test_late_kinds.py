"""An event is read with everything that came late for it, and deleted with it, whatever its kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from headrace.encoding.read_back import rows_of
from headrace.v1 import batch_pb2
from headrace.v1 import query_service_pb2 as pb
from headrace_server.models.registry import Registry
from headrace_server.queries.columns import late_tables
from support.model_definitions import flights, label
from support.write_path import EVENTS, INFLUENCES, LABELS, VARIANTS, WritePath

START = datetime(2026, 1, 5, tzinfo=UTC)
LONG = "m" * 48  # the longest name: with a kind's suffix it is longer than an identifier may be


async def test_an_event_is_read_with_its_influences_and_variants(
    service: WritePath, registry: Registry, queries: Any
) -> None:
    await registry.register("main", flights(label("late"), name=LONG))
    for kind, row in (
        (EVENTS, {"event_time": START, "score": 0.5}),
        (LABELS, {"late": True}),
        (INFLUENCES, {"dep_delay": 0.25, "base_value": 0.1}),
        (VARIANTS, {"variant": "shadow-1", "score": 0.6}),
        (VARIANTS, {"variant": "shadow-2", "score": 0.7}),
    ):
        await service.send(kind, [{"event_id": "a", **row}], model=LONG)
    response = await queries.stub.GetEvents(pb.GetEventsRequest(model=LONG, event_ids=["a"]))
    late = {batch_pb2.RecordKind.Name(one.kind): list(rows_of(one.columns, one.rows)) for one in response.late}
    assert [row["late"] for row in late["RECORD_KIND_LABELS"]] == [True]
    assert [(row["dep_delay"], row["base_value"]) for row in late["RECORD_KIND_INFLUENCES"]] == [(0.25, 0.1)]
    assert [(row["variant"], row["score"]) for row in late["RECORD_KIND_VARIANTS"]] == [
        ("shadow-1", 0.6),
        ("shadow-2", 0.7),
    ]
    told = await queries.stub.GetModelStatistics(pb.GetModelStatisticsRequest(model=LONG))
    assert [one.stored.rows.rows for one in told.late] == [1, 1, 2]
    async with queries.snapshots.one() as connection:
        schema = await registry.get("main", LONG)
        assert schema is not None
        assert len(await late_tables(connection, schema)) == 6  # those that a delete goes through, too
