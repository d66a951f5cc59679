"""A batch that touches more chunks than one transaction may: stored in parts, each written down with its rows.

Ledger and rows must agree at every moment, also after a crash between two parts. So each part's transaction claims the
batch like any other, stores the rows of a few chunks, and writes their places and verdicts into headrace.batch_parts;
only the last transaction advances the ledger. Whoever tries again, here or on another replica, finds what is stored and
goes on with the rest: by the rows' places and not by counting parts, so that nobody has to divide alike.
"""

import asyncio
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.v1 import error_reason_pb2, result_pb2
from headrace_server.batching.batch import DeadLetter, PendingBatch
from headrace_server.batching.verdicts import Refusal, Verdict, Verdicts, result_of
from headrace_server.copying import ledger
from headrace_server.copying.chunks import MOST_MADE, MOST_OWNED, MOST_TOUCHED, ChunkBook
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.group import Part, landing_of
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.settling import follow_up
from headrace_server.copying.touched import write_notes
from headrace_server.copying.transaction import Committed, Land, Outcome, add_refusals, write_outcomes
from headrace_server.dead_letters.letters import letter_of_refusal
from headrace_server.dead_letters.store import write_letters
from headrace_server.validation.rejections import Rejections

_READ = """
SELECT part, places, verdicts, result FROM headrace.batch_parts
WHERE project = $1 AND origin_id = $2 AND seq = $3 ORDER BY part
"""
_WRITE = """
INSERT INTO headrace.batch_parts (project, origin_id, seq, part, places, verdicts, result)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_FORGET = "DELETE FROM headrace.batch_parts WHERE project = $1 AND origin_id = $2 AND seq = $3"
_PREFIX = len("ERROR_REASON_")


@dataclass
class Stored:
    """What of a batch is stored, over all parts so far.

    Attributes:
        parts: How many parts there are.
        verdicts: Verdicts of the batch's rows; those of rows not yet stored mean nothing.
        done: Rows that have their verdict.
        rejections: Why rows were refused, by validation and while landing.
    """

    parts: int
    verdicts: Verdicts
    done: npt.NDArray[np.bool_]
    rejections: Rejections


async def commit_in_parts(connection: Connection, batch: PendingBatch, chunks: ChunkBook, land: Land) -> Committed:
    """Store a batch over as many transactions as it needs.

    Args:
        connection: A connection of the caller's own.
        batch: The batch.
        chunks: Says which chunks are there already.
        land: How a part's rows are written.

    Raises:
        asyncpg.PostgresError, OSError: As commit_group; parts that are stored stay stored, and are found again.
    """
    while True:
        async with transaction(connection):
            claim = await ledger.claim(connection, [batch])
            if not claim.commit:
                return Committed(claim, [], {})
            batch.attempted = True
            stored = await _read(connection, batch)
            rest = np.flatnonzero(~stored.done[batch.places])
            if len(rest) == 0:
                outcome = Outcome(stored.verdicts, stored.rejections, batch.letters)
                await write_outcomes(connection, {batch: outcome})
                await connection.execute(_FORGET, batch.origin.project, batch.origin.id, batch.seq)
                return Committed(claim, [], {batch: outcome})
            rows = GroupRows.of([batch]).take(rest)
            part, landed = await _store_part(connection, batch, rows, chunks, land)
            await _write(connection, batch, stored.parts, part.rows, landed)
            await write_notes(connection, landed.notes)
        chunks.learn([part])
        await follow_up(connection, part, landed)


async def _store_part(
    connection: Connection, batch: PendingBatch, rows: GroupRows, chunks: ChunkBook, land: Land
) -> tuple[Part, Landed]:
    """Store the rows of the next few chunks; refuse those the model has no room for."""
    landing = landing_of(batch)
    numbers = landing.target.chunks_of(rows.table)
    new = await chunks.new_chunks(connection, landing.target, np.unique(numbers))
    allowed = chunks.within_limit(landing.target, new)
    refused = np.isin(numbers, list(new - allowed))
    if refused.any():
        part = Part(landing, rows.take(np.flatnonzero(refused)), None, np.empty(0, dtype=np.int64))
        message = f"the model would own more than {MOST_OWNED} chunks: give it a longer chunk_interval"
        why = {at: Refusal(int(place), "CHUNK_LIMIT", message) for at, place in enumerate(part.rows.places)}
        return part, Landed(np.full(len(part.rows), Verdict.REJECTED, dtype=np.uint8), why)
    taken: list[int] = []
    made = 0
    for number in np.unique(numbers).tolist():
        made += number in new
        if len(taken) == MOST_TOUCHED or made > MOST_MADE:
            break
        taken.append(number)
    part = Part.of(landing, rows.take(np.flatnonzero(np.isin(numbers, taken))))
    return part, await land(connection, part)


async def _read(connection: Connection, batch: PendingBatch) -> Stored:
    stored = Stored(0, batch.verdicts(), batch.rejections.mask(), batch.rejections.copy())
    for row in await connection.fetch(_READ, batch.origin.project, batch.origin.id, batch.seq):
        places = np.frombuffer(row["places"], dtype="<i8")
        stored.parts = row["part"] + 1
        stored.verdicts[places] = np.frombuffer(row["verdicts"], dtype=np.uint8)
        stored.done[places] = True
        for errors in result_pb2.BatchResult.FromString(row["result"]).errors:
            mask = np.zeros(batch.row_count, dtype=np.bool_)
            for start, length in zip(errors.rows.starts, errors.rows.lengths, strict=True):
                mask[start : start + length] = True
            reason = error_reason_pb2.ErrorReason.Name(errors.reason)[_PREFIX:]
            stored.rejections.add(reason, errors.column, mask, errors.message)
    return stored


async def _write(connection: Connection, batch: PendingBatch, part: int, rows: GroupRows, landed: Landed) -> None:
    rejections = Rejections(batch.row_count)
    add_refusals(rejections, landed.refusals.values())
    letters = await asyncio.to_thread(_letters, batch, landed)
    await write_letters(connection, [(batch, letters)])
    result = result_of(batch.seq, np.empty(0, dtype=np.uint8), rejections)
    key = (batch.origin.project, batch.origin.id, batch.seq, part)
    places = rows.places.astype("<i8").tobytes()
    await connection.execute(_WRITE, *key, places, landed.verdicts.tobytes(), result.SerializeToString())


def _letters(batch: PendingBatch, landed: Landed) -> list[DeadLetter]:
    return [letter_of_refusal(batch, refusal) for refusal in landed.refusals.values()]
