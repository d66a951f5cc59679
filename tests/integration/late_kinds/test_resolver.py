"""The resolver: labels whose search was given up find their events, by whichever replica leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from headrace_server.joining import inbox, resolver
from headrace_server.joining.resolver import Resolver
from headrace_server.joining.settling import settle_events
from headrace_server.joining.tables import LateTables
from headrace_server.models import late_tables
from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import EventIdType
from headrace_server.storage.pool import Connect
from support.label_rows import START, counts, event, stored_labels, waiting_labels, week
from support.model_definitions import flights, label
from support.write_path import EVENTS, LABELS, WritePath, running_write_path

NEVER_S = 1_000.0


@pytest.fixture
async def hasty(registry: Registry, opened: Connect) -> AsyncIterator[WritePath]:
    """A replica that gives up every search by id at once."""
    async with running_write_path(registry, opened, search_budget_s=0.0) as path:
        yield path


@asynccontextmanager
async def running(*resolvers: Resolver) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(one.run()) for one in resolvers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_waiting(connection: asyncpg.Connection, count: int) -> None:
    async with asyncio.timeout(15):
        while len(await waiting_labels(connection)) != count:
            await asyncio.sleep(0.01)


async def until_leading(connection: asyncpg.Connection, leaders: int = 1) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
    async with asyncio.timeout(15):
        while await connection.fetchval(held) != leaders:
            await asyncio.sleep(0.01)


async def test_pending_labels_are_joined_soon_after_they_call(
    hasty: WritePath, registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    await hasty.send(EVENTS, [event(f"e{number}", week(number)) for number in range(60)])
    rows = [{"event_id": f"e{number}", "minutes": float(number)} for number in range(65)]
    calm = Resolver(opened, registry, every_s=NEVER_S, gather_s=0.0)
    async with running(calm):
        await until_leading(connection)
        assert counts(await hasty.send(LABELS, rows)) == {"stored": 65, "pending": 65}
        assert hasty.woken.is_set()
        calm.wake()
        await until_waiting(connection, 5)
    assert sorted(await stored_labels(connection)) == sorted(
        (f"e{number}", week(number), None, float(number)) for number in range(60)
    )


async def test_a_look_comes_without_a_call(
    hasty: WritePath, registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    await hasty.send(EVENTS, [event("a")])
    async with running(Resolver(opened, registry, every_s=0.05)):
        await hasty.send(LABELS, [{"event_id": "a", "late": True}])
        await until_waiting(connection, 0)


async def test_labels_in_lots_larger_than_one_transaction_takes(
    hasty: WritePath, registry: Registry, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOVED_AT_ONCE", 70)
    monkeypatch.setattr(resolver, "FOUND_AT_ONCE", 150)
    events = [event(f"e{number}", week(number % 9)) for number in range(1_000)]
    await hasty.send(EVENTS, events)
    await hasty.send(LABELS, [{"event_id": row["event_id"], "late": True} for row in events])
    await Resolver(_no_connection, registry).resolve(connection)
    assert await waiting_labels(connection) == []
    assert {row[:2] for row in await stored_labels(connection)} == {
        (row["event_id"], row["event_time"]) for row in events
    }


async def test_what_was_looked_for_is_not_looked_for_again_until_a_sweep(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    """What is searched already can only be met by an event that comes later, and that looks by itself."""
    await service.send(LABELS, [{"event_id": "a", "late": True}])
    patient, sweeping = Resolver(_no_connection, registry), Resolver(_no_connection, registry, sweep_every_s=0.0)
    await patient.resolve(connection)
    service.end_after_commits()
    await service.send(EVENTS, [event("a")])
    await patient.resolve(connection)
    assert len(await waiting_labels(connection)) == 1
    await sweeping.resolve(connection)
    assert await waiting_labels(connection) == []


async def test_of_two_replicas_one_leads_and_is_called_by_the_other(
    hasty: WritePath, registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    await hasty.send(EVENTS, [event("a"), event("b")])
    leading = Resolver(opened, registry, every_s=NEVER_S, gather_s=0.0)
    standing_by = Resolver(opened, registry, every_s=NEVER_S, gather_s=0.0)
    async with running(leading) as (first,):
        await until_leading(connection)
        async with running(standing_by):
            await hasty.send(LABELS, [{"event_id": "a", "late": True}])
            standing_by.wake()
            await until_waiting(connection, 0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await until_leading(connection, 0)
            await hasty.send(LABELS, [{"event_id": "b", "late": True}])
            standing_by.wake()
            await until_waiting(connection, 0)


async def test_it_goes_on_after_its_connection_was_lost(
    hasty: WritePath,
    registry: Registry,
    opened: Connect,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolver, "RETRY_S", 0.01)
    await hasty.send(EVENTS, [event("a")])
    one = Resolver(opened, registry, every_s=NEVER_S, gather_s=0.0)
    async with running(one):
        await until_leading(connection)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )
        await hasty.send(LABELS, [{"event_id": "a", "late": True}])
        one.wake()
        await until_waiting(connection, 0)


async def test_a_model_whose_labels_cannot_be_moved_does_not_keep_others_from_it(
    hasty: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late"), name="broken"))
    for model in ("broken", "flight_delay"):
        await hasty.send(EVENTS, [event("a")], model=model)
        await hasty.send(LABELS, [{"event_id": "a", "late": True}], model=model)
    await connection.execute("ALTER TABLE main.broken_labels ADD CHECK (NOT late)")
    one = Resolver(_no_connection, registry)
    await one.resolve(connection)
    assert await waiting_labels(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM main.broken_labels_inbox") == 1
    await connection.execute("ALTER TABLE main.broken_labels DROP CONSTRAINT broken_labels_late_check")
    await one.resolve(connection)
    assert await connection.fetchval("SELECT count(*) FROM main.broken_labels_inbox") == 0


async def test_uuid_ids_are_resolved(hasty: WritePath, registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights(label("late"), name="by_uuid", event_id_type=EventIdType.UUID))
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(30)]
    await hasty.send(EVENTS, [event(one, week(at)) for at, one in enumerate(ids)], model="by_uuid")
    result = await hasty.send(LABELS, [{"event_id": one, "late": True} for one in ids], model="by_uuid")
    assert counts(result) == {"stored": 30, "pending": 30}
    await Resolver(_no_connection, registry).resolve(connection)
    assert await connection.fetchval("SELECT count(*) FROM main.by_uuid_joined WHERE late") == 30


async def test_values_of_a_label_that_is_newer_than_the_mover_are_moved_too(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    before = await registry.get("main", "flight_delay")
    assert before is not None
    await registry.update("main", "flight_delay", [label("gate", ValueType.STRING)])
    await service.send(LABELS, [{"event_id": "a", "gate": "B7"}])
    service.end_after_commits()
    await service.send(EVENTS, [event("a")])
    pending = await service.take_in(EVENTS, [event("a")])
    await settle_events(connection, LateTables.of(before, late_tables.LABELS), pending.table)
    assert await connection.fetchval("SELECT gate FROM main.flight_delay_joined") == "B7"


async def test_labels_beyond_the_chunks_that_a_group_may_touch_are_left_to_it(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    weeks = range(100)
    for some in (weeks[:50], weeks[50:]):
        await service.send(EVENTS, [event(f"e{number}", week(number)) for number in some])
    rows = [{"event_id": f"e{number}", "event_time": week(number), "late": True} for number in weeks]
    result = await service.send(LABELS, rows)
    assert counts(result) == {"stored": 100, "joined": 64, "pending": 36}
    assert service.woken.is_set()
    await Resolver(_no_connection, registry).resolve(connection)
    assert len(await stored_labels(connection)) == 100
    assert week(0) == START


async def _no_connection() -> asyncpg.Connection:
    raise AssertionError("the test hands its own connection over")
