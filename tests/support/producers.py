"""Several producers at once, of which each resends what is not acked, and the proof that all of it is stored once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg

from support.resending_client import ResendingClient, batches

ACKED_WITHIN_S = 60.0


def producers(*addresses: str, count: int, batches_each: int, rows: int) -> list[ResendingClient]:
    """Producers, each over connections of its own, that send to the addresses in turn when one fails."""
    turns = iter(range(1_000_000))
    return [
        ResendingClient(lambda: addresses[next(turns) % len(addresses)], batches(number, batches_each, rows))
        for number in range(count)
    ]


async def acked(clients: Sequence[ResendingClient], count: int) -> None:
    """Wait until so many batches are acked."""
    async with asyncio.timeout(ACKED_WITHIN_S):
        while sum(client.acked for client in clients) < count:
            await asyncio.sleep(0.005)


async def assert_stored_once(database: asyncpg.Connection, clients: Sequence[ResendingClient], total: int) -> None:
    """Assert that so many rows are stored, each once, none refused, and that the producers were told so."""
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == total
    assert await database.fetchval("SELECT count(DISTINCT event_id) FROM main.flight_delay") == total
    assert sum(client.stored for client in clients) == total
    assert await database.fetchval("SELECT count(*) FROM headrace.dead_letters") == 0
