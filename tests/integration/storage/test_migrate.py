import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from headrace_server.storage import migrate as migrate_module
from headrace_server.storage.edition import UnsuitableDatabaseError
from headrace_server.storage.migrate import Migration, known, migrate
from headrace_server.storage.pool import connect

LAST = known()[-1].number
NEXT = Migration(LAST + 1, f"{LAST + 1:04}_next", 1, "-- needs: 1\nCREATE TABLE headrace.novelty (id int)")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database_url, instance="test")
    yield connection
    await connection.close()


async def test_a_new_database_gets_everything_and_the_second_run_finds_nothing_to_do(
    connection: asyncpg.Connection,
) -> None:
    assert await migrate(connection) == [migration.number for migration in known()]
    assert await migrate(connection) == []
    assert await connection.fetchval("SELECT name FROM headrace.projects") == "main"
    assert await connection.fetchval("SELECT to_regnamespace('main')") is not None
    assert await connection.fetchval("SHOW lock_timeout") == "0"


async def test_replicas_that_start_together_migrate_once(database_url: str) -> None:
    connections = [await connect(database_url, instance=f"replica-{number}") for number in range(4)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(applied) == [[], [], [], [migration.number for migration in known()]]
    for connection in connections:
        await connection.close()


async def test_a_later_release_adds_what_is_new(connection: asyncpg.Connection) -> None:
    await migrate(connection)
    assert await migrate(connection, (*known(), NEXT)) == [NEXT.number]


async def test_a_database_that_this_release_still_understands_is_served(connection: asyncpg.Connection) -> None:
    await migrate(connection, (*known(), NEXT))
    assert await migrate(connection) == []


async def test_a_database_that_this_release_no_longer_understands_is_refused(connection: asyncpg.Connection) -> None:
    await migrate(connection, (*known(), replace(NEXT, needs=NEXT.number)))
    with pytest.raises(UnsuitableDatabaseError, match="newer headrace"):
        await migrate(connection)


async def test_a_migration_that_was_changed_is_noticed(connection: asyncpg.Connection) -> None:
    await migrate(connection)
    changed = replace(known()[0], sql=known()[0].sql + "-- and more")
    with pytest.raises(UnsuitableDatabaseError, match="another build"):
        await migrate(connection, (changed, *known()[1:]))


async def test_a_migration_that_fails_leaves_nothing_and_frees_the_lock(
    connection: asyncpg.Connection, database_url: str
) -> None:
    broken = replace(NEXT, sql="-- needs: 1\nCREATE TABLE headrace.half (id int); SELECT 1/0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, (*known(), broken))
    assert await connection.fetchval("SELECT to_regclass('headrace.half')") is None
    other = await connect(database_url, instance="other")
    assert await migrate(other) == []
    await other.close()


async def test_a_migration_that_another_process_never_ends_is_not_waited_for_for_ever(
    connection: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "LOCK_TIMEOUT_S", 1)
    holder = await connect(database_url, instance="holder")
    await holder.execute(migrate_module._LOCK)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await migrate(connection)
    await holder.close()


async def test_every_table_says_what_it_is_for(connection: asyncpg.Connection) -> None:
    await migrate(connection)
    silent = await connection.fetch(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'headrace'::regnamespace AND relkind = 'r' AND obj_description(oid) IS NULL
        """
    )
    assert silent == []


async def test_the_ledgers_updates_stay_in_place(connection: asyncpg.Connection) -> None:
    """No index holds what a commit changes, so updates are HOT and the index does not grow."""
    await migrate(connection)
    indexed = await connection.fetch(
        """
        SELECT a.attname FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
        WHERE x.indrelid = 'headrace.producers'::regclass
        """
    )
    assert {row["attname"] for row in indexed} == {"project", "producer_id"}


async def dead_letter(connection: asyncpg.Connection, **columns: Any) -> None:
    row = {
        "project": "main",
        "model": "flight_delay",
        "kind": 1,
        "reason": "WRONG_TYPE",
        "message": "no number",
        "payload": b"row",
        "payload_bytes": 3,
        "payload_sha256": b"hash",
    } | columns
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO headrace.dead_letters ({', '.join(row)}) VALUES ({places})", *row.values())


@pytest.mark.parametrize("sender", ["producer_id", "request_id"])
@pytest.mark.parametrize("row_index", [0, None], ids=["a row", "a whole batch"])
async def test_a_row_is_a_dead_letter_once(connection: asyncpg.Connection, sender: str, row_index: int | None) -> None:
    await migrate(connection)
    letter = {sender: uuid4(), "row_index": row_index}
    await dead_letter(connection, **letter)
    await dead_letter(connection, **letter | {"row_index": 7})
    await dead_letter(connection, **letter | {sender: uuid4()})
    with pytest.raises(asyncpg.UniqueViolationError):
        await dead_letter(connection, **letter)


async def test_a_dead_letter_names_one_sender_and_holds_64_kib(connection: asyncpg.Connection) -> None:
    await migrate(connection)
    for wrong in (
        {},
        {"producer_id": uuid4(), "request_id": uuid4()},
        {"producer_id": uuid4(), "payload": bytes(65_537)},
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await dead_letter(connection, **wrong)
