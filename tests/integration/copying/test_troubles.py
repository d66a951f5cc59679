"""The database's own troubles: whatever it says, every row is stored once and none is refused for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from headrace_server.batching.batch import PendingBatch
from headrace_server.copying import copier, repair
from headrace_server.copying.group import Group
from headrace_server.copying.transaction import Committed, commit_group
from headrace_server.errors import DatabaseUnavailableError, InternalDefectError
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect
from support.replica import flights, open_on, raise_on_insert, row_count, settled
from support.write_path import WritePath, running_write_path

real_pause = repair.pause

PASSING = "08006 23505 25006 25P03 40001 40P01 42P01 0A000 53100 53200 53300 55P03 57014 57P01 58030 XX000 XX001"


@pytest.mark.parametrize("sqlstate", PASSING.split())
async def test_an_error_that_passes_costs_no_row(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, sqlstate: str
) -> None:
    session = await open_on(path, opened)
    await raise_on_insert(connection, sqlstate, times=2, message="could not open relation with OID 1")
    first, second = await session.put(flights(10)), await session.put(flights(10, first=10))
    for result in (await settled(first), await settled(second)):
        assert (result.rows, result.stored, result.replayed) == (10, 10, False)
    assert await row_count(connection) == 20
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 0


async def test_terminated_at_any_moment_the_service_goes_on(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    sessions = [await open_on(path, opened) for _ in range(4)]
    moments = random.Random(7)
    terminated = 0

    async def terminate() -> None:
        nonlocal terminated
        while terminated < 8:
            await asyncio.sleep(moments.uniform(0.0, 0.2))
            terminated += await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'headrace/one'"
                " AND pid <> pg_backend_pid() AND state <> 'idle' AND datname = current_database()"
            )

    terminating = asyncio.create_task(terminate())
    turns = 0
    while not terminating.done():
        batches = [await each.put(flights(50, 100_000 * n + 50 * turns)) for n, each in enumerate(sessions)]
        results = [await settled(batch) for batch in batches]
        assert {(result.stored, result.replayed) for result in results} == {(50, False)}
        turns += 1
    await terminating
    assert await row_count(connection) == 4 * 50 * turns
    assert await connection.fetchval("SELECT min(last_seq) FROM headrace.producers") == turns


async def test_a_cancelled_statement_is_tried_again(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await session.send(flights(1))
    async with connection.transaction():
        await connection.execute("LOCK TABLE main.flight_delay IN SHARE MODE")
        batch = await session.put(flights(10, first=1))
        async with asyncio.timeout(10):
            while not await connection.fetchval(
                "SELECT count(pg_cancel_backend(pid)) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
            ):
                await asyncio.sleep(0.01)
    assert (await settled(batch)).stored == 10


async def test_a_locked_table_holds_up_its_own_producers_only(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace_server.copying.line.LOCK_TIMEOUT_MS", 50)
    waiting, free = await open_on(path, opened), await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("LOCK TABLE main.flight_delay IN SHARE MODE")
        locked = [await waiting.put(flights(10, first=10 * number)) for number in range(5)]
        for number in range(20):
            assert (await free.send(flights(10, first=10 * number), model="weather")).stored == 10
        assert not any(batch.settled.done() for batch in locked)
    assert [(await settled(batch)).stored for batch in locked] == [10] * 5
    assert await row_count(connection) == 50
    assert await row_count(connection, "weather") == 200


async def test_a_table_that_is_gone_stops_its_model_and_no_other(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    lost, healthy = await open_on(path, opened), await open_on(path, opened)
    await connection.execute("DROP TABLE main.flight_delay CASCADE")
    bad, good = await lost.put(flights(10)), await healthy.put(flights(10), model="weather")
    with pytest.raises(DatabaseUnavailableError, match="flight_delay"):
        await settled(bad)
    assert (await settled(good)).stored == 10
    # Sent again it is refused without breaking a group of others; when the table is back it is stored.
    with pytest.raises(DatabaseUnavailableError):
        await lost.send(flights(10), seq=1)
    assert (await healthy.send(flights(10, first=10), model="weather")).stored == 10
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 0


async def test_a_column_that_is_gone_stops_the_rows_that_have_it(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await connection.execute("ALTER TABLE main.flight_delay DROP COLUMN dep_delay")
    with pytest.raises(DatabaseUnavailableError, match="dep_delay"):
        await session.send(flights(10))


async def test_a_column_added_in_between_disturbs_nobody(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await session.send(flights(10))
    await connection.execute("ALTER TABLE main.flight_delay ADD COLUMN more text")
    assert (await session.send(flights(20))).duplicate == 10
    await connection.execute("ALTER TABLE main.flight_delay ALTER COLUMN more TYPE bigint USING NULL")
    assert (await session.send(flights(30))).duplicate == 20
    assert await row_count(connection) == 30


async def test_a_defect_harms_its_batch_only(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [await open_on(path, opened) for _ in range(5)]
    await raise_on_insert(connection, "53100", times=1)  # so that all of them end up in one group
    batches = [await each.put(flights(10, first=10 * number)) for number, each in enumerate(sessions)]
    batches[2].table = batches[2].table.drop_columns(["event_time"])
    with pytest.raises(Exception, match="incident"):
        await settled(batches[2])
    del batches[2]
    assert [(await settled(batch)).stored for batch in batches] == [10] * 4
    assert (await sessions[0].send(flights(10, first=100))).stored == 10


async def test_a_defect_that_does_not_come_again_costs_no_row(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [ZeroDivisionError()]

    async def commit(*arguments: Any) -> Committed:
        if failures:
            raise failures.pop()
        return await commit_group(*arguments)

    monkeypatch.setattr(copier, "commit_group", commit)
    session = await open_on(path, opened)
    assert (await session.send(flights(10))).stored == 10
    assert (await session.send(flights(10, first=10))).stored == 10
    assert not failures
    assert await row_count(connection) == 20


async def test_what_cannot_be_asked_of_postgresql_harms_its_batch_only(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    odd, healthy = await open_on(path, opened), await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.producers IN EXCLUSIVE MODE")  # so that both are in one group
        bad, good = await odd.put(flights(10)), await healthy.put(flights(10, first=10))
        bad.origin = type(odd.producer)("\ud800", odd.producer.id)  # half of a character: no driver can send it
    with pytest.raises(InternalDefectError, match="incident"):
        await settled(bad)
    assert (await settled(good)).stored == 10
    assert await row_count(connection) == 10


async def test_a_defect_seen_only_when_a_group_is_taken_apart_costs_no_row(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [await open_on(path, opened) for _ in range(4)]
    await raise_on_insert(connection, "53200", times=1)
    prepare, groups = copier.prepare_group, list[int]()

    def prepared(batches: Sequence[PendingBatch]) -> Group:
        groups.append(len(batches))
        if len(batches) == 2:
            raise ZeroDivisionError
        return prepare(batches)

    monkeypatch.setattr(copier, "prepare_group", prepared)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.producers IN EXCLUSIVE MODE")
        first = await sessions[0].put(flights(10), model="weather")
        async with asyncio.timeout(10):
            while not groups:  # it waits at the lock, and all others will be the next group
                await asyncio.sleep(0.01)
        rest = [await each.put(flights(10, first=10 * number)) for number, each in enumerate(sessions[1:], 1)]
        rest += [await sessions[0].put(flights(10, first=40))]
    assert [(await settled(batch)).stored for batch in (first, *rest)] == [10] * 5
    assert groups[:2] == [1, 4]
    assert 2 in groups
    assert await row_count(connection) == 40


async def test_whoever_waits_for_a_ledger_row_is_not_taken_for_the_trouble_itself(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the wait is cut short, the batch neither goes to the repair lane nor is it given up on."""
    monkeypatch.setattr("headrace_server.copying.line.LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(copier, "pause", lambda _: 0.0)
    looks = asyncio.Semaphore(0)
    look = copier.look_for_frozen

    async def counted(line: Any) -> None:
        looks.release()
        await look(line)

    monkeypatch.setattr(copier, "look_for_frozen", counted)
    monkeypatch.setattr(path.copiers[0]._lane, "put", lambda _: pytest.fail("handed to the repair lane"))
    session = await open_on(path, opened)
    async with connection.transaction():
        await connection.execute("LOCK TABLE headrace.producers IN EXCLUSIVE MODE")
        batch = await session.put(flights(10))
        for _ in range(2 * repair.TRIES):
            await looks.acquire()
        assert not batch.settled.done()
    assert (await settled(batch)).stored == 10


async def test_an_error_beside_the_rows_that_is_not_understood_stops_no_table(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    """A batch without any good row: it is given up on, and no other table or batch is."""
    session, healthy = await open_on(path, opened), await open_on(path, opened)
    await connection.execute(
        """
        CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'made by a test' USING ERRCODE = 'XX001'; END $$;
        CREATE TRIGGER trouble BEFORE INSERT ON headrace.dead_letters FOR EACH ROW EXECUTE FUNCTION trouble();
        """
    )
    bad = [{"event_id": "bad", "event_time": "2013-01-01T00:00:00Z", "dep_delay": "soon"}]
    with pytest.raises(DatabaseUnavailableError, match="made by a test"):
        await session.send(bad)
    assert (await healthy.send(flights(10))).stored == 10
    await connection.execute("DROP TRIGGER trouble ON headrace.dead_letters")
    assert (await session.send(bad, seq=1)).rejected == 1


async def test_the_lane_waits_longer_from_failure_to_failure_and_begins_anew_after_a_repair(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, lines = list[int](), list[Any]()

    def pause(in_a_row: int) -> float:
        failures.append(in_a_row)
        lines.append(path.copiers[0]._lane._line._connection)
        return 0.0

    monkeypatch.setattr(repair, "pause", pause)
    monkeypatch.setattr(copier, "prepare_group", lambda _: 1 // 0)  # so that the lane gets every batch
    session = await open_on(path, opened)
    await raise_on_insert(connection, "53100", times=2)
    for number in range(2):
        assert (await session.send(flights(10, first=10 * number))).stored == 10
        await connection.execute("ALTER SEQUENCE troubles RESTART")
    assert failures == [1, 2, 1, 2]
    assert lines == [None] * 4, "a connection on which there was trouble is let go of"
    assert 0.02 <= real_pause(1) <= 0.04
    assert repair.LONGEST_PAUSE_S / 2 <= real_pause(20) <= repair.LONGEST_PAUSE_S


async def test_the_lane_looks_for_frozen_replicas_from_the_second_time_on_that_it_is_in_somebodys_way(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []

    async def look(line: Any) -> None:
        looks.append(line)

    monkeypatch.setattr(repair, "look_for_frozen", look)
    monkeypatch.setattr(repair, "pause", lambda _: 0.0)
    monkeypatch.setattr(copier, "prepare_group", lambda _: 1 // 0)  # so that the lane gets the batch
    session = await open_on(path, opened)
    await raise_on_insert(connection, "40001", times=3)
    assert (await session.send(flights(10))).stored == 10
    assert len(looks) == 2


async def test_what_is_not_understood_is_tried_a_few_times_by_the_copier_and_by_the_lane_and_no_oftener(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await raise_on_insert(connection, "XX001", times=1_000_000)
    with pytest.raises(DatabaseUnavailableError, match="made by a test"):
        await session.send(flights(10))
    assert await connection.fetchval("SELECT last_value FROM troubles") == (1 + repair.TRIES) + repair.TRIES


@pytest.mark.parametrize("where", [copier, repair], ids=["copier", "lane"])
async def test_a_stop_that_is_met_as_a_broken_connection_ends_everything_all_the_same(
    registry: Registry, opened: Connect, monkeypatch: pytest.MonkeyPatch, where: ModuleType
) -> None:
    """The driver may tell a task that is cancelled of its connection, which has just been let go of."""
    begun = asyncio.Event()

    async def commit(*_: Any, **__: Any) -> Committed:
        begun.set()
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            raise ConnectionError("the connection was let go of") from None

    async with running_write_path(registry, opened, copiers=1) as path:
        session = await open_on(path, opened)
        if where is repair:
            monkeypatch.setattr(copier, "prepare_group", lambda _: 1 // 0)  # so that the lane gets the batch
        monkeypatch.setattr(where, "commit_group", commit)
        batch = await session.put(flights(10))
        await begun.wait()
        await path.stop()
    with pytest.raises(DatabaseUnavailableError, match="stopped"):
        await settled(batch)


async def test_stopping_settles_everything_at_once_although_the_server_is_frozen(
    registry: Registry, opened: Connect, timescale: object
) -> None:
    async with running_write_path(registry, opened, copiers=1) as path:
        session = await open_on(path, opened)
        await session.send(flights(10))
        timescale.pause()
        try:
            batches = [await session.put(flights(10, first=10 * number)) for number in range(1, 4)]
            await asyncio.sleep(0)
            async with asyncio.timeout(3):
                await path.stop()
        finally:
            timescale.resume()
    for batch in batches:
        with pytest.raises(DatabaseUnavailableError, match="stopped"):
            await settled(batch)
