"""The service's stages, run in this process on the same batches: for the very bytes it would COPY, and for their cost.

In: rows as dicts. On their way: the SDK's encoded batches, parsed, decoded, validated, sorted and encoded by the
service's own functions. Nothing is imitated, so what is measured here is what the service spends there.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import thread_time
from typing import Any

import asyncpg
import numpy as np
import pyarrow as pa

from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table
from headrace.encoding.table import EncodedBatch, Header, Limits, RowTable, encode
from headrace.logged.rows import columns_of
from headrace.v1 import batch_pb2
from headrace_server.copying.landing import GroupRows
from headrace_server.decoding.decode import decode
from headrace_server.events.kind import EventsKind
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.storage.pool import connect
from headrace_server.validation.row_schema import Moment
from headrace_server.validation.validate import validate

BATCH_ROWS = 10_000
_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class CopyBytes:
    """A group's bytes, as asyncpg's copy_to_table takes them."""

    columns: list[str]
    data: memoryview


@dataclass
class StageTimes:
    """Seconds of this thread's processor time, by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, begun: float) -> None:
        """Add what was spent since `begun`."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + thread_time() - begun


def encoded_batches(table: Table, rows: Sequence[Row], batch_rows: int = BATCH_ROWS) -> Iterator[bytes]:
    """Yield rows as the SDK's batches, serialized without a seq."""
    header = Header(batch_pb2.RECORD_KIND_EVENTS, table.name, "")
    for start in range(0, len(rows), batch_rows):
        cells = columns_of(rows[start : start + batch_rows])
        ids = cells.pop("event_id")
        part = RowTable(range(len(ids)), ids, None, cells)
        for batch in encode(part, header, Limits(batch_rows, _BATCH_BYTES)):
            if not isinstance(batch, EncodedBatch):
                raise TypeError(f"a row cannot be sent: {batch}")
            yield batch.body


class ServiceStages:
    """The stages for one table."""

    def __init__(self, arena: Arena, table: Table) -> None:
        self._table = table
        self._model: ModelSchema = arena.wait(_model(arena, table.name))
        self._kind = EventsKind(after_commit=_nothing_follows)

    def copy_bytes(self, rows: Sequence[Row], group_rows: int, times: StageTimes | None = None) -> list[CopyBytes]:
        """Return the bytes that headrace would COPY for these rows, a buffer a group."""
        times = times or StageTimes()
        bodies = list(encoded_batches(self._table, rows))
        gc.collect()
        validated = [self._validated(body, times) for body in bodies]
        a_group = max(1, group_rows // BATCH_ROWS)
        return [self._group(validated[start : start + a_group], times) for start in range(0, len(validated), a_group)]

    def _validated(self, body: bytes, times: StageTimes) -> pa.Table:
        schema = self._kind.row_schema(self._model)
        begun = thread_time()
        batch = batch_pb2.Batch.FromString(body)
        times.add("parse", begun)
        begun = thread_time()
        decoded = decode(batch)
        times.add("decode", begun)
        begun = thread_time()
        result = validate(decoded, schema, Moment(datetime.now(UTC)))
        times.add("validate", begun)
        if result.rejections:
            raise RuntimeError("rows of the benchmark are refused")
        return result.table

    def _group(self, tables: Sequence[pa.Table], times: StageTimes) -> CopyBytes:
        begun = thread_time()
        whole = pa.concat_tables(tables, promote_options="default")
        places = np.arange(len(whole))
        prepared: Any = self._kind.landing(self._model).prepare(GroupRows([], whole, np.zeros_like(places), places))
        times.add("encode", begun)
        return CopyBytes(prepared.rows.columns, prepared.rows.data)  # beside them, the note of their hours


async def _model(arena: Arena, name: str) -> ModelSchema:
    open_connection = partial(connect, arena.database_url, instance="benchmark")
    async with asyncpg.create_pool(arena.database_url, min_size=1, max_size=1) as pool:
        model = await Registry(pool, open_connection).get("main", name)
    if model is None:
        raise LookupError(f"no model {name}")
    return model


async def _nothing_follows(*_: object) -> None:
    pass
