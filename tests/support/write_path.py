"""The service's write path without its doors: rows as JSON go in, results come out, through real copiers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson

from headrace.v1 import batch_pb2, result_pb2
from headrace_server.batching.batch import PendingBatch, Producer, Request
from headrace_server.batching.batcher import Batcher
from headrace_server.copying.chunks import ChunkBook
from headrace_server.copying.connection import Connection
from headrace_server.copying.copier import Copier
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.opening import open_session
from headrace_server.copying.record_kind import RecordKind
from headrace_server.events.kind import EventsKind
from headrace_server.intake.limits import Limits
from headrace_server.intake.taking_in import TakingIn
from headrace_server.joining.landing import LateLanding
from headrace_server.joining.tables import LateTables
from headrace_server.late_kinds.kinds import LateKinds
from headrace_server.models import late_tables
from headrace_server.models.per_revision import PerRevision
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.storage.pool import Connect

EVENTS, LABELS = batch_pb2.RECORD_KIND_EVENTS, batch_pb2.RECORD_KIND_LABELS
INFLUENCES, VARIANTS = batch_pb2.RECORD_KIND_INFLUENCES, batch_pb2.RECORD_KIND_VARIANTS
METRICS = batch_pb2.RECORD_KIND_METRICS
ANSWER_S = 60.0

Rows = Sequence[Mapping[str, Any]] | batch_pb2.ColumnBatch
Result = result_pb2.BatchResult


class WritePath:
    """One replica: everything between a message and its result.

    Attributes:
        registry: Its models.
        late: Its late kinds.
        labels: Its LABELS kind.
        woken: Set when its late rows asked for the resolver.
    """

    def __init__(self, registry: Registry, connect: Connect, copiers: int, search_budget_s: float) -> None:
        self.registry = registry
        self.woken = asyncio.Event()
        self.late = LateKinds(self.woken.set, search_budget_s)
        self.labels = self.late.by_number[LABELS]
        self.events = EventsKind(self.late.after_events)
        self._kinds: dict[int, RecordKind] = {EVENTS: self.events, **self.late.by_number}
        limits = Limits(
            max_batch_bytes=64 << 20,
            max_batch_rows=200_000,
            open_timeout_s=10.0,
            idle_timeout_s=60.0,
            acks_timeout_s=60.0,
            heartbeat_s=4.0,
            suggested_batch_rows=5_000,
            suggested_linger_ms=5,
        )
        self._taking_in = TakingIn(self._kinds, registry, limits)
        self._connect = connect
        self._batchers = [Batcher(20_000, 64 << 20) for _ in range(copiers)]
        chunks = ChunkBook()
        self._running: list[asyncio.Task[None]] = []
        self.copiers = [Copier(batcher, connect, Unobserved(), chunks) for batcher in self._batchers]

    def start(self) -> None:
        """Run the copiers."""
        self._running = [asyncio.create_task(copier.run()) for copier in self.copiers]

    async def stop(self) -> None:
        """Cancel the copiers, as the service does when it stops; safe twice."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def end_after_commits(self) -> None:
        """From now on the connection is lost after each COMMIT, before anything that follows it."""
        spec = late_tables.LABELS
        self.labels.landing = PerRevision(
            lambda model: EndsAfterCommit(LateTables.of(model, spec), model.revision, self.woken.set, 0.3)
        )

        async def end(model: ModelSchema, connection: Connection, rows: GroupRows) -> None:
            connection.terminate()
            await self.late.after_events(model, connection, rows)

        self._kinds[EVENTS] = EventsKind(end)

    async def send(
        self,
        kind: batch_pb2.RecordKind.ValueType,
        rows: Rows,
        *,
        model: str = "flight_delay",
        origin: Producer | Request | None = None,
        seq: int = 0,
        copier: int = 0,
    ) -> Result:
        """Commit one batch and return its result; a unary call's where no origin is given."""
        pending = await self.take_in(kind, rows, model=model, origin=origin, seq=seq)
        self._batchers[copier].put(pending)
        async with asyncio.timeout(ANSWER_S):
            return await pending.settled

    def put(self, batch: PendingBatch, copier: int = 0) -> None:
        """Leave a batch to a copier."""
        self._batchers[copier].put(batch)

    async def take_in(
        self,
        kind: batch_pb2.RecordKind.ValueType,
        rows: Rows,
        *,
        model: str = "flight_delay",
        origin: Producer | Request | None = None,
        seq: int = 0,
    ) -> PendingBatch:
        """Validate one batch and leave it to the caller."""
        batch = batch_pb2.Batch(seq=seq, kind=kind, model=model)
        if isinstance(rows, batch_pb2.ColumnBatch):
            batch.columns.CopyFrom(rows)
        else:
            batch.json.rows = orjson.dumps(list(rows), default=str)
        origin = origin or Request("main", uuid4())
        epoch = 1 if isinstance(origin, Producer) else 0
        return await self._taking_in.take_in(origin, batch, batch.ByteSize(), epoch=epoch)

    async def producer(self) -> Producer:
        """A producer with a session."""
        producer = Producer("main", uuid4())
        connection = await self._connect()
        try:
            await open_session(connection, producer, 0, "test")
        finally:
            await connection.close()
        return producer


class EndsAfterCommit(LateLanding):
    """Labels of a process that ends right after their COMMIT."""

    async def settle(self, connection: Connection, rows: GroupRows, landed: Landed) -> None:
        connection.terminate()
        await super().settle(connection, rows, landed)


class Unobserved:
    """Looks away from what copiers report."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@asynccontextmanager
async def running_write_path(
    registry: Registry, connect: Connect, *, copiers: int = 2, search_budget_s: float = 0.3
) -> AsyncIterator[WritePath]:
    """Run a replica's copiers."""
    path = WritePath(registry, connect, copiers, search_budget_s)
    path.start()
    try:
        yield path
    finally:
        await path.stop()
