from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import Identity
from support.model_definitions import feature, flights, label

START = datetime(2013, 1, 1, tzinfo=UTC)


async def add_event(connection: asyncpg.Connection, event_id: str, time: datetime = START, **columns: Any) -> None:
    await _insert(connection, "flight_delay", event_id=event_id, event_time=time, **columns)


async def add_label(connection: asyncpg.Connection, event_id: str, time: datetime = START, **columns: Any) -> None:
    await _insert(connection, "flight_delay_labels", event_id=event_id, event_time=time, **columns)


async def _insert(connection: asyncpg.Connection, table: str, **columns: Any) -> None:
    places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    await connection.execute(f"INSERT INTO main.{table} ({', '.join(columns)}) VALUES ({places})", *columns.values())


def at(second: int) -> datetime:
    return START + timedelta(days=30, seconds=second)


async def test_events_show_their_latest_label_and_those_without_show_null(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late")))
    for event_id in ("a", "b", "c"):
        await add_event(connection, event_id, dep_delay=1.0)
    await add_label(connection, "a", recorded_time=at(1), late=True)
    await add_label(connection, "b", recorded_time=at(2), late=False)
    await add_label(connection, "b", recorded_time=at(1), late=True)
    rows = await connection.fetch("SELECT event_id, late, recorded_time FROM main.flight_delay_joined ORDER BY 1")
    assert [tuple(row) for row in rows] == [("a", True, at(1)), ("b", False, at(2)), ("c", None, None)]


async def test_each_label_column_keeps_its_own_latest_value(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights(label("late"), label("minutes", ValueType.FLOAT64)))
    await add_event(connection, "a")
    await add_label(connection, "a", recorded_time=at(1), late=True, minutes=20.0)
    await add_label(connection, "a", recorded_time=at(2), minutes=21.0)
    await add_label(connection, "a", recorded_time=at(3), late=False)
    row = await connection.fetchrow("SELECT late, minutes, recorded_time FROM main.flight_delay_joined")
    assert tuple(row) == (False, 21.0, at(3))


async def test_of_labels_recorded_at_once_the_later_label_time_wins(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("minutes", ValueType.FLOAT64)))
    await add_event(connection, "a")
    await add_label(connection, "a", recorded_time=at(1), label_time=at(-5), minutes=1.0)
    await add_label(connection, "a", recorded_time=at(1), label_time=at(-3), minutes=2.0)
    await add_label(connection, "a", recorded_time=at(1), minutes=3.0)
    row = await connection.fetchrow("SELECT minutes, label_time FROM main.flight_delay_joined")
    assert tuple(row) == (2.0, at(-3))


async def test_the_same_id_at_another_time_has_labels_of_its_own(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late")))
    for days in (0, 1, 60):
        await add_event(connection, "a", START + timedelta(days=days))
    await add_label(connection, "a", START + timedelta(days=1), recorded_time=at(1), late=True)
    rows = await connection.fetch("SELECT late FROM main.flight_delay_joined ORDER BY event_time")
    assert [row["late"] for row in rows] == [None, True, None]


async def test_repeated_events_of_an_append_model_all_show_the_label(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late"), identity=Identity.APPEND))
    await add_event(connection, "a")
    await add_event(connection, "a")
    await add_label(connection, "a", recorded_time=at(1), late=True)
    assert [row["late"] for row in await connection.fetch("SELECT late FROM main.flight_delay_joined")] == [True, True]


async def test_a_label_that_shares_a_features_name_is_told_apart(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(feature("late", ValueType.BOOL), label("late")))
    await add_event(connection, "a", late=False)
    await add_label(connection, "a", recorded_time=at(1), late=True)
    row = await connection.fetchrow("SELECT late, label_late FROM main.flight_delay_joined")
    assert tuple(row) == (False, True)


async def test_the_function_gives_the_views_rows_of_a_span_of_time(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late")))
    for hours in range(0, 400, 10):
        time = START + timedelta(hours=hours)
        await add_event(connection, f"e{hours}", time)
        await add_label(connection, f"e{hours}", time, recorded_time=at(1), late=hours % 20 == 0)
    bounds = (START + timedelta(hours=50), START + timedelta(hours=250))
    by_function = await connection.fetch(
        "SELECT * FROM main.flight_delay_joined_between($1, $2) ORDER BY event_time", *bounds
    )
    by_view = await connection.fetch(
        "SELECT * FROM main.flight_delay_joined WHERE event_time >= $1 AND event_time < $2 ORDER BY event_time", *bounds
    )
    assert len(by_function) == 20
    assert by_function == by_view


async def test_what_others_built_on_the_view_outlives_new_columns(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late")))
    await connection.execute("CREATE VIEW main.mine AS SELECT event_id, late FROM main.flight_delay_joined")
    await connection.execute(
        "CREATE VIEW main.theirs AS SELECT late FROM main.flight_delay_joined_between('2013-01-01', '2014-01-01')"
    )
    await registry.update("main", "flight_delay", [feature("wind"), label("minutes", ValueType.FLOAT64)])
    await add_event(connection, "a", wind=3.0)
    await add_label(connection, "a", recorded_time=at(1), late=True, minutes=5.0)
    assert tuple(await connection.fetchrow("SELECT * FROM main.mine")) == ("a", True)
    assert tuple(await connection.fetchrow("SELECT * FROM main.theirs")) == (True,)
    row = await connection.fetchrow(
        "SELECT wind, minutes FROM main.flight_delay_joined_between('2013-01-01', '2014-01-01')"
    )
    assert tuple(row) == (3.0, 5.0)


async def plan_of(connection: asyncpg.Connection, query: str) -> str:
    return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))


async def test_the_plans_are_sane_at_size(registry: Registry, connection: asyncpg.Connection) -> None:
    """60,000 events over a year: a full scan hashes, a span of time reads its chunks only, an id goes by the index."""
    await registry.register("main", flights(label("late")))
    rows = (
        "SELECT '2013-01-01'::timestamptz + n * interval '520 seconds', 'flight-' || n FROM generate_series(1, 60000) n"
    )
    await connection.execute(f"INSERT INTO main.flight_delay (event_time, event_id) {rows}")
    await connection.execute(
        "INSERT INTO main.flight_delay_labels (event_time, event_id, recorded_time, late)"
        " SELECT event_time, event_id, clock_timestamp(), length(event_id) > 10 FROM main.flight_delay"
    )
    for analyzed in (False, True):
        if analyzed:
            await connection.execute("ANALYZE main.flight_delay, main.flight_delay_labels")
        whole = await plan_of(connection, "SELECT count(late), count(*) FROM main.flight_delay_joined")
        assert "Nested Loop" not in whole
        assert "Hash" in whole or "Merge" in whole
        span = await plan_of(
            connection, "SELECT late FROM main.flight_delay_joined_between('2013-03-01', '2013-03-03') WHERE late"
        )
        assert span.count(" on _hyper_") <= 6
        one = await plan_of(connection, "SELECT late FROM main.flight_delay_joined WHERE event_id = 'flight-77'")
        assert "Seq Scan" not in one
    counts = await connection.fetchrow("SELECT count(late), count(*) FROM main.flight_delay_joined")
    assert tuple(counts) == (60_000, 60_000)
