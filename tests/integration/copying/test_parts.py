"""Batches stored in parts, cut between any two of them: the rest is stored once, here or on another replica."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from headrace_server.batching.batch import Request
from headrace_server.copying import chunks, parts
from headrace_server.errors import FencedError
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect, connect
from support.replica import START, open_on, row_count, settled
from support.tcp_proxy import Cut, Direction, TcpProxy, cut_once, tcp_proxy
from support.wire_client import rows_of
from support.write_path import EVENTS, WritePath, running_write_path

WEEKS, PARTS = 12, 4


@pytest.fixture(autouse=True)
def few_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a batch over twelve weeks takes four parts."""
    for module in (chunks, parts):
        monkeypatch.setattr(module, "MOST_TOUCHED", WEEKS // PARTS)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[TcpProxy]:
    query = parse_qs(urlsplit(database_url).query)
    async with tcp_proxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        yield proxy


@pytest.fixture
async def path(registry: Registry, proxy: TcpProxy, database_url: str) -> AsyncIterator[WritePath]:
    """A replica whose connections go through the proxy."""
    url = urlsplit(database_url)
    address = f"postgresql://{url.username}@127.0.0.1:{proxy.port}{url.path}?sslmode=disable"
    async with running_write_path(registry, partial(connect, address, instance="one"), copiers=1) as path:
        yield path


def weekly(*bad: int) -> list[dict[str, Any]]:
    """An event a week, some of them with a delay that a constraint refuses."""
    return [
        {"event_id": f"w{n:02}", "event_time": START + timedelta(weeks=n), "dep_delay": -1.0 if n in bad else 1.0}
        for n in range(WEEKS)
    ]


def nth_commit(number: int, cut: Cut) -> Any:
    """Cut over the n-th COMMIT."""
    seen = 0
    once = cut_once(Direction.TO_SERVER, b"COMMIT;", cut)

    def watch(direction: Direction, data: bytes) -> Cut | None:
        nonlocal seen
        if direction is Direction.TO_SERVER and b"COMMIT;" in data:
            seen += 1
        return once(direction, data) if seen == number else None

    return watch


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=lambda cut: cut.name.lower())
@pytest.mark.parametrize("commit", range(1, PARTS + 2))
async def test_a_wide_batch_cut_at_a_commit(
    path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection, *, commit: int, cut: Cut
) -> None:
    session = await open_on(path, opened)
    await connection.execute("ALTER TABLE main.flight_delay ADD CONSTRAINT positive CHECK (dep_delay >= 0)")
    proxy.watch = nth_commit(commit, cut)
    rows = [*weekly(4), *weekly(4)[:2]]
    result = await session.send(rows)
    assert (result.stored, result.duplicate, result.rejected, result.replayed) == (11, 2, 1, False)
    assert rows_of(result.duplicate_rows) == [12, 13]
    assert rows_of(result.errors[0].rows) == [4]
    assert await row_count(connection) == 11
    assert await connection.fetchval("SELECT count(*) FROM headrace.batch_parts") == 0
    assert await connection.fetchval("SELECT array_agg(row_index) FROM headrace.dead_letters") == [4]
    assert proxy.seen_links > 1, "nothing was cut"


async def test_a_wide_batch_that_was_begun_here_is_finished_elsewhere(
    path: WritePath, other_path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    lost = nth_commit(3, Cut.BEFORE)

    def watch(direction: Direction, data: bytes) -> Cut | None:
        cut = lost(direction, data)
        proxy.refuses = proxy.refuses or cut is not None  # and gone for good
        return cut

    proxy.watch = watch
    begun = await session.put(weekly())
    async with asyncio.timeout(20):
        while not proxy.refuses:
            await asyncio.sleep(0.01)
    assert await row_count(connection) == 6
    again = await open_on(other_path, opened, session.producer.id)
    result = await again.send(weekly(), seq=1)
    assert (result.stored, result.duplicate) == (12, 0)
    assert await row_count(connection) == 12
    proxy.refuses = False
    with pytest.raises(FencedError):
        await settled(begun)
    assert await row_count(connection) == 12


async def test_a_wide_call_sent_again_elsewhere_while_it_is_under_way_is_stored_once(
    path: WritePath, other_path: WritePath, connection: asyncpg.Connection
) -> None:
    request = Request("main", uuid4())
    batches = []
    for replica in (path, other_path, path, other_path):
        batch = await replica.take_in(EVENTS, weekly(), origin=request)
        batch.payload_hash = hashlib.sha256(b"the same").digest()
        replica.put(batch)
        batches.append(batch)
    results = [await settled(batch) for batch in batches]
    assert [(result.stored, result.duplicate) for result in results] == [(12, 0)] * 4
    assert await row_count(connection) == 12
    assert await connection.fetchval("SELECT count(*) FROM headrace.batch_parts") == 0
