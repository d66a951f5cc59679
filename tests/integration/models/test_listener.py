import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from headrace_server.models.ddl_transaction import CHANNEL, announce
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.storage import listener as listener_module
from headrace_server.storage.listener import Listener
from headrace_server.storage.pool import Connect
from support.model_definitions import feature, flights
from support.timescale import TimescaleCluster

OpenRegistry = Callable[..., Awaitable[Registry]]


@asynccontextmanager
async def listening(connect: Connect, registry: Registry) -> AsyncIterator[Listener]:
    listener = Listener(connect, {CHANNEL: registry.read_announced})
    task = asyncio.create_task(listener.run())
    try:
        async with asyncio.timeout(10):
            await listener.listening.wait()
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def next_schema(registry: Registry) -> "asyncio.Future[ModelSchema]":
    """The next schema that the registry's subscribers are told of."""
    future: asyncio.Future[ModelSchema] = asyncio.get_running_loop().create_future()

    def told(schema: ModelSchema) -> None:
        if not future.done():
            future.set_result(schema)

    registry.subscribe(told)
    return future


async def test_a_change_made_by_one_replica_reaches_the_other(open_registry: OpenRegistry, opened: Connect) -> None:
    here, there = await open_registry(), await open_registry()
    await here.register("main", flights())
    await there.get("main", "flight_delay")
    async with listening(opened, there), asyncio.timeout(10):
        told = next_schema(there)
        changed = await here.update("main", "flight_delay", [feature("wind")])
        assert await told == changed
        assert there.peek("main", "flight_delay") == changed


async def test_a_refused_change_is_not_announced(open_registry: OpenRegistry, opened: Connect) -> None:
    here, there = await open_registry(), await open_registry()
    await here.register("main", flights())
    watcher = await opened()
    heard: list[str] = []
    await watcher.add_listener("headrace_models", lambda *arguments: heard.append(arguments[-1]))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await broken_change(here)
    await here.update("main", "flight_delay", [feature("wind")])
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == ["main.flight_delay"]
    assert there.peek("main", "flight_delay") is None
    await watcher.close()


async def broken_change(registry: Registry) -> None:
    async def work(connection: asyncpg.Connection) -> ModelSchema:
        await announce(connection, "main", "broken")
        await connection.execute("SELECT 1/0")
        raise AssertionError

    await registry._change(("main", "broken"), work)


async def test_what_changed_while_the_connection_was_down_is_read_after_it(
    open_registry: OpenRegistry, opened: Connect, connection: asyncpg.Connection
) -> None:
    here, there = await open_registry(), await open_registry()
    await here.register("main", flights())
    await there.get("main", "flight_delay")
    gate = asyncio.Event()
    gate.set()

    async def gated() -> asyncpg.Connection:
        await gate.wait()
        return await opened()

    async with listening(gated, there) as listener, asyncio.timeout(20):
        gate.clear()
        assert await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        )
        while listener.listening.is_set():
            await asyncio.sleep(0.01)
        changed = await here.update("main", "flight_delay", [feature("wind")])
        told = next_schema(there)
        gate.set()
        assert await told == changed
        await listener.listening.wait()


async def test_the_listener_outlives_the_database(
    open_registry: OpenRegistry, opened: Connect, timescale: TimescaleCluster
) -> None:
    here, there = await open_registry(), await open_registry()
    await here.register("main", flights())
    await there.get("main", "flight_delay")
    async with listening(opened, there) as listener, asyncio.timeout(30):
        await timescale.kill_postmaster()
        while listener.listening.is_set():
            await asyncio.sleep(0.01)
        await timescale.restart()
        await listener.listening.wait()
        told = next_schema(there)
        changed = await here.update("main", "flight_delay", [feature("wind")])
        assert await told == changed


async def test_a_connection_that_died_without_a_word_is_found(
    open_registry: OpenRegistry, opened: Connect, timescale: TimescaleCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "PROBE_S", 0.05)
    monkeypatch.setattr(listener_module, "PROBE_TIMEOUT_S", 0.2)
    registry = await open_registry()
    async with listening(opened, registry) as listener, asyncio.timeout(30):
        timescale.pause()
        while listener.listening.is_set():
            await asyncio.sleep(0.01)
        timescale.resume()
        await listener.listening.wait()


async def test_word_of_a_model_that_nobody_asked_for_is_not_read(
    registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights())
    async with listening(opened, registry) as listener, asyncio.timeout(10):
        await connection.execute("SELECT pg_notify('headrace_models', 'nonsense')")
        await connection.execute("SELECT pg_notify('headrace_models', '')")
        told = next_schema(registry)
        changed = await registry.update("main", "flight_delay", [feature("wind")])
        assert await told == changed
        assert listener.listening.is_set()
    assert registry.peek("main", "nonsense") is None
