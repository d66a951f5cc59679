"""Writes dead letters, inside the transaction of their batch: a letter is there if and only if its batch is settled.

A letter that is replayed is locked first of all in its transaction, and marked in it: with the time it was stored, or
with the reason it was refused for this time.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import asyncpg

from headrace.v1 import result_pb2
from headrace_server.batching.batch import DeadLetter, Letter, PendingBatch, Producer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_WRITE = """
INSERT INTO headrace.dead_letters (
    project, producer_id, request_id, seq, row_index, model, kind, reason, column_name, message, sqlstate,
    payload, payload_bytes, payload_sha256
)
SELECT * FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::int[], $6::text[], $7::smallint[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::bytea[], $13::bigint[], $14::bytea[]
)
ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT id, replayed_at IS NOT NULL AS is_replayed FROM headrace.dead_letters
WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE
"""
_MARK_REPLAYED = """
UPDATE headrace.dead_letters SET replayed_at = now(), last_replay_at = now(), replays = replays + 1
WHERE id = ANY($1::bigint[])
"""
_MARK_REFUSED = """
UPDATE headrace.dead_letters d
SET reason = r.reason, column_name = r.column_name, message = r.message, sqlstate = r.sqlstate,
    last_replay_at = now(), replays = replays + 1
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS r (id, reason, column_name, message, sqlstate)
WHERE d.id = r.id
"""
# Rows of a batch that had been refused as a whole get letters like those of any batch's rows.
_WRITE_ROWS = """
INSERT INTO headrace.dead_letters (
    project, producer_id, request_id, seq, row_index, model, kind, reason, column_name, message, sqlstate,
    payload, payload_bytes, payload_sha256, created_at, last_replay_at, replays
)
SELECT d.project, d.producer_id, d.request_id, d.seq, r.row_index, d.model, d.kind, r.reason, r.column_name, r.message,
       r.sqlstate, r.payload, r.payload_bytes, r.payload_sha256, d.created_at, now(), d.replays + 1
FROM headrace.dead_letters d
JOIN unnest(
    $1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bigint[], $9::bytea[]
) AS r (id, row_index, reason, column_name, message, sqlstate, payload, payload_bytes, payload_sha256) USING (id)
ON CONFLICT DO NOTHING
"""
_CONFLICT = "the (event_id, event_time) is taken by a row that differs; the stored row stays"


async def write_letters(connection: Connection, letters: Iterable[tuple[PendingBatch, Sequence[DeadLetter]]]) -> None:
    """Write the letters of the batches; what was replayed from a letter and is refused again goes back into it."""
    fresh: list[tuple[object, ...]] = []
    again: list[tuple[object, ...]] = []
    rows: list[tuple[object, ...]] = []
    for batch, of_batch in letters:
        for letter in of_batch:
            if not isinstance(batch.origin, Letter):
                fresh.append(_row(batch, letter))
            elif letter.row < 0 or batch.row_count == 1:
                again.append((batch.origin.number, *_why(letter)))
            else:
                rows.append((batch.origin.number, letter.row, *_why(letter), *_what(letter)))
    for statement, values in ((_WRITE, fresh), (_MARK_REFUSED, again), (_WRITE_ROWS, rows)):
        if values:
            await connection.execute(statement, *_columns(values))


async def lock_letters(connection: Connection, numbers: Sequence[int]) -> dict[int, bool]:
    """Lock letters to the end of the transaction; says of each that is there whether it has been replayed."""
    rows = await connection.fetch(_LOCK, sorted(set(numbers)))
    return {row["id"]: row["is_replayed"] for row in rows}


async def mark_replayed(
    connection: Connection,
    results: Iterable[tuple[PendingBatch, result_pb2.BatchResult, Sequence[DeadLetter]]],
) -> None:
    """Mark the letters whose rows are stored now, were there before, or have letters of their own.

    A conflict stays a letter, and so does what `write_letters` has put back into its own.
    """
    settled: list[int] = []
    conflicts: list[tuple[object, ...]] = []
    for batch, result, letters in results:
        if not isinstance(batch.origin, Letter):
            continue
        stays = result.rejected == result.rows == 1 or any(letter.row < 0 for letter in letters)
        if result.rows and result.conflict == result.rows:
            conflicts.append((batch.origin.number, "REPLAY_CONFLICT", "", _CONFLICT, ""))
        elif not stays:
            settled.append(batch.origin.number)
    if settled:
        await connection.execute(_MARK_REPLAYED, settled)
    if conflicts:
        await connection.execute(_MARK_REFUSED, *_columns(conflicts))


def _row(batch: PendingBatch, letter: DeadLetter) -> tuple[object, ...]:
    of_producer = isinstance(batch.origin, Producer)
    return (
        batch.origin.project,
        batch.origin.id if of_producer else None,
        None if of_producer else batch.origin.id,
        batch.seq,
        None if letter.row < 0 else letter.row,
        batch.model.replace("\0", "\\0"),
        batch.kind,
        *_why(letter),
        *_what(letter),
    )


def _why(letter: DeadLetter) -> tuple[str, str, str, str]:
    return letter.reason, letter.column.replace("\0", "\\0"), letter.message, letter.sqlstate


def _what(letter: DeadLetter) -> tuple[bytes, int, bytes]:
    return letter.payload, letter.payload_bytes, letter.payload_sha256


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
