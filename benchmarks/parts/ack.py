"""How long one event on an idle service takes until its ack: the least that durability costs."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import asyncpg
import grpc

from benchmarks.arena import Arena
from benchmarks.figures import percentile, rounded
from benchmarks.headrace_paths.wire_stream import METHOD, OPTIONS
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN, Row
from benchmarks.scale import Scale
from benchmarks.stages import encoded_batches
from benchmarks.tables import Table, make_table
from headrace import Identity
from headrace.encoding import wire
from headrace.v1 import ingest_service_pb2

PAUSE_S = 0.01
NOTE = "From the call to its durable ack, ten milliseconds apart, nothing else going on. UNIQUE model, text ids."


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure publish() of one row, a bare stream, and a bare INSERT."""
    table, inserts = (make_table(arena, name, THIRTEEN, Identity.UNIQUE) for name in ("ack", "ack_insert"))
    count = round(30 * scale.seconds)
    rows = THIRTEEN.rows(2 * count + 40)
    waits = {
        "publish() of one row": _published(table, rows[: count + 20]),
        "INSERT of one row, straight to the database": arena.wait(_inserted(arena, inserts, rows[:count])),
        "one row on a bare stream": arena.wait(_streamed(arena, list(encoded_batches(table, rows[count + 20 :], 1)))),
    }
    lines = [
        [name, *(rounded(percentile(seconds, share) * 1e3) for share in (0.5, 0.99))] for name, seconds in waits.items()
    ]
    published = waits["publish() of one row"]
    figures = {f"ack_ms.p{name}": percentile(published, share) * 1e3 for name, share in (("50", 0.5), ("99", 0.99))}
    return Outcome(figures=figures, grids=[Grid("One event, idle service", ["", "p50 ms", "p99 ms"], lines, NOTE)])


def _published(table: Table, rows: list[Row]) -> list[float]:
    waits = []
    for row in rows:
        begun = time.perf_counter()
        table.model.publish([row])
        waits.append(time.perf_counter() - begun)
        time.sleep(PAUSE_S)
    return waits[20:]


async def _inserted(arena: Arena, table: Table, rows: list[Row]) -> list[float]:
    """The same durability without a service between: a prepared INSERT into a table of the same definition."""
    columns = table.shape.columns
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    connection = await asyncpg.connect(arena.database_url)
    waits = []
    try:
        insert = await connection.prepare(f"INSERT INTO {table.sql} ({', '.join(columns)}) VALUES ({places})")
        for row in rows:
            begun = time.perf_counter()
            await insert.fetch(*(row[column] for column in columns))
            waits.append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close()
    return waits[20:]


async def _streamed(arena: Arena, bodies: list[bytes]) -> list[float]:
    waits = []
    async with grpc.aio.insecure_channel(arena.service.grpc, options=OPTIONS) as channel:
        method: Any = channel.stream_stream(METHOD, response_deserializer=ingest_service_pb2.IngestResponse.FromString)
        call = method()
        opening = ingest_service_pb2.IngestRequest(open=ingest_service_pb2.Open(producer_id=str(uuid.uuid4())))
        await call.write(opening.SerializeToString())
        await call.read()
        for seq, body in enumerate(bodies, 1):
            begun = time.perf_counter()
            await call.write(wire.enveloped(wire.with_seq(body, seq)))
            while (await call.read()).ack.through_seq < seq:
                pass
            waits.append(time.perf_counter() - begun)
            await asyncio.sleep(PAUSE_S)
        await call.done_writing()
        await call.read()
    return waits[20:]
