"""The inbox: where rows wait whose event is not known yet, and how they leave it.

Rows enter it in a group's transaction, under the model's lock, with ids that grow from commit to commit: whoever has
seen all up to some id has missed none. They leave it into the rows' hypertable, once each, in the statement that
deletes them; an equal row that is there already swallows them.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from headrace_server.batching.batch import Producer
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.encoding import encode
from headrace_server.copying.landing import GroupRows
from headrace_server.copying.target import copy
from headrace_server.joining.arrangement import micros_of
from headrace_server.joining.keys import by_index
from headrace_server.joining.tables import NEVER_COMPARED, LateTables
from headrace_server.models.column_types import TIMESTAMP
from headrace_server.models.names import INBOX_NAMES, quote_identifier
from headrace_server.storage.waited_for import MARK

# Rows under one hold of the lock: rows that are being stored wait for it a fraction of a second.
MOVED_AT_ONCE = 10_000

_LOCK = f"SELECT {MARK}, pg_advisory_xact_lock(hashtextextended($1, 0)), clock_timestamp()"
_RESERVE = """
SELECT setval(ids, nextval(ids) + $2 - 1) - $2 + 1
FROM (SELECT pg_get_serial_sequence($1, 'inbox_id')::regclass AS ids) AS of_inbox
"""
_COLUMNS = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
"""

Waiting = tuple[int, datetime]
"""inbox_id of a row that waits, and the time of its event, which was found."""


async def lock(connection: Connection, tables: LateTables) -> datetime:
    """Wait for the model's rows, until the end of the transaction; returns the database's clock.

    Only one transaction at a time stores rows of a model. So no two store the same row, and the times that they
    write down grow in the order in which they commit.
    """
    row = await connection.fetchrow(_LOCK, tables.lock)
    moment: datetime = row[2]
    return moment


async def put(connection: Connection, tables: LateTables, rows: GroupRows) -> int:
    """Add rows; returns the inbox_id of the first, the others follow it.

    Args:
        connection: In the group's transaction, holding the lock.
        tables: The model's tables.
        rows: The rows, with recorded_time.
    """
    first: int = await connection.fetchval(_RESERVE, tables.inbox, len(rows))
    columns, data = await asyncio.to_thread(_encode, tables, rows, first)
    await copy(connection, tables.settled.schema, tables.inbox_name, columns, data)
    return first


def _encode(tables: LateTables, rows: GroupRows, first: int) -> tuple[list[str], memoryview]:
    origins = [batch.origin for batch in rows.batches]
    producers = [origin.id.bytes if isinstance(origin, Producer) else None for origin in origins]
    seqs = np.array([batch.seq for batch in rows.batches], dtype=np.int64)
    own = {
        "inbox_id": pa.array(np.arange(first, first + len(rows))),
        "producer_id": pa.array(producers, pa.binary(16)).take(pa.array(rows.owner)),
        "seq": pa.array(seqs[rows.owner]),
        "row_index": pa.array(rows.places.astype(np.int32)),
    }
    table = pa.table([*own.values(), *rows.table.columns], names=[*own, *rows.table.column_names])
    return table.column_names, encode(table, tables.settled.json_columns)


async def move(connection: Connection, tables: LateTables, waiting: Sequence[Waiting]) -> set[int]:
    """Store rows whose events were found, in lots with a transaction each.

    Args:
        connection: Not in a transaction.
        tables: The model's tables.
        waiting: The rows; those that somebody else has moved meanwhile are left alone.

    Returns:
        inbox_ids of rows that were swallowed, since an equal one was there.
    """
    swallowed: set[int] = set()
    for low in range(0, len(waiting), MOVED_AT_ONCE):
        lot = waiting[low : low + MOVED_AT_ONCE]
        event_times = micros_of(pa.chunked_array([[time for _, time in lot]], TIMESTAMP))
        chunks = tables.settled.chunk_numbers(event_times)
        async with transaction(connection), by_index(connection):
            await lock(connection, tables)
            compared = await _compared(connection, tables)
            for chunk, start, end in tables.settled.windows(chunks):
                some = [lot[at] for at in np.flatnonzero(chunks == chunk).tolist()]
                ids, times = (list(column) for column in zip(*some, strict=True))
                equal = await connection.fetch(_move_sql(tables, compared, start, end), ids, times)
                swallowed.update(row[0] for row in equal)
            await tables.note(connection, event_times)
    return swallowed


async def _compared(connection: Connection, tables: LateTables) -> list[str]:
    """The columns that are compared and moved, as they stand: the model may have got a row since our revision."""
    names = await connection.fetchval(_COLUMNS, tables.inbox)
    return [quote_identifier(name) for name in names if name not in INBOX_NAMES | NEVER_COMPARED]


def _move_sql(tables: LateTables, compared: list[str], start: str, end: str) -> str:
    columns = ", ".join(compared)
    same = " AND ".join(f"l.{column} IS NOT DISTINCT FROM m.{column}" for column in compared)
    return (
        # Identifiers of the registry, quoted.
        "WITH moved AS (DELETE FROM"  # noqa: S608
        f" {tables.inbox} i USING unnest($1::bigint[], $2::timestamptz[]) AS found (inbox_id, time)"
        " WHERE i.inbox_id = found.inbox_id"
        " RETURNING i.inbox_id, i.event_id, found.time AS event_time, i.recorded_time,"
        f" {', '.join(f'i.{column}' for column in compared)}),"
        f" fresh AS (SELECT DISTINCT ON (event_id, event_time, {columns}) * FROM moved m"
        f" WHERE NOT EXISTS (SELECT FROM {tables.settled.sql} l WHERE l.event_id = m.event_id"
        f" AND l.event_time = m.event_time AND l.event_time >= {start} AND l.event_time < {end} AND {same})"
        f" ORDER BY event_id, event_time, {columns}, inbox_id),"
        f" stored AS (INSERT INTO {tables.settled.sql} (event_id, event_time, recorded_time, {columns})"
        f" SELECT event_id, event_time, recorded_time, {columns} FROM fresh)"
        " SELECT inbox_id FROM moved EXCEPT SELECT inbox_id FROM fresh"
    )
