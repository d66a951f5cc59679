import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from headrace_server.errors import (
    DatabaseUnavailableError,
    ModelInvalidError,
    ModelNotFoundError,
    NameInvalidError,
    ProjectDeniedError,
    RevisionConflictError,
    TypeConflictError,
)
from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import Identity, ModelSchema, UnknownColumns
from headrace_server.storage.edition import probe
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool
from support.model_definitions import feature, flights, label
from support.timescale import TimescaleCluster

OpenRegistry = Callable[..., Awaitable[Registry]]


async def columns_of(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    rows = await connection.fetch(
        """
        SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
        WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
        """,
        table,
    )
    return {row["attname"]: row["type"] for row in rows}


async def copy_event(connection: asyncpg.Connection, event_id: str) -> None:
    await connection.copy_records_to_table(
        "flight_delay",
        schema_name="main",
        records=[(datetime(2013, 1, 1, tzinfo=UTC), event_id, 1.0)],
        columns=["event_time", "event_id", "dep_delay"],
    )


async def test_a_registered_model_is_there_for_every_registry(open_registry: OpenRegistry) -> None:
    here, there = await open_registry(), await open_registry()
    schema, created = await here.register("main", flights(label("late"), name="Flight Delay"), "v1")
    assert created
    assert schema.revision == 1
    assert await there.get("main", "flight delay") == schema
    assert there.peek("main", "FLIGHT-DELAY") == schema


async def test_the_same_call_again_changes_nothing(registry: Registry, open_registry: OpenRegistry) -> None:
    schema, _ = await registry.register("main", flights(label("late")), "v1")
    assert await registry.register("main", flights(label("late")), "v1") == (schema, False)
    other = await open_registry()
    assert await other.register("main", flights(label("late")), "v1") == (schema, False)
    assert await registry.update("main", "flight_delay", [feature("dep_delay")]) == schema


async def test_a_model_nobody_registered_is_none_and_is_found_once_it_is(open_registry: OpenRegistry) -> None:
    here, there = await open_registry(), await open_registry()
    assert await there.get("main", "flight_delay") is None
    assert there.peek("main", "flight_delay") is None
    schema, _ = await here.register("main", flights())
    assert await there.get("main", "flight_delay") == schema


@pytest.mark.parametrize("name", ["", "€", "x" * 300, "a\0b", "flight_labels"])
async def test_a_name_that_could_be_no_models_is_not_found(registry: Registry, name: str) -> None:
    assert await registry.get("main", name) is None
    with pytest.raises(ModelNotFoundError):
        await registry.update("main", name)


async def test_two_replicas_that_register_at_once_make_one_model(
    open_registry: OpenRegistry, connection: asyncpg.Connection
) -> None:
    replicas = [await open_registry() for _ in range(4)]
    results = await asyncio.gather(
        *(replica.register("main", flights(label("late")), f"v{number}") for number, replica in enumerate(replicas))
    )
    assert sorted(created for _, created in results) == [False, False, False, True]
    final = await (await open_registry()).get("main", "flight_delay")
    assert final is not None
    assert set(final.versions) == {"v0", "v1", "v2", "v3"}
    assert final.revision == 4
    assert await connection.fetchval("SELECT count(*) FROM timescaledb_information.hypertables") == 2


async def test_replicas_that_add_different_columns_at_once_lose_none(
    open_registry: OpenRegistry, connection: asyncpg.Connection
) -> None:
    replicas = [await open_registry() for _ in range(3)]
    await replicas[0].register("main", flights())
    await asyncio.gather(
        *(
            replica.update("main", "flight_delay", [feature(f"x{number}"), feature("shared")])
            for number, replica in enumerate(replicas)
        )
    )
    final = await (await open_registry()).get("main", "flight_delay")
    assert final is not None
    assert {column.name for column in final.columns} == {"dep_delay", "score", "x0", "x1", "x2", "shared"}
    assert {"x0", "x1", "x2", "shared"} <= (await columns_of(connection, "main.flight_delay")).keys()


async def test_one_of_two_that_give_a_column_different_types_is_refused(open_registry: OpenRegistry) -> None:
    here, there = await open_registry(), await open_registry()
    await here.register("main", flights())
    await there.get("main", "flight_delay")
    results = await asyncio.gather(
        here.update("main", "flight_delay", [feature("wind", ValueType.FLOAT64)]),
        there.update("main", "flight_delay", [feature("wind", ValueType.STRING)]),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["ModelSchema", "TypeConflictError"]


async def test_a_refused_registration_leaves_nothing_behind(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights(feature("wind")), "v1")
    with pytest.raises(TypeConflictError):
        await registry.register("main", flights(feature("new"), feature("wind", ValueType.STRING)), "v2")
    standing = await registry.get("main", "flight_delay")
    assert standing is not None
    assert standing.versions == ("v1",)
    assert "new" not in await columns_of(connection, "main.flight_delay")


async def test_update_adds_typed_columns_to_the_tables(registry: Registry, connection: asyncpg.Connection) -> None:
    await registry.register("main", flights(label("late")))
    added = [
        *(feature(kind.name.lower(), kind, 3 if kind is ValueType.VECTOR else 0) for kind in ValueType),
        label("minutes", ValueType.FLOAT64),
    ]
    schema = await registry.update("main", "flight_delay", added)
    events = await columns_of(connection, "main.flight_delay")
    assert {kind.name.lower(): events[kind.name.lower()] for kind in ValueType} == {
        "bool": "boolean",
        "int64": "bigint",
        "float64": "double precision",
        "string": "text",
        "category": "text",
        "bytes": "bytea",
        "timestamp": "timestamp with time zone",
        "vector": "real[]",
        "string_list": "text[]",
        "json": "jsonb",
    }
    assert schema.revision == 2
    for table in ("main.flight_delay_labels", "main.flight_delay_labels_inbox", "main.flight_delay_joined"):
        assert (await columns_of(connection, table))["minutes"] == "double precision"
    assert "minutes" not in events


async def test_a_policy_is_changed_without_touching_the_columns(registry: Registry) -> None:
    before, _ = await registry.register("main", flights())
    after = await registry.update("main", "flight_delay", unknown_columns=UnknownColumns.ADD)
    assert (after.unknown_columns, after.columns, after.revision) == (UnknownColumns.ADD, before.columns, 2)


async def test_an_update_that_looked_at_an_older_revision_is_refused(registry: Registry) -> None:
    schema, _ = await registry.register("main", flights())
    await registry.update("main", "flight_delay", [feature("wind")], revision=schema.revision)
    with pytest.raises(RevisionConflictError) as caught:
        await registry.update("main", "flight_delay", [feature("rain")], revision=schema.revision)
    assert caught.value.metadata == {"revision": "2"}


async def test_models_are_listed_by_name_in_pages(registry: Registry) -> None:
    for name in ("cherry", "apple", "banana"):
        await registry.register("main", flights(name=name))
    first = await registry.list("main", limit=2)
    rest = await registry.list("main", after=first[-1].sql_name, limit=2)
    assert [schema.name for schema in first] == ["apple", "banana"]
    assert [schema.name for schema in rest] == ["cherry"]
    with pytest.raises(NameInvalidError):
        await registry.list("main", after="\0")


async def test_a_project_that_is_not_there_is_denied(registry: Registry, connection: asyncpg.Connection) -> None:
    with pytest.raises(ProjectDeniedError):
        await registry.register("elsewhere", flights())
    assert await connection.fetchval("SELECT to_regnamespace('elsewhere')") is None


async def test_projects_have_models_of_the_same_name(registry: Registry, connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO headrace.projects (name) VALUES ('other')")
    await registry.register("main", flights())
    await registry.register("other", flights(feature("wind")))
    assert "wind" not in await columns_of(connection, "main.flight_delay")
    assert "wind" in await columns_of(connection, "other.flight_delay")


async def test_another_ones_table_is_never_taken_over(registry: Registry, connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE TABLE main.flight_delay (mine integer)")
    with pytest.raises(NameInvalidError, match="not headrace's"):
        await registry.register("main", flights())
    assert await columns_of(connection, "main.flight_delay") == {"mine": "integer"}
    assert await registry.get("main", "flight_delay") is None


async def test_hostile_names_make_tables_and_nothing_else(registry: Registry, connection: asyncpg.Connection) -> None:
    hostile = "x\"; DROP SCHEMA main CASCADE; -- ' \\ $$ %s {0}"
    definition = flights(
        feature(f"f {hostile}"), feature("select"), label(f"l {hostile}"), label("user"), name=f"m {hostile}"
    )
    schema, _ = await registry.register("main", definition, hostile)
    schema = await registry.update("main", schema.name, [feature(f"g {hostile}"), label(f"k {hostile}")])
    assert schema.name == f"m {hostile}"
    assert schema.versions == (hostile,)
    assert [column.name for column in schema.labels] == [f"l {hostile}", "user", f"k {hostile}"]
    assert await columns_of(connection, f"main.{schema.sql_name}_joined")
    comment = await connection.fetchval("SELECT obj_description($1::regclass)", f"main.{schema.sql_name}")
    assert hostile in comment


async def test_a_first_batch_makes_a_model_only_where_that_is_allowed(
    open_registry: OpenRegistry, connection: asyncpg.Connection
) -> None:
    cautious, generous = await open_registry(), await open_registry(infer_models=True)
    columns = [feature("wind"), feature("gate", ValueType.STRING)]
    assert await cautious.infer("main", "first", columns) is None
    made = await generous.infer("main", "first", columns, Identity.APPEND)
    assert made is not None
    assert (made.identity, made.unknown_columns) == (Identity.APPEND, UnknownColumns.ADD)
    await connection.execute("UPDATE headrace.projects SET infer_models = true")
    assert await cautious.infer("main", "second", columns) is not None
    assert await generous.infer("nowhere", "third", columns) is None


async def test_of_two_first_batches_the_loser_gets_the_winners_schema(open_registry: OpenRegistry) -> None:
    replicas = [await open_registry(infer_models=True) for _ in range(3)]
    types = (ValueType.FLOAT64, ValueType.STRING, ValueType.BOOL)
    made = await asyncio.gather(
        *(replica.infer("main", "model", [feature("x", kind)]) for replica, kind in zip(replicas, types, strict=True))
    )
    assert made[0] is not None
    assert made[0] == made[1] == made[2]


async def test_subscribers_hear_of_changes_and_of_nothing_else(registry: Registry) -> None:
    heard: list[ModelSchema] = []
    unsubscribe = registry.subscribe(heard.append)
    await registry.register("main", flights())
    await registry.register("main", flights())
    assert heard == []
    changed = await registry.update("main", "flight_delay", [feature("wind")])
    assert heard == [changed]
    unsubscribe()
    unsubscribe()
    await registry.update("main", "flight_delay", [feature("rain")])
    assert heard == [changed]


async def test_a_chunk_interval_holds_for_the_next_chunks_of_all_its_tables(
    registry: Registry, connection: asyncpg.Connection
) -> None:
    await registry.register("main", flights(label("late")))
    schema = await registry.set_chunk_interval("main", "flight_delay", timedelta(hours=6))
    assert (schema.chunk_interval, schema.revision) == (timedelta(hours=6), 2)
    intervals = await connection.fetch("SELECT time_interval FROM timescaledb_information.dimensions")
    assert [row["time_interval"] for row in intervals] == [timedelta(hours=6)] * 2
    with pytest.raises(ModelInvalidError):
        await registry.set_chunk_interval("main", "flight_delay", timedelta(minutes=1))
    with pytest.raises(ModelNotFoundError):
        await registry.set_chunk_interval("main", "nothing", timedelta(hours=6))


async def test_a_column_is_added_while_a_copy_is_open_and_the_copy_goes_on(
    registry: Registry, opened: Callable[[], Awaitable[asyncpg.Connection]]
) -> None:
    await registry.register("main", flights())
    copier = await opened()
    transaction = copier.transaction()
    await transaction.start()
    await copy_event(copier, "a")
    adding = asyncio.create_task(registry.update("main", "flight_delay", [feature("wind")]))
    watcher = await opened()
    async with asyncio.timeout(10):
        while not await watcher.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            await asyncio.sleep(0.01)
    assert not adding.done()
    await transaction.commit()
    schema = await adding
    assert schema.columns[-1].name == "wind"
    # The copier still knows the shorter list of columns.
    await copy_event(copier, "b")
    assert await watcher.fetchval("SELECT count(*) FROM main.flight_delay") == 2
    await copier.close()
    await watcher.close()


async def test_a_table_that_stays_busy_ends_in_a_retryable_error(
    registry: Registry, opened: Callable[[], Awaitable[asyncpg.Connection]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace_server.models.ddl_transaction.DEADLINE_S", 0.1)
    await registry.register("main", flights())
    holder = await opened()
    async with holder.transaction():
        await holder.execute("LOCK TABLE main.flight_delay IN ROW EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailableError):
            await registry.update("main", "flight_delay", [feature("wind")])
    await holder.close()
    assert (await registry.update("main", "flight_delay", [feature("wind")])).revision == 2


async def test_a_database_that_is_away_is_a_retryable_error(registry: Registry, timescale: TimescaleCluster) -> None:
    await registry.register("main", flights())
    await timescale.kill_postmaster()
    with pytest.raises(DatabaseUnavailableError):
        await registry.get("main", "unseen")
    with pytest.raises(DatabaseUnavailableError):
        await registry.update("main", "flight_delay", [feature("wind")])
    assert registry.peek("main", "flight_delay") is not None
    await timescale.restart()
    assert (await registry.update("main", "flight_delay", [feature("wind")])).revision == 2


@pytest.fixture
async def connection_of_plain_role(blank_database_url: str, timescale: TimescaleCluster) -> AsyncIterator[Connect]:
    """Opens connections of a role that is no superuser and owns nothing."""
    name = urlsplit(blank_database_url).path.strip("/")
    await timescale.execute("CREATE ROLE plain")
    await timescale.execute(f"GRANT CREATE ON DATABASE {name} TO plain")

    async def connect_as_plain_role() -> asyncpg.Connection:
        connection = await connect(blank_database_url, instance="plain")
        await connection.execute("SET ROLE plain")
        return connection

    yield connect_as_plain_role
    superuser = await connect(blank_database_url, instance="test")
    await superuser.execute("DROP OWNED BY plain CASCADE; DROP ROLE plain")
    await superuser.close()


async def test_a_plain_role_that_may_create_schemas_is_enough(
    blank_database_url: str, connection_of_plain_role: Connect
) -> None:
    connection = await connection_of_plain_role()
    await probe(connection)
    await migrate(connection)
    await connection.close()
    async with await create_pool(blank_database_url, instance="plain") as pool:
        registry = Registry(pool, connection_of_plain_role)
        await registry.register("main", flights(label("late")))
        await registry.update("main", "flight_delay", [feature("wind"), label("minutes", ValueType.FLOAT64)])
        await registry.set_chunk_interval("main", "flight_delay", timedelta(days=1))
