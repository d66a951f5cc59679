"""One replica maintains, whichever is called; another takes over when it is gone."""

from __future__ import annotations

import asyncio

import asyncpg

from headrace_server.maintenance.maintenance import LOCK, Maintenance
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect
from support.label_rows import event
from support.model_definitions import flights
from support.write_path import EVENTS, WritePath

NEVER_S = 1_000.0
LEADERS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
AND (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0)
"""


async def until(connection: asyncpg.Connection, sql: str, *arguments: object) -> None:
    async with asyncio.timeout(20):
        while not await connection.fetchval(sql, *arguments):
            await asyncio.sleep(0.01)


async def until_counted(connection: asyncpg.Connection, events: int) -> None:
    counted = "SELECT coalesce(sum(events), 0) = $1 FROM headrace.volumes WHERE grain = 'DAY'"
    await until(connection, counted, events)


async def test_one_replica_leads_is_called_by_the_others_and_followed_by_them(
    service: WritePath, registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights())
    leading = Maintenance(opened, registry, every_s=NEVER_S, gather_s=0.0)
    standing_by = Maintenance(opened, registry, every_s=0.05, gather_s=0.0)
    first = asyncio.create_task(leading.run())
    await until(connection, f"{LEADERS.replace('count(*)', 'count(*) = 1')}", LOCK)
    second = asyncio.create_task(standing_by.run())
    try:
        await service.send(EVENTS, [event("a")])
        standing_by.wake()
        await until_counted(connection, 1)
        assert await connection.fetchval(LEADERS, LOCK) == 1
        first.cancel()
        await service.send(EVENTS, [event("b")])
        await until_counted(connection, 2)
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
