"""Notes of what was touched are there if and only if the rows are; whoever fails leaves them for the next turn."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from headrace_server.copying import chunks, parts
from headrace_server.copying import transaction as group_transaction
from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import Identity
from headrace_server.rollups import refresh as refresh_module
from headrace_server.rollups import volume
from headrace_server.rollups.refresh import Refresh
from headrace_server.storage.pool import Connect
from support.label_rows import START, event
from support.model_definitions import feature, flights, prediction
from support.write_path import EVENTS, WritePath

NOTES = "SELECT model, kind, day, hours FROM headrace.touched_hours ORDER BY day"
DAY = timedelta(days=1)


TIMES = [START, START + timedelta(hours=5, minutes=59), START + 3 * DAY + timedelta(hours=23)]
NOTED = [
    ("flight_delay", "EVENTS", START.date(), 1 | 1 << 5),
    ("flight_delay", "EVENTS", (START + 3 * DAY).date(), 1 << 23),
]


@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "call"])
@pytest.mark.parametrize("identity", list(Identity))
async def test_a_groups_hours_are_noted_with_its_rows(
    service: WritePath, registry: Registry, connection: asyncpg.Connection, identity: Identity, *, is_stream: bool
) -> None:
    await registry.register("main", flights(identity=identity))
    origin = await service.producer() if is_stream else None
    await service.send(EVENTS, [event(f"e{at}", time) for at, time in enumerate(TIMES)], origin=origin, seq=1)
    assert [tuple(row) for row in await connection.fetch(NOTES)] == NOTED


async def test_hours_of_rows_that_a_search_has_stored_are_noted_and_not_those_of_bad_rows(
    service: WritePath, registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights())
    await connection.execute("ALTER TABLE main.flight_delay ADD CHECK (score < 1)")
    rows = [event(f"e{at}", time) for at, time in enumerate(TIMES)]
    rows.insert(1, event("bad", START + 9 * DAY, score=2.0))
    result = await service.send(EVENTS, rows, origin=await service.producer(), seq=1)
    assert (result.stored, result.rejected) == (3, 1)
    grouped = "SELECT model, kind, day, bit_or(hours) FROM headrace.touched_hours GROUP BY 1, 2, 3 ORDER BY day"
    assert [tuple(row) for row in await connection.fetch(grouped)] == NOTED


async def test_hours_of_a_batch_in_parts_are_noted_part_by_part(
    service: WritePath, registry: Registry, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (chunks, parts):
        monkeypatch.setattr(module, "MOST_TOUCHED", 1)
    await registry.register("main", flights())
    weeks = [START + timedelta(weeks=week) for week in range(3)]
    rows = [event(f"e{at}", time) for at, time in enumerate(weeks)]
    await service.send(EVENTS, rows, origin=await service.producer(), seq=1)
    expected = [("flight_delay", "EVENTS", time.date(), 1) for time in weeks]
    assert [tuple(row) for row in await connection.fetch(NOTES)] == expected


async def test_a_group_that_is_rolled_back_notes_nothing_twice(
    service: WritePath, registry: Registry, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registry.register("main", flights())
    write_outcomes, failed = group_transaction.write_outcomes, []

    async def fail_once(*arguments: object) -> None:
        if not failed:
            failed.append(True)
            raise asyncpg.DeadlockDetectedError("injected")
        await write_outcomes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(group_transaction, "write_outcomes", fail_once)
    await service.send(EVENTS, [event("a")])
    assert failed
    assert len(await connection.fetch(NOTES)) == 1


async def test_a_refresh_that_fails_leaves_the_notes(
    service: WritePath,
    registry: Registry,
    refresh: Refresh,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await registry.register("main", flights())
    await service.send(EVENTS, [event("a"), event("b", START + DAY)])
    day = volume.day
    monkeypatch.setattr(
        volume, "day", lambda model, span: day(model, span) + (["SELECT 1 / 0"] if span.start == START else [])
    )
    await refresh.turn(connection)
    assert len(await connection.fetch(NOTES)) == 1
    counted = "SELECT bucket FROM main.flight_delay_volume WHERE grain = 'DAY'"
    assert [row[0] for row in await connection.fetch(counted)] == [START + DAY]
    monkeypatch.undo()
    await refresh.turn(connection)
    assert len(await connection.fetch(counted)) == 2


async def test_numbers_of_every_sort_are_counted(
    service: WritePath, registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    """Infinity, NaN, the largest and the smallest number: none of them stops the refresh."""
    values = ["NaN", "Infinity", "-Infinity", 1.7976931348623157e308, -5e-324, 0.0, -0.0, 1e-12]
    await registry.register("main", flights())
    await connection.executemany(
        "INSERT INTO main.flight_delay (event_id, event_time, dep_delay) VALUES ($1, $2, $3)",
        [(f"e{at}", START, float(value)) for at, value in enumerate(values)],
    )
    await service.send(EVENTS, [event("a")])
    await refresh.turn(connection)
    row = await connection.fetchrow(
        "SELECT * FROM main.flight_delay_profiles WHERE column_name = 'dep_delay' AND grain = 'DAY'"
    )
    assert (row["rows"], row["nulls"], row["nans"]) == (9, 1, 1)
    assert (row["minimum"], row["maximum"]) == (float("-inf"), float("inf"))


async def test_columns_of_every_type_are_profiled(
    service: WritePath, registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    columns = [feature(f"c_{kind.name}", kind, 2 if kind is ValueType.VECTOR else 0) for kind in ValueType]
    await registry.register("main", flights(*columns, prediction("rank", ValueType.INT64)))
    values = {
        "c_BOOL": True, "c_INT64": 7, "c_FLOAT64": 0.5, "c_STRING": "x" * 300, "c_CATEGORY": "AA",
        "c_TIMESTAMP": "2013-01-01T00:00:00Z", "c_VECTOR": [1.0, 2.0], "c_STRING_LIST": ["a"], "c_JSON": {"a": 1},
    }  # fmt: skip
    await service.send(EVENTS, [event("a", **values), event("b")])
    await refresh.turn(connection)
    rows = await connection.fetch("SELECT * FROM main.flight_delay_profiles WHERE grain = 'HOUR' ORDER BY column_name")
    assert {row["column_name"]: row["nulls"] for row in rows} == {
        **{name.lower(): 1 for name in values}, "c_bytes": 2, "dep_delay": 2, "latency_ms": 2, "rank": 2, "score": 0,
    }  # fmt: skip
    categories = await connection.fetch("SELECT column_name, category, number FROM main.flight_delay_categories")
    assert {tuple(row) for row in categories} == {
        ("c_bool", "true", 1), ("c_string", "x" * 128, 1), ("c_category", "AA", 1),
    }  # fmt: skip


async def test_notes_of_a_model_that_is_gone_are_forgotten(refresh: Refresh, connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO headrace.touched_hours VALUES ('main', 'gone', 'EVENTS', $1, 1)",
        START.date(),
    )
    await refresh.turn(connection)
    assert await connection.fetch(NOTES) == []


async def test_every_view_and_column_is_described(
    service: WritePath, registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights())
    await service.send(EVENTS, [event("a")])
    await refresh.turn(connection)
    described = await connection.fetch(
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum), obj_description(c.oid) FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'v' AND c.relnamespace = 'main'::regnamespace"
    )
    assert {row[0] for row in described} >= {"flight_delay_volume", "flight_delay_profiles"}
    assert [row[:2] for row in described if not (row[2] and row[3])] == []


@pytest.fixture
async def hurried(opened: Connect, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Refresh:
    """One whose turns are over after an hour, as if counting that took long; with a model."""
    monkeypatch.setattr(refresh_module, "QUICK_S", 0.0)
    await registry.register("main", flights())
    return Refresh(opened, registry, longest_turn_s=0.0)


async def test_full_hours_are_counted_one_by_one_and_the_day_with_the_last(
    service: WritePath, hurried: Refresh, connection: asyncpg.Connection
) -> None:
    for hour in (2, 5, 9):
        await service.send(EVENTS, [event(f"e{hour}", START + timedelta(hours=hour))])
    counted = "SELECT array_agg(extract(hour FROM bucket)::int ORDER BY bucket) FROM main.flight_delay_volume"
    seen = []
    for _ in range(3):
        await hurried.turn(connection)
        hours = await connection.fetchval(f"{counted} WHERE grain = 'HOUR'")
        days = await connection.fetchval("SELECT sum(events) FROM main.flight_delay_volume WHERE grain = 'DAY'")
        seen.append((hours, days, hurried.left_off))
    assert seen == [([2], None, True), ([2, 5], None, True), ([2, 5, 9], 3, False)]
    assert await connection.fetch(NOTES) == []


async def test_hours_that_rows_keep_coming_to_are_all_counted(
    service: WritePath, hurried: Refresh, connection: asyncpg.Connection
) -> None:
    for turn in range(4):  # each hour gets a row before each turn, so notes of both are always there
        await service.send(EVENTS, [event(f"e{hour}-{turn}", START + timedelta(hours=hour)) for hour in (2, 5)])
        await hurried.turn(connection)
    counted = dict(
        await connection.fetch(
            "SELECT extract(hour FROM bucket)::int, events FROM main.flight_delay_volume WHERE grain = 'HOUR'"
        )
    )
    assert counted == {2: 3, 5: 4}  # at the third turn the one, at the fourth the other
    assert await connection.fetchval("SELECT sum(events) FROM main.flight_delay_volume WHERE grain = 'DAY'") == 7


async def test_a_turn_that_cannot_see_all_days_says_that_it_left_some(
    service: WritePath,
    registry: Registry,
    refresh: Refresh,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refresh_module, "DAYS_AT_ONCE", 2)
    await registry.register("main", flights())
    await service.send(EVENTS, [event(f"e{day}", START + day * DAY) for day in range(3)])
    assert [(await refresh.turn(connection), refresh.left_off) for _ in range(2)] == [(2, True), (1, False)]
    assert await connection.fetch(NOTES) == []
