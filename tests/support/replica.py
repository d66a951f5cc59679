"""Sessions on a write path without doors, and the troubles that a test can make for it inside the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch, Producer
from headrace_server.copying.opening import Opening, open_session
from headrace_server.storage.pool import Connect
from support.write_path import EVENTS, WritePath

START = datetime(2013, 1, 1, tzinfo=UTC)
ANSWER_S = 30.0

Rows = Sequence[Mapping[str, Any]]


def flights(count: int, first: int = 0, **columns: Any) -> list[dict[str, Any]]:
    """Events f000000 … in the order of their ids, a second apart."""
    return [
        {
            "event_id": f"f{n:06}",
            "event_time": START + timedelta(seconds=n),
            "dep_delay": float(n),
            "score": 0.5,
            **columns,
        }
        for n in range(first, first + count)
    ]


class Session:
    """One session of a producer on one replica.

    Attributes:
        opening: What the ledger said when it opened.
    """

    def __init__(self, path: WritePath, producer: Producer, opening: Opening) -> None:
        self._path = path
        self.producer = producer
        self.opening = opening
        self.next_seq = opening.last_seq + 1

    async def put(self, rows: Rows, *, seq: int | None = None, model: str = "flight_delay") -> PendingBatch:
        """Hand a batch to the copier and do not wait."""
        number = self.next_seq if seq is None else seq
        batch = await self._path.take_in(EVENTS, rows, origin=self.producer, seq=number, model=model)
        batch.epoch = self.opening.epoch
        self.next_seq = number + 1
        self._path.put(batch)
        return batch

    async def send(self, rows: Rows, *, seq: int | None = None, model: str = "flight_delay") -> result_pb2.BatchResult:
        """Commit a batch; returns its result."""
        return await settled(await self.put(rows, seq=seq, model=model))


async def settled(batch: PendingBatch) -> result_pb2.BatchResult:
    """Wait for a batch's result."""
    async with asyncio.timeout(ANSWER_S):
        return await asyncio.shield(batch.settled)


async def open_on(
    path: WritePath, connect: Connect, producer_id: UUID | None = None, results_through: int = 0
) -> Session:
    """Open a session, of a new producer by default."""
    producer = Producer("main", producer_id or uuid4())
    connection = await connect()
    try:
        return Session(path, producer, await open_session(connection, producer, results_through, "test"))
    finally:
        await connection.close()


async def raise_on_insert(
    connection: asyncpg.Connection,
    sqlstate: str,
    times: int,
    message: str = "made by a test",
    table: str = "flight_delay",
) -> None:
    """Have the table raise an error for the next rows it gets, so many times over all transactions."""
    await connection.execute(
        f"""
        CREATE SEQUENCE IF NOT EXISTS troubles;
        CREATE OR REPLACE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('troubles') <= {times} THEN  -- what a sequence gave is not taken back by a rollback
                RAISE EXCEPTION '{message}' USING ERRCODE = '{sqlstate}';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER trouble BEFORE INSERT ON main.{table} FOR EACH ROW EXECUTE FUNCTION trouble();
        """
    )


async def row_count(connection: asyncpg.Connection, table: str = "flight_delay") -> int:
    """Rows in a table of the project main."""
    return await connection.fetchval(f"SELECT count(*) FROM main.{table}")
