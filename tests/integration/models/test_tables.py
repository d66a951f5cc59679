from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from headrace_server.models.column_types import ValueType
from headrace_server.models.late_tables import LABELS, inbox_table, settled_table
from headrace_server.models.registry import Registry
from headrace_server.models.schema import EventIdType, Identity
from headrace_server.models.table_spec import events_table
from support.model_definitions import feature, flights, label

DAY = datetime(2013, 1, 1, tzinfo=UTC)


async def indexes_of(connection: asyncpg.Connection, table: str) -> list[tuple[str, bool, list[str]]]:
    """(method, unique, columns) of each index of a table."""
    rows = await connection.fetch(
        """
        SELECT am.amname AS method, x.indisunique AS is_unique,
               array(SELECT pg_get_indexdef(x.indexrelid, place, true)
                     FROM generate_series(1, x.indnatts) AS place ORDER BY place) AS columns
        FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am am ON am.oid = c.relam
        WHERE x.indrelid = $1::regclass ORDER BY columns
        """,
        table,
    )
    return [(row["method"], row["is_unique"], row["columns"]) for row in rows]


async def test_a_unique_models_events_are_unique_by_id_and_time(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late")))
    assert await indexes_of(connection, "main.flight_delay") == [
        ("btree", True, ["event_id", "event_time"]),
        ("brin", False, ["event_time"]),
    ]
    insert = "INSERT INTO main.flight_delay (event_id, event_time) VALUES ('a', $1)"
    await connection.execute(insert, DAY)
    await connection.execute(insert, DAY + timedelta(days=100))
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(insert, DAY)


async def test_an_append_models_events_have_the_least_indexes(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(identity=Identity.APPEND, name="plain"))
    await registry.register("main", flights(label("late"), identity=Identity.APPEND, name="labelled"))
    by_time = ("brin", False, ["event_time"])
    assert await indexes_of(connection, "main.plain") == [by_time]
    assert await indexes_of(connection, "main.labelled") == [("btree", False, ["event_id"]), by_time]
    await registry.update("main", "plain", [label("late")])
    assert await indexes_of(connection, "main.plain") == [("btree", False, ["event_id"]), by_time]


async def test_every_chunk_has_the_indexes_too(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights())
    await connection.execute("INSERT INTO main.flight_delay (event_id, event_time) VALUES ('a', $1)", DAY)
    chunk = await connection.fetchval("SELECT show_chunks('main.flight_delay')::text")
    assert [method for method, _, _ in await indexes_of(connection, chunk)] == ["btree", "brin"]


async def test_labels_lie_chunk_by_chunk_beside_their_events(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late"), chunk_interval=timedelta(days=3)))
    assert await indexes_of(connection, "main.flight_delay_labels") == [("btree", False, ["event_id", "event_time"])]
    assert await indexes_of(connection, "main.flight_delay_labels_inbox") == [
        ("btree", False, ["event_id"]),
        ("btree", True, ["inbox_id"]),
    ]
    for days in (0, 2, 4, 400):
        time = DAY + timedelta(days=days)
        await connection.execute("INSERT INTO main.flight_delay (event_id, event_time) VALUES ('a', $1)", time)
        await connection.execute(
            "INSERT INTO main.flight_delay_labels (event_id, event_time, recorded_time) VALUES ('a', $1, now())", time
        )
    ranges = await connection.fetch(
        """
        SELECT range_start, range_end, count(*) AS tables FROM timescaledb_information.chunks
        GROUP BY range_start, range_end
        """
    )
    assert len(ranges) >= 3
    assert {row["tables"] for row in ranges} == {2}
    assert {row["range_end"] - row["range_start"] for row in ranges} == {timedelta(days=3)}


async def test_the_first_label_of_a_model_makes_its_tables(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights())
    assert await connection.fetchval("SELECT to_regclass('main.flight_delay_labels')") is None
    await registry.update("main", "flight_delay", [label("late"), feature("wind")])
    for table in ("flight_delay_labels", "flight_delay_labels_inbox", "flight_delay_joined"):
        assert await connection.fetchval("SELECT to_regclass($1)", f"main.{table}") is not None
    assert await connection.fetchval("SELECT count(wind) FROM main.flight_delay_joined") == 0


@pytest.mark.parametrize("identity", Identity)
async def test_the_tables_are_as_their_specs_say(
    registry: Registry, connection: asyncpg.Connection, identity: Identity
) -> None:
    everything = [feature(kind.name, kind, 3 if kind is ValueType.VECTOR else 0) for kind in ValueType]
    schema, _ = await registry.register(
        "main", flights(*everything, label("late"), identity=identity, event_id_type=EventIdType.UUID)
    )
    for spec in (events_table(schema), settled_table(schema, LABELS), inbox_table(schema, LABELS)):
        rows = await connection.fetch(
            """
            SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
            WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum
            """,
            spec.qualified,
        )
        types = {"timestamptz": "timestamp with time zone"}
        assert [(row["attname"], row["type"], row["attnotnull"]) for row in rows] == [
            (column.name, types.get(column.sql, column.sql), column.required) for column in spec.columns
        ]


async def test_an_events_id_and_time_are_never_null(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights(event_id_type=EventIdType.UUID))
    with pytest.raises(asyncpg.NotNullViolationError):
        await connection.execute("INSERT INTO main.flight_delay (event_time) VALUES (now())")
    with pytest.raises(asyncpg.NotNullViolationError):
        await connection.execute("INSERT INTO main.flight_delay (event_id) VALUES ($1)", uuid4())


async def test_texts_of_ids_are_ordered_by_their_bytes(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights())
    ids = ["B", "a", "b", "A", "ä", "Z"]
    await connection.executemany(
        "INSERT INTO main.flight_delay (event_id, event_time) VALUES ($1, $2)", [(name, DAY) for name in ids]
    )
    rows = await connection.fetch("SELECT event_id FROM main.flight_delay ORDER BY event_id")
    assert [row["event_id"] for row in rows] == sorted(ids, key=str.encode)


async def test_people_find_what_columns_mean_in_the_database(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(feature("Wind (kt)")))
    comment = await connection.fetchval(
        """
        SELECT col_description(attrelid, attnum) FROM pg_attribute
        WHERE attrelid = 'main.flight_delay'::regclass AND attname = 'wind_kt'
        """
    )
    assert comment == 'Feature "Wind (kt)"'
