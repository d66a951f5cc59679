"""What the ledger lets through: each batch once, in order, of the newest session only, whichever replica it came to."""

from __future__ import annotations

import asyncio
import hashlib
import random
from uuid import uuid4

import asyncpg
import pytest

from headrace.v1 import result_pb2
from headrace_server.batching.batch import Letter, PendingBatch, Request
from headrace_server.copying import ledger, opening
from headrace_server.copying.opening import LARGEST_SEQ
from headrace_server.errors import (
    DatabaseUnavailableError,
    DeadLetterNotFoundError,
    FencedError,
    RequestIdReusedError,
)
from headrace_server.storage.pool import Connect
from support.pending_batches import pending
from support.replica import Rows, flights, open_on, row_count, settled
from support.write_path import EVENTS, WritePath


async def call(path: WritePath, request: Request, rows: Rows) -> result_pb2.BatchResult:
    """A unary call."""
    batch = await path.take_in(EVENTS, rows, origin=request)
    batch.payload_hash = hashlib.sha256(repr(rows).encode()).digest()
    path.put(batch)
    return await settled(batch)


async def test_a_newer_session_on_another_replica_fences_the_older(
    path: WritePath, other_path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    older = await open_on(path, opened)
    await older.send(flights(10))
    newer = await open_on(other_path, opened, older.producer.id)
    assert (newer.opening.last_seq, newer.opening.epoch) == (1, 2)
    with pytest.raises(FencedError):
        await older.send(flights(10, first=10))
    assert (await newer.send(flights(10, first=10))).stored == 10
    assert await row_count(connection) == 20


async def test_a_fenced_batch_leaves_its_group_and_takes_nobody_with_it(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    stale, others = await open_on(path, opened), [await open_on(path, opened) for _ in range(3)]
    await open_on(path, opened, stale.producer.id)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.producers IN EXCLUSIVE MODE")  # so that all are in one group
        refused = await stale.put(flights(10))
        good = [await each.put(flights(10, first=100 * n)) for n, each in enumerate(others, 1)]
    with pytest.raises(FencedError):
        await settled(refused)
    assert [(await settled(batch)).stored for batch in good] == [10, 10, 10]
    assert await row_count(connection) == 30


async def test_a_batch_sent_again_to_another_replica_gets_its_first_result(
    path: WritePath, other_path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    first_session = await open_on(path, opened)
    rows = [*flights(10), *flights(2)]
    first = await first_session.send(rows)
    assert (first.stored, first.duplicate) == (10, 2)
    await first_session.send(flights(5, first=20))
    again = await open_on(other_path, opened, first_session.producer.id)
    replayed, plain = await again.send(rows, seq=1), await again.send(flights(5, first=20))
    assert replayed.replayed
    assert (replayed.stored, replayed.duplicate) == (10, 2)
    assert (plain.replayed, plain.stored, plain.rows) == (True, 5, 5)
    assert (await again.send(flights(5, first=30))).stored == 5
    assert await row_count(connection) == 20


async def test_batches_ahead_of_their_turn_wait_for_it(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.producers IN EXCLUSIVE MODE")
        second = await session.put(flights(10, first=10), seq=2)
        first = await session.put(flights(10), seq=1)
    assert [(await settled(batch)).seq for batch in (first, second)] == [1, 2]


async def test_the_same_batch_twice_in_one_group_is_stored_once(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.producers IN EXCLUSIVE MODE")
        twins = [await session.put([*flights(10), *flights(1)], seq=1) for _ in range(2)]
    first, second = sorted([await settled(twin) for twin in twins], key=lambda result: result.replayed)
    assert (first.replayed, second.replayed) == (False, True)
    assert (first.stored, first.duplicate) == (second.stored, second.duplicate) == (10, 1)
    assert await row_count(connection) == 10


async def test_a_batch_whose_predecessor_never_comes_ends_its_session_to_be_opened_again(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    with pytest.raises(DatabaseUnavailableError, match="missing"):
        await session.send(flights(10), seq=2)
    assert await row_count(connection) == 0


async def test_a_ledger_that_went_back_in_time_is_told_and_gone_on_from(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    for number in range(3):
        await session.send(flights(10, first=10 * number))
    await connection.execute("UPDATE headrace.producers SET last_seq = 1, epoch = 0")
    # The session of before neither goes on nor is it fenced for good: it is told to open again.
    with pytest.raises(DatabaseUnavailableError, match="back in time"):
        await session.send(flights(10, first=30))
    again = await open_on(path, opened, session.producer.id, results_through=3)
    assert again.opening.regressed
    assert (again.opening.committed_seq, again.opening.last_seq) == (1, 3)
    assert (await again.send(flights(10, first=30), seq=4)).stored == 10


async def test_a_client_that_claims_the_largest_seq_harms_nobody(path: WritePath, opened: Connect) -> None:
    session = await open_on(path, opened, results_through=2**64 - 1)
    assert session.opening.last_seq == LARGEST_SEQ
    assert (await session.send(flights(10))).stored == 10


async def test_a_result_the_client_says_it_has_is_forgotten_and_told_so(path: WritePath, opened: Connect) -> None:
    session = await open_on(path, opened)
    await session.send([*flights(2), *flights(1)])
    again = await open_on(path, opened, session.producer.id, results_through=1)
    assert not again.opening.regressed
    result = await again.send(flights(2), seq=1)
    assert (result.replayed, result.result_expired, result.stored) == (True, True, 0)


async def test_a_producer_that_the_ledger_has_forgotten_is_told_to_open_again(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session, other = await open_on(path, opened), await open_on(path, opened)
    await session.send(flights(10))
    await connection.execute("DELETE FROM headrace.producers WHERE producer_id = $1", session.producer.id)
    with pytest.raises(DatabaseUnavailableError, match="forgotten"):
        await session.send(flights(10, first=10))
    assert (await other.send(flights(10, first=20))).stored == 10
    again = await open_on(path, opened, session.producer.id, results_through=1)
    assert (await again.send(flights(10, first=10), seq=2)).stored == 10
    assert await row_count(connection) == 30


async def test_opening_waits_for_the_commit_of_the_producers_last_batches(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()
    free = opening.free_frozen_locks

    async def look(connection: asyncpg.Connection) -> int:
        looked.set()
        return await free(connection)

    monkeypatch.setattr(opening, "LOCK_WAIT_S", 0.02)
    monkeypatch.setattr(opening, "TRIES", 1_000)
    monkeypatch.setattr(opening, "free_frozen_locks", look)
    session = await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("UPDATE headrace.producers SET last_seq = 7")
        waiting = asyncio.create_task(open_on(path, opened, session.producer.id))
        await looked.wait()
        assert not waiting.done()
    assert ((await waiting).opening.last_seq, (await waiting).opening.epoch) == (7, 2)


async def test_opening_gives_up_on_a_commit_that_does_not_end(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LOCK_WAIT_S", 0.02)
    session = await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("UPDATE headrace.producers SET last_seq = 7")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await open_on(path, opened, session.producer.id)
    assert (await open_on(path, opened, session.producer.id)).opening.epoch == 2, "no try has left a trace"


async def letter_of(path: WritePath, connection: asyncpg.Connection) -> int:
    """The number of a dead letter: a row that was refused."""
    result = await path.send(EVENTS, [{"event_id": "bad", "event_time": "2013-01-01T00:00:00Z", "dep_delay": "soon"}])
    assert result.rejected == 1
    return await connection.fetchval("SELECT max(id) FROM headrace.dead_letters")


async def replay(path: WritePath, number: int) -> PendingBatch:
    """A batch of one mended row, whose origin is the letter."""
    return await path.take_in(EVENTS, flights(1), origin=Letter.numbered("main", number))


async def test_a_letter_that_is_replayed_twice_in_one_group_is_stored_once(
    path: WritePath, connection: asyncpg.Connection
) -> None:
    number = await letter_of(path, connection)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.dead_letters IN EXCLUSIVE MODE")  # so that both are in one group
        twins = [await replay(path, number) for _ in range(2)]
        for twin in twins:
            path.put(twin)
    first, second = [await settled(twin) for twin in twins]
    assert (first.stored, first.replayed) == (1, False)
    assert (second.stored, second.replayed) == (1, True)
    assert await row_count(connection) == 1


async def test_a_letter_that_was_dropped_meanwhile_stores_nothing(
    path: WritePath, connection: asyncpg.Connection
) -> None:
    number = await letter_of(path, connection)
    batch = await replay(path, number)
    await connection.execute("DELETE FROM headrace.dead_letters")
    path.put(batch)
    with pytest.raises(DeadLetterNotFoundError, match=str(number)):
        await settled(batch)
    assert await row_count(connection) == 0


async def test_the_same_call_again_is_answered_from_the_books_and_another_under_its_id_is_refused(
    path: WritePath, other_path: WritePath, connection: asyncpg.Connection
) -> None:
    request, rows = Request("main", uuid4()), [*flights(10), *flights(1)]
    first = await call(path, request, rows)
    assert (first.stored, first.duplicate, first.replayed) == (10, 1, False)
    again = await call(other_path, request, rows)
    assert again.replayed
    assert (again.stored, again.duplicate) == (10, 1)
    with pytest.raises(RequestIdReusedError):
        await call(other_path, request, flights(3))
    assert (await call(path, Request("main", uuid4()), flights(3))).duplicate == 3
    assert await row_count(connection) == 10


async def test_every_call_keeps_a_result_of_its_own(
    path: WritePath, other_path: WritePath, connection: asyncpg.Connection
) -> None:
    calls = [(Request("main", uuid4()), flights(count)) for count in (1, 2, 3)]
    first = [await call(path, *each) for each in calls]
    assert [(result.stored, result.duplicate) for result in first] == [(1, 0), (1, 1), (1, 2)]
    again = [await call(other_path, *each) for each in calls]
    assert [(result.stored, result.duplicate, result.replayed) for result in again] == [
        (1, 0, True),
        (1, 1, True),
        (1, 2, True),
    ]
    assert await row_count(connection) == 3


async def test_of_the_same_call_in_parts_one_at_a_time_goes_on_where_the_last_has_ended(
    connection: asyncpg.Connection,
) -> None:
    request = Request("main", uuid4())
    ended, *twins = [pending(seq=0, epoch=0, origin=request, payload_hash=b"same") for _ in range(4)]
    other = pending(seq=0, epoch=0, origin=request, payload_hash=b"other")
    async with connection.transaction():
        await ledger.claim(connection, [ended])  # a part of it is committed, and then its replica is gone
    async with connection.transaction():
        claimed = await ledger.claim(connection, [*twins, other])
    assert (claimed.commit, claimed.ahead, claimed.replayed) == (twins[:1], twins[1:], [])
    assert [(batch, type(error)) for batch, error in claimed.refused] == [(other, RequestIdReusedError)]


async def test_only_results_of_streams_that_say_more_than_all_stored_are_kept_beside_the_ledger(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await session.send(flights(10))
    await call(path, Request("main", uuid4()), flights(10))
    assert await connection.fetch("SELECT seq FROM headrace.batch_results") == []
    assert (await session.send(flights(11))).duplicate == 10
    assert [row["seq"] for row in await connection.fetch("SELECT seq FROM headrace.batch_results")] == [2]


async def test_the_ledger_counts_what_became_of_every_row_and_of_whose(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session, other = await open_on(path, opened), await open_on(path, opened)
    counted = result_pb2.BatchResult(rows=15, stored=5, duplicate=4, conflict=3, rejected=2, skipped=1)
    undecodable = result_pb2.BatchResult(errors=[result_pb2.RowErrors(message="cannot be decoded")])
    for seqs in ((1, 2), (4, 3)):
        batches = [pending(seq=seq, origin=session.producer) for seq in seqs]
        await ledger.advance(connection, zip(batches, (counted, undecodable), strict=True))
    columns = "last_seq, stored, duplicate, conflict, rejected, undecodable_batches, skipped"
    counts = f"SELECT {columns} FROM headrace.producers WHERE producer_id = $1"
    assert tuple(await connection.fetchrow(counts, session.producer.id)) == (4, 10, 8, 6, 4, 2, 2)
    assert tuple(await connection.fetchrow(counts, other.producer.id)) == (0, 0, 0, 0, 0, 0, 0)


async def test_the_same_call_many_times_at_once_is_stored_once(
    path: WritePath, other_path: WritePath, connection: asyncpg.Connection
) -> None:
    request, rows = Request("main", uuid4()), flights(50)
    calls = [call(replica, request, rows) for replica in (path, other_path) for _ in range(30)]
    results = await asyncio.gather(*calls)
    assert [result.stored for result in results] == [50] * 60
    assert sum(not result.replayed for result in results) == 1
    assert await row_count(connection) == 50


async def test_claims_in_every_order_never_deadlock(
    path: WritePath, other_path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    """Streams and calls of two replicas in one go, the same calls on both: PostgreSQL counts no deadlock."""
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await connection.fetchval(deadlocks)
    chance = random.Random(3)
    requests = [(Request("main", uuid4()), flights(2, first=100_000 + 2 * number)) for number in range(30)]
    sessions = [await open_on(replica, opened) for replica in (path, other_path) for _ in range(10)]

    async def stream(number: int) -> int:
        results = [await sessions[number].send(flights(5, first=1_000 * number + 5 * turn)) for turn in range(8)]
        return sum(result.stored for result in results)

    async def calls(replica: WritePath) -> int:
        order = chance.sample(requests, len(requests))
        return sum([(await call(replica, *each)).stored for each in order])

    streams = [stream(number) for number in range(len(sessions))]
    callers = [calls(replica) for replica in (path, other_path) for _ in range(3)]
    stored = await asyncio.gather(*streams, *callers)
    assert stored == [40] * 20 + [60] * 6
    assert await row_count(connection) == 20 * 40 + 60
    assert await connection.fetchval(deadlocks) == before
