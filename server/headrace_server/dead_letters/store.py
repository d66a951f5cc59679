"""Writes dead letters, inside the transaction of their batch: a letter is there if and only if its batch is settled."""

from collections.abc import Iterable

import asyncpg

from headrace_server.batching.batch import DeadLetter, PendingBatch, Producer

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


async def write_letters(
    connection: "asyncpg.Connection[asyncpg.Record]", letters: Iterable[tuple[PendingBatch, list[DeadLetter]]]
) -> None:
    """Write the letters of the batches."""
    rows = [_row(batch, letter) for batch, of_batch in letters for letter in of_batch]
    if rows:
        await connection.execute(_WRITE, *(list(column) for column in zip(*rows, strict=True)))


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
        letter.reason,
        letter.column.replace("\0", "\\0"),
        letter.message,
        letter.sqlstate,
        letter.payload,
        letter.payload_bytes,
        letter.payload_sha256,
    )
