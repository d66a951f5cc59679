"""Who is taken when: producers in turn, each producer's batches in order, and nobody left behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import PendingBatch, Producer, Request
from headrace_server.batching.batcher import Batcher
from headrace_server.errors import DatabaseUnavailableError
from headrace_server.validation.rejections import Rejections

A, B, C = (Producer("main", UUID(int=number)) for number in (1, 2, 3))


def batch(origin: Producer | Request, seq: int, rows: int = 10, size_bytes: int = 100) -> PendingBatch:
    return PendingBatch(
        origin=origin,
        epoch=1,
        seq=seq,
        kind=batch_pb2.RECORD_KIND_EVENTS,
        model="m",
        model_version="",
        target=None,
        table=pa.table({}),
        places=np.arange(rows),
        row_count=rows,
        rejections=Rejections(rows),
        letters=[],
        size_bytes=size_bytes,
        received_at=datetime.now(UTC),
    )


def batcher(*batches: PendingBatch, max_rows: int = 1_000, max_bytes: int = 1_000_000) -> Batcher:
    filled = Batcher(max_rows, max_bytes)
    for each in batches:
        filled.put(each)
    return filled


async def taken(waiting: Batcher) -> list[tuple[Producer | Request, int]]:
    async with asyncio.timeout(1):
        return [(each.origin, each.seq) for each in await waiting.take()]


async def test_all_that_waits_is_taken_at_once() -> None:
    waiting = batcher(batch(A, 1), batch(A, 2), batch(B, 7))
    assert sorted(await taken(waiting)) == [(A, 1), (A, 2), (B, 7)]
    assert waiting.waiting_batches == 0


async def test_producers_are_taken_from_in_turn() -> None:
    waiting = batcher(*(batch(A, seq) for seq in range(1, 5)), batch(B, 1), batch(C, 1), max_rows=30)
    assert await taken(waiting) == [(A, 1), (B, 1), (C, 1)]
    assert await taken(waiting) == [(A, 2), (A, 3), (A, 4)]


@pytest.mark.parametrize("bounds", [{"max_rows": 25}, {"max_bytes": 250}])
async def test_a_group_stays_within_its_bounds(bounds: dict[str, int]) -> None:
    waiting = batcher(*(batch(A, seq) for seq in range(1, 6)), **bounds)
    assert await taken(waiting) == [(A, 1), (A, 2)]
    assert await taken(waiting) == [(A, 3), (A, 4)]
    assert await taken(waiting) == [(A, 5)]


async def test_a_batch_larger_than_a_group_goes_alone() -> None:
    waiting = batcher(batch(A, 1, rows=5_000), batch(A, 2))
    assert await taken(waiting) == [(A, 1)]
    assert await taken(waiting) == [(A, 2)]


async def test_whoever_takes_waits_for_the_first_batch() -> None:
    waiting = batcher()
    taking = asyncio.create_task(waiting.take())
    await asyncio.sleep(0)
    assert not taking.done()
    waiting.put(batch(A, 1))
    assert [each.seq for each in await taking] == [1]


async def test_a_held_producer_waits_and_all_others_go_on() -> None:
    waiting = batcher(batch(A, 1), batch(B, 1))
    waiting.hold([A])
    waiting.put(batch(A, 2))
    assert await taken(waiting) == [(B, 1)]
    assert waiting.waiting_batches == 2
    waiting.release([A])
    assert await taken(waiting) == [(A, 1), (A, 2)]


async def test_a_producer_goes_on_once_it_is_released_as_often_as_it_was_held() -> None:
    waiting = batcher(batch(A, 1), batch(B, 1))
    waiting.hold([A, A])
    waiting.hold([A])
    waiting.release([A, A])
    assert await taken(waiting) == [(B, 1)]
    waiting.release([A])
    assert await taken(waiting) == [(A, 1)]


async def test_a_release_wakes_whoever_takes() -> None:
    waiting = batcher(batch(A, 1))
    waiting.hold([A])
    taking = asyncio.create_task(waiting.take())
    await asyncio.sleep(0)
    waiting.release([A])
    async with asyncio.timeout(1):
        assert [each.seq for each in await taking] == [1]


@pytest.mark.parametrize("held", [True, False])
async def test_batches_given_back_in_any_order_go_out_in_the_order_of_seq(held: bool) -> None:
    waiting = batcher(batch(A, 9))
    if held:
        waiting.hold([A])
    waiting.give_back([batch(A, 5), batch(A, 6)])
    waiting.give_back([batch(A, 8), batch(A, 7)])
    waiting.give_back([batch(A, 4)])
    if held:
        waiting.release([A])
    assert await taken(waiting) == [(A, seq) for seq in range(4, 10)]
    assert waiting.waiting_batches == 0


async def test_calls_of_one_id_are_told_apart_although_their_seq_is_the_same() -> None:
    call = Request("main", UUID(int=1))
    first, second = batch(call, 0), batch(call, 0)
    waiting = batcher(first)
    waiting.give_back([second])
    assert set(await waiting.take()) == {first, second}


async def test_closing_fails_whatever_waits_and_whatever_still_comes() -> None:
    free, held, late = batch(A, 1), batch(B, 1), batch(C, 1)
    waiting = batcher(free, held)
    waiting.hold([B])
    assert set(waiting) == {free, held}
    waiting.close(DatabaseUnavailableError("stopping"))
    waiting.put(late)
    for each in (free, held, late):
        with pytest.raises(DatabaseUnavailableError):
            await each.settled
    assert waiting.waiting_batches == 0
    assert not list(waiting)


async def test_a_batch_is_settled_once() -> None:
    one = batch(A, 1)
    one.fail(DatabaseUnavailableError("first"))
    one.fail(DatabaseUnavailableError("second"))
    with pytest.raises(DatabaseUnavailableError, match="first"):
        await one.settled


async def test_an_abandoned_batch_holds_its_memory_until_it_is_settled() -> None:
    one, freed = batch(A, 1), asyncio.Event()
    one.abandon(freed.set)
    await asyncio.sleep(0)
    assert one.abandoned
    assert not freed.is_set()
    one.fail(DatabaseUnavailableError("gone"))
    async with asyncio.timeout(1):
        await freed.wait()
