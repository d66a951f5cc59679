"""Repeats on a UNIQUE model: what is equal to what, and exactness while several replicas write the same keys."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from typing import Any

import asyncpg
import pytest

from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ModelDefinition
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect
from support.model_definitions import feature
from support.replica import Session, flights, open_on, row_count, settled
from support.wire_client import rows_of
from support.wire_forms import Columns, as_columns
from support.write_path import EVENTS, WritePath

NAN = math.nan
TIME_US = 1_356_998_400_000_000

# Type on the wire and in the model, and pairs of cells: first and second, and whether the second is a duplicate.
PAIRS: dict[str, tuple[ValueType, list[tuple[Any, Any, bool]]]] = {
    "float64": (
        ValueType.FLOAT64,
        [
            (1.5, 1.5, True),
            (NAN, NAN, True),
            (0.0, -0.0, True),
            (NAN, 1.0, False),
            (None, 0.0, False),
            (1.0, None, False),
        ],
    ),
    "int64": (ValueType.INT64, [(7, 7, True), (7, 8, False), (0, None, False), (-(2**63), -(2**63), True)]),
    "bool": (ValueType.BOOL, [(True, True, True), (True, False, False), (False, None, False)]),
    "string": (ValueType.STRING, [("a", "a", True), ("a", "A", False), ("", None, False), ("é", "e\u0301", False)]),
    "category": (ValueType.CATEGORY, [("UA", "UA", True), ("UA", "AA", False), (None, "UA", False)]),
    "timestamp": (ValueType.TIMESTAMP, [(TIME_US, TIME_US, True), (TIME_US, TIME_US + 1, False)]),
    "vector": (
        ValueType.VECTOR,
        [([1, NAN, 3], [1, NAN, 3], True), ([1, 2, 3], [1, 2, 4], False), ([0, 0, 0], None, False)],
    ),
    "string_list": (ValueType.STRING_LIST, [(["a"], ["a"], True), (["a", "b"], ["b", "a"], False), ([], None, False)]),
    "json": (
        ValueType.JSON,
        [({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ({"a": 1}, {"a": 1.0}, True), ({"a": 1}, {"a": 2}, False)],
    ),
}


def cells(which: int) -> Columns:
    """A row for each pair: the cell in the column of its type, null in all others."""
    rows = [(kind, pair[which]) for kind, (_, pairs) in PAIRS.items() for pair in pairs]
    columns = {kind: (kind, [cell if own == kind else None for own, cell in rows]) for kind in PAIRS}
    ids = [f"e{number}" for number in range(len(rows))]
    return {"event_id": ("string", ids), "event_time": ("timestamp", [TIME_US] * len(rows)), **columns}


async def test_a_repeat_is_a_duplicate_when_every_column_is_equal(path: WritePath, registry: Registry) -> None:
    columns = tuple(feature(kind, type_, 3 if kind == "vector" else 0) for kind, (type_, _) in PAIRS.items())
    await registry.register("main", ModelDefinition("typed", columns))
    expected = [same for _, pairs in PAIRS.values() for *_, same in pairs]
    first = await path.send(EVENTS, as_columns(cells(0)).columns, model="typed")
    assert first.stored == len(expected)
    second = await path.send(EVENTS, as_columns(cells(1)).columns, model="typed")
    assert second.stored == second.rejected == 0
    assert rows_of(second.duplicate_rows) == [row for row, same in enumerate(expected) if same]
    assert rows_of(second.conflict_rows) == [row for row, same in enumerate(expected) if not same]


async def test_an_absent_column_is_null(path: WritePath, connection: asyncpg.Connection) -> None:
    bare = [{name: row[name] for name in ("event_id", "event_time")} for row in flights(2)]
    await path.send(EVENTS, bare)
    assert (await path.send(EVENTS, [bare[0] | {"dep_delay": None, "score": None}])).duplicate == 1
    assert (await path.send(EVENTS, [bare[1] | {"score": 0.5}])).conflict == 1
    assert (await path.send(EVENTS, bare)).duplicate == 2
    assert await row_count(connection) == 2


@pytest.mark.parametrize(
    ("column", "same"),
    [("trace_id", True), ("span_id", True), ("latency_ms", False), ("variant", False), ("source", False)],
)
async def test_some_columns_of_the_system_are_compared_and_some_are_not(
    path: WritePath, column: str, same: bool
) -> None:
    values = {"trace_id": ["0" * 31 + "1", "0" * 31 + "2"], "span_id": ["0" * 15 + "1", "0" * 15 + "2"]}
    one, other = values.get(column, [1.5, 2.5] if column == "latency_ms" else ["a", "b"])
    await path.send(EVENTS, flights(1, **{column: one}))
    result = await path.send(EVENTS, flights(1, **{column: other}))
    assert (result.duplicate, result.conflict) == ((1, 0) if same else (0, 1))


async def test_the_same_id_at_another_time_is_another_event(path: WritePath, connection: asyncpg.Connection) -> None:
    row = flights(1)[0]
    later = row | {"event_time": "2013-06-01T00:00:00Z"}
    assert (await path.send(EVENTS, [row, later])).stored == 2
    assert (await path.send(EVENTS, [later, row])).duplicate == 2
    assert await row_count(connection) == 2


async def test_of_two_equal_keys_in_one_batch_the_first_is_stored(path: WritePath) -> None:
    await path.send(EVENTS, flights(1, first=900))
    rows = [*flights(3), *flights(1, dep_delay=99.0), *flights(1, first=1)]
    result = await path.send(EVENTS, rows)
    assert (result.stored, result.duplicate, result.conflict) == (3, 1, 1)
    assert rows_of(result.conflict_rows) == [3]
    assert rows_of(result.duplicate_rows) == [4]


async def test_writers_of_the_same_keys_on_two_replicas_store_each_once(
    path: WritePath, other_path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    """Every key has one batch that was told "stored", and it is that batch's payload which is there."""
    sessions = [await open_on(replica, opened) for replica in (path, other_path) for _ in range(3)]
    stored: Counter[int] = Counter()
    told: dict[int, float] = {}

    async def write(session: Session, seed: int) -> Counter[str]:
        chance, counts = random.Random(seed), Counter[str]()
        for _ in range(6):
            keys = sorted(chance.sample(range(600), 150), key=lambda _: chance.random())
            delay = float(chance.randrange(2))
            rows = [flights(1, first=key, dep_delay=delay)[0] for key in keys]
            result = await session.send(rows)
            repeats = {*rows_of(result.duplicate_rows), *rows_of(result.conflict_rows)}
            for row, key in enumerate(keys):
                if row not in repeats:
                    stored[key] += 1
                    told[key] = delay
            counts.update(stored=result.stored, duplicate=result.duplicate, conflict=result.conflict)
        return counts

    totals = sum(await asyncio.gather(*(write(each, seed) for seed, each in enumerate(sessions))), Counter())
    assert totals.total() == 6 * 6 * 150
    assert totals["stored"] == len(stored) == await row_count(connection)
    assert set(stored.values()) == {1}
    rows = await connection.fetch("SELECT event_id, dep_delay FROM main.flight_delay")
    assert {int(row["event_id"][1:]): row["dep_delay"] for row in rows} == told


async def test_a_batch_that_waits_for_another_replicas_keys_learns_what_became_of_them(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    """Both met no repeat when they looked; the unique index decides, and the loser looks again."""
    session = await open_on(path, opened)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        "INSERT INTO main.flight_delay (event_id, event_time, observed_time, dep_delay, score)"
        " VALUES ('f000002', '2013-01-01 00:00:02Z', now(), 2.0, 0.5), ('f000003', '2013-01-01 00:00:03Z', now(), 0, 0)"
    )
    batch = await session.put(flights(5))
    async with asyncio.timeout(10):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    await transaction.commit()
    result = await settled(batch)
    assert (result.stored, result.duplicate, result.conflict) == (3, 1, 1)
    assert (rows_of(result.duplicate_rows), rows_of(result.conflict_rows)) == ([2], [3])
