"""The ledger: which batches of a producer are committed, locked first and advanced last in the COPY's own transaction.

Promise 2 lives here: a batch sent again, to any replica, after any crash, never adds a row. A transaction claims its
batches (row locks on their producers, in one order for everybody), lets go of those that are not next in turn, and only
then copies. Unary requests are claimed the same way, by inserting their id; dead letters that are replayed, by locking
them while they wait.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from headrace.v1 import result_pb2
from headrace_server.batching.batch import Letter, Origin, PendingBatch, Producer, Request
from headrace_server.batching.verdicts import is_plain
from headrace_server.copying.connection import Connection
from headrace_server.copying.touched import NOTE, HourNote, as_columns, write_notes
from headrace_server.dead_letters.store import lock_letters
from headrace_server.errors import (
    DatabaseUnavailableError,
    DeadLetterNotFoundError,
    FencedError,
    HeadraceError,
    RequestIdReusedError,
)

_LOCK_PRODUCERS = """
SELECT p.project, p.producer_id, p.epoch, p.last_seq, p.results_expired_through
FROM headrace.producers p
JOIN unnest($1::text[], $2::uuid[]) AS wanted (project, producer_id) USING (project, producer_id)
ORDER BY p.project, p.producer_id
FOR UPDATE OF p
"""
_READ_RESULTS = """
SELECT r.project, r.producer_id, r.seq, r.result
FROM headrace.batch_results r
JOIN unnest($1::text[], $2::uuid[], $3::bigint[]) AS wanted (project, producer_id, seq)
    USING (project, producer_id, seq)
"""
_WRITE_RESULTS = """
INSERT INTO headrace.batch_results (project, producer_id, seq, result)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bytea[])
ON CONFLICT (project, producer_id, seq) DO UPDATE SET result = excluded.result
"""
_ADVANCE = f"""
WITH noted AS ({NOTE})
UPDATE headrace.producers p
SET last_seq = settled.seq, last_seen_at = now(), stored = p.stored + settled.stored,
    duplicate = p.duplicate + settled.duplicate, conflict = p.conflict + settled.conflict,
    rejected = p.rejected + settled.rejected, undecodable_batches = p.undecodable_batches + settled.undecodable,
    skipped = p.skipped + settled.skipped
FROM unnest(
    $6::text[], $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
    $14::bigint[]
) AS settled (project, producer_id, seq, stored, duplicate, conflict, rejected, undecodable, skipped)
WHERE p.project = settled.project AND p.producer_id = settled.producer_id
"""  # noqa: S608 - texts of ours, values are parameters
_CLAIM_REQUESTS = """
INSERT INTO headrace.requests (project, request_id, payload_hash)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::bytea[]) AS r (project, request_id, payload_hash)
ORDER BY r.project, r.request_id
ON CONFLICT (project, request_id) DO NOTHING
RETURNING project, request_id
"""
_READ_REQUESTS = """
SELECT r.project, r.request_id, r.payload_hash, r.result
FROM headrace.requests r
JOIN unnest($1::text[], $2::uuid[]) AS wanted (project, request_id) USING (project, request_id)
ORDER BY r.project, r.request_id
FOR UPDATE OF r
"""
_WRITE_REQUESTS = """
UPDATE headrace.requests r
SET result = settled.result
FROM unnest($1::text[], $2::uuid[], $3::bytea[]) AS settled (project, request_id, result)
WHERE r.project = settled.project AND r.request_id = settled.request_id
"""


@dataclass
class Claim:
    """A transaction's batches, sorted by what the ledger says of them.

    Attributes:
        commit: Next in turn: to be written by this transaction.
        ahead: Come later: an earlier batch of the producer, or its twin, is not committed yet.
        replayed: Committed before, with the result of then.
        refused: Never to be committed, with the error for their session or call.
    """

    commit: list[PendingBatch] = field(default_factory=list)
    ahead: list[PendingBatch] = field(default_factory=list)
    replayed: list[tuple[PendingBatch, result_pb2.BatchResult]] = field(default_factory=list)
    refused: list[tuple[PendingBatch, HeadraceError]] = field(default_factory=list)


async def claim(connection: Connection, batches: Sequence[PendingBatch]) -> Claim:
    """Lock the producers, requests and letters of the batches and say which batches are next in turn.

    The first statement of every transaction that writes rows. Holds the locks until its end.
    """
    claimed = Claim()
    of_producers = [batch for batch in batches if isinstance(batch.origin, Producer)]
    of_requests = [batch for batch in batches if isinstance(batch.origin, Request)]
    of_letters = [batch for batch in batches if isinstance(batch.origin, Letter)]
    if of_producers:
        await _claim_producers(connection, of_producers, claimed)
    if of_requests:
        await _claim_requests(connection, of_requests, claimed)
    if of_letters:
        await _claim_letters(connection, of_letters, claimed)
    return claimed


async def _claim_producers(connection: Connection, batches: Sequence[PendingBatch], claimed: Claim) -> None:
    projects, ids = _keys({batch.origin for batch in batches})
    rows = await connection.fetch(_LOCK_PRODUCERS, projects, ids)
    standing = {Producer(row["project"], row["producer_id"]): row for row in rows}
    expected = {producer: row["last_seq"] + 1 for producer, row in standing.items()}
    committed: list[PendingBatch] = []
    for batch in sorted(batches, key=lambda batch: batch.seq):
        producer = batch.origin
        assert isinstance(producer, Producer)  # noqa: S101 - tells the type checker what the caller chose
        if producer not in standing:
            gone = "the ledger has forgotten this producer; open the stream again"
            claimed.refused.append((batch, DatabaseUnavailableError(gone)))
        elif batch.epoch > standing[producer]["epoch"]:
            gone = "the ledger knows nothing of this session: the database went back in time; open the stream again"
            claimed.refused.append((batch, DatabaseUnavailableError(gone)))
        elif batch.epoch < standing[producer]["epoch"]:
            fenced = f"a newer session (epoch {standing[producer]['epoch']}) of producer {producer.id} has taken over"
            claimed.refused.append((batch, FencedError(fenced)))
        elif batch.seq <= standing[producer]["last_seq"]:
            committed.append(batch)
        elif batch.seq != expected[producer]:
            claimed.ahead.append(batch)  # too early, or the second of the same: answered from the books, once written
        else:
            expected[producer] = batch.last_seq + 1
            claimed.commit.append(batch)
    if committed:
        expired: dict[Origin, int] = {producer: row["results_expired_through"] for producer, row in standing.items()}
        claimed.replayed.extend(await _results_of(connection, committed, expired))


async def _results_of(
    connection: Connection, batches: Sequence[PendingBatch], expired: Mapping[Origin, int]
) -> Iterable[tuple[PendingBatch, result_pb2.BatchResult]]:
    """The results of then; a batch without one was stored whole, unless that is too long ago to tell."""
    projects, ids = [batch.origin.project for batch in batches], [batch.origin.id for batch in batches]
    rows = await connection.fetch(_READ_RESULTS, projects, ids, [batch.seq for batch in batches])
    kept = {(row["project"], row["producer_id"], row["seq"]): row["result"] for row in rows}
    replayed = []
    for batch in batches:
        result = result_pb2.BatchResult(seq=batch.seq, rows=batch.row_count, stored=batch.row_count)
        written = kept.get((batch.origin.project, batch.origin.id, batch.seq))
        if written is not None:
            result.ParseFromString(written)
        elif batch.seq <= expired[batch.origin]:
            result = result_pb2.BatchResult(seq=batch.seq, rows=batch.row_count, result_expired=True)
        # An attempt of this very session whose outcome was unknown is no replay to its client.
        result.replayed = not batch.attempted
        replayed.append((batch, result))
    return replayed


async def _claim_requests(connection: Connection, batches: Sequence[PendingBatch], claimed: Claim) -> None:
    alike: dict[Request, list[PendingBatch]] = {}
    for batch in batches:
        assert isinstance(batch.origin, Request)  # noqa: S101 - as above
        alike.setdefault(batch.origin, []).append(batch)
    projects, ids = _keys(alike)
    hashes = [
        alike[Request(project, request_id)][0].payload_hash for project, request_id in zip(projects, ids, strict=True)
    ]
    rows = await connection.fetch(_CLAIM_REQUESTS, projects, ids, hashes)
    for row in rows:
        first, *others = alike.pop(Request(row["project"], row["request_id"]))
        claimed.commit.append(first)
        claimed.ahead.extend(others)  # the same call at the same time: answered from the books, once they are written
    if not alike:
        return
    for row in await connection.fetch(_READ_REQUESTS, *_keys(alike)):
        same = []
        for batch in alike[Request(row["project"], row["request_id"])]:
            if row["payload_hash"] == batch.payload_hash:
                same.append(batch)
            else:
                used = f"request_id {row['request_id']} was used within 24 hours for other bytes"
                claimed.refused.append((batch, RequestIdReusedError(f"{used}; make one for each batch")))
        if row["result"] is None:  # some parts of it are stored (copying/parts.py): go on
            claimed.commit.extend(same[:1])
            claimed.ahead.extend(same[1:])
            continue
        for batch in same:
            result = result_pb2.BatchResult.FromString(row["result"])
            result.replayed = not batch.attempted
            claimed.replayed.append((batch, result))


async def _claim_letters(connection: Connection, batches: Sequence[PendingBatch], claimed: Claim) -> None:
    are_replayed = await lock_letters(connection, [batch.origin.id.int for batch in batches])
    for batch in batches:
        is_replayed = are_replayed.get(batch.origin.id.int)
        if is_replayed is None:
            gone = f"there is no dead letter {batch.origin.id.int} any more"
            claimed.refused.append((batch, DeadLetterNotFoundError(gone)))
        elif is_replayed:
            result = result_pb2.BatchResult(rows=batch.row_count, stored=batch.row_count, replayed=not batch.attempted)
            claimed.replayed.append((batch, result))
        elif any(other.origin == batch.origin for other in claimed.commit):
            claimed.ahead.append(batch)  # two replays of one letter at the same time: the other one stores it
        else:
            claimed.commit.append(batch)


async def write_results(connection: Connection, results: Iterable[tuple[PendingBatch, result_pb2.BatchResult]]) -> None:
    """Keep the results a replay will be answered with; on a stream only those that say more than "all stored"."""
    streams = [(b.origin.project, b.origin.id, b.seq, r.SerializeToString()) for b, r in results if _is_kept(b, r)]
    requests = [
        (b.origin.project, b.origin.id, r.SerializeToString()) for b, r in results if isinstance(b.origin, Request)
    ]
    if streams:
        await connection.execute(_WRITE_RESULTS, *(list(column) for column in zip(*streams, strict=True)))
    if requests:
        await connection.execute(_WRITE_REQUESTS, *(list(column) for column in zip(*requests, strict=True)))


async def advance(
    connection: Connection,
    results: Iterable[tuple[PendingBatch, result_pb2.BatchResult]],
    notes: Iterable[HourNote] = (),
) -> None:
    """Say that the batches are committed, and count what became of their rows. The last statement before COMMIT.

    The notes of their rows' hours go with it. Without a producer (unary calls, replayed letters) they go alone.
    """
    settled: dict[Producer, _Settled] = {}
    for batch, result in results:
        if isinstance(batch.origin, Producer):
            settled.setdefault(batch.origin, _Settled()).add(batch.last_seq, result)
    if settled:
        projects, ids = _keys(settled)
        counts = [settled[Producer(project, key)].counts for project, key in zip(projects, ids, strict=True)]
        columns = (list(column) for column in zip(*counts, strict=True))
        await connection.execute(_ADVANCE, *as_columns(notes), projects, ids, *columns)
    else:
        await write_notes(connection, notes)


@dataclass
class _Settled:
    """What a transaction adds to a producer's ledger row: its last seq, and rows by what became of them."""

    counts: list[int] = field(default_factory=lambda: [0] * 7)

    def add(self, seq: int, result: result_pb2.BatchResult) -> None:
        last, stored, duplicate, conflict, rejected, undecodable, skipped = self.counts
        self.counts = [
            max(last, seq),
            stored + result.stored,
            duplicate + result.duplicate,
            conflict + result.conflict,
            rejected + result.rejected,
            undecodable + bool(result.errors and not result.rows),
            skipped + result.skipped,
        ]


def _is_kept(batch: PendingBatch, result: result_pb2.BatchResult) -> bool:
    return isinstance(batch.origin, Producer) and not is_plain(result)


def _keys(origins: Iterable[Origin]) -> tuple[list[str], list[UUID]]:
    """Projects and ids as two arrays, in the one order in which everybody locks."""
    keys = sorted((origin.project, origin.id) for origin in origins)
    return [project for project, _ in keys], [key for _, key in keys]
