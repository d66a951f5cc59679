"""Crashes under load: whatever ends, at whatever moment, each row is stored once and told so."""

from __future__ import annotations

import asyncio

import asyncpg

from support.producers import acked, assert_stored_once, producers
from support.resending_client import sent_by
from support.service import running_service
from support.timescale import TimescaleCluster
from support.wire_client import wire_client

PRODUCERS, BATCHES, ROWS = 4, 60, 200
TOTAL = PRODUCERS * BATCHES * ROWS
LOAD = {"count": PRODUCERS, "batches_each": BATCHES, "rows": ROWS}


async def test_the_service_killed_under_load(database_url: str, grpc_port: int, database: asyncpg.Connection) -> None:
    clients = producers(f"127.0.0.1:{grpc_port}", **LOAD)
    async with running_service(database_url, grpc_port=grpc_port) as first:
        async with wire_client(first.grpc) as client:
            await client.register()
        sending = asyncio.create_task(sent_by(clients))
        await acked(clients, PRODUCERS * BATCHES // 3)
        first.kill()
        await first.ended()
    async with running_service(database_url, grpc_port=grpc_port):
        await sending
    assert sum(client.sessions for client in clients) > PRODUCERS, "it was killed after everything was acked"
    await assert_stored_once(database, clients, TOTAL)


async def test_the_database_killed_under_load_while_the_streams_stay_open(
    database_url: str, timescale: TimescaleCluster
) -> None:
    async with running_service(database_url) as service:
        clients = producers(service.grpc, **LOAD)
        async with wire_client(service.grpc) as client:
            await client.register()
        sending = asyncio.create_task(sent_by(clients))
        await acked(clients, PRODUCERS * BATCHES // 3)
        await timescale.kill_postmaster()
        await service.logged("database_unavailable")
        await timescale.restart()
        await sending
        await service.logged("database_available")
    assert [client.sessions for client in clients] == [1] * PRODUCERS
    connection = await asyncpg.connect(database_url)
    await assert_stored_once(connection, clients, TOTAL)
    await connection.close()


async def test_every_session_of_the_database_terminated_under_load(
    database_url: str, database: asyncpg.Connection
) -> None:
    async with running_service(database_url) as service:
        clients = producers(service.grpc, **LOAD)
        async with wire_client(service.grpc) as client:
            await client.register()
        sending = asyncio.create_task(sent_by(clients))
        for part in range(1, 5):
            await acked(clients, part * PRODUCERS * BATCHES // 6)
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headrace/%'"
            )
        await sending
    await assert_stored_once(database, clients, TOTAL)
