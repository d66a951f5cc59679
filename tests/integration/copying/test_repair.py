"""Rows that only PostgreSQL refuses: found, kept as dead letters, and paid for by nobody else."""

from __future__ import annotations

import asyncpg
import numpy as np
import numpy.typing as npt
import pytest

from headrace.v1 import batch_pb2, error_reason_pb2, result_pb2
from headrace_server.copying import copier, search
from headrace_server.copying.landing import GroupRows
from headrace_server.models.registry import Registry
from headrace_server.models.schema import Identity
from headrace_server.storage.pool import Connect
from support.model_definitions import flights as definition
from support.replica import flights, open_on, raise_on_insert, row_count, settled
from support.wire_client import rows_of
from support.write_path import WritePath

CHECK = "ALTER TABLE main.flight_delay ADD CONSTRAINT positive CHECK (dep_delay >= 0)"


def with_bad(count: int, bad: list[int], first: int = 0) -> list[dict[str, object]]:
    """Events, some of which the constraint refuses."""
    rows = flights(count, first)
    for row in bad:
        rows[row]["dep_delay"] = -1.0
    return rows


def refused(result: result_pb2.BatchResult) -> dict[str, list[int]]:
    """Refused rows by reason."""
    return {
        error_reason_pb2.ErrorReason.Name(errors.reason).removeprefix("ERROR_REASON_"): rows_of(errors.rows)
        for errors in result.errors
    }


@pytest.mark.parametrize("identity", ["UNIQUE", "APPEND"])
@pytest.mark.parametrize("bad", [[5_000], list(range(0, 10_000, 1_000)), list(range(100, 160))], ids=len)
async def test_bad_rows_of_ten_thousand_cost_no_other(
    path: WritePath,
    registry: Registry,
    opened: Connect,
    connection: asyncpg.Connection,
    *,
    bad: list[int],
    identity: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "LONGEST_SEARCH_S", 60.0)  # what is shown is the search, not this machine's pace
    session = await open_on(path, opened)
    model = "flight_delay" if identity == "UNIQUE" else "plain"
    await registry.register("main", definition(name=model, identity=Identity[identity]))
    await connection.execute(CHECK.replace("flight_delay", model))
    rows = with_bad(10_000, bad)
    rows.reverse()
    bad = sorted(9_999 - row for row in bad)
    result = await session.send(rows, model=model)
    assert (result.stored, result.rejected) == (10_000 - len(bad), len(bad))
    assert refused(result) == {"STORAGE_REJECTED": bad}
    assert await row_count(connection, model) == 10_000 - len(bad)
    letters = await connection.fetch("SELECT row_index, reason, sqlstate, message, payload FROM headrace.dead_letters")
    assert sorted(letter["row_index"] for letter in letters) == bad
    assert {(letter["reason"], letter["sqlstate"]) for letter in letters} == {("STORAGE_REJECTED", "23514")}
    assert all("positive" in letter["message"] for letter in letters)
    kept = batch_pb2.Batch.FromString(letters[0]["payload"])
    assert kept.model == model


async def test_a_cluster_of_bad_rows_is_no_copy_of_all_that_follows_for_each(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    take = GroupRows.take

    def counting(rows: GroupRows, positions: npt.NDArray[np.int64]) -> GroupRows:
        tried.append(len(positions))
        return take(rows, positions)

    monkeypatch.setattr(GroupRows, "take", counting)
    session = await open_on(path, opened)
    await connection.execute(CHECK)
    result = await session.send(with_bad(10_000, list(range(100, 140))))
    assert (result.stored, result.rejected) == (9_960, 40)
    assert sum(tried) < 4 * 10_000, tried


async def test_bad_rows_among_repeats_are_told_apart(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await session.send(flights(100))
    await connection.execute(CHECK)
    rows = with_bad(200, [150, 160])
    rows[7]["dep_delay"] = 4_711.0
    result = await session.send(rows)
    assert (result.stored, result.duplicate, result.conflict, result.rejected) == (98, 99, 1, 2)
    assert rows_of(result.conflict_rows) == [7]
    assert refused(result) == {"STORAGE_REJECTED": [150, 160]}
    assert await row_count(connection) == 198


async def test_beyond_the_budget_rows_are_kept_unresolved_and_what_is_proven_is_stored(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_SAVEPOINTS", 3)
    session = await open_on(path, opened)
    await connection.execute(CHECK)
    result = await session.send(with_bad(1_000, [100, 200, 300, 400]))
    assert refused(result) == {"STORAGE_REJECTED": [100, 200, 300], "UNRESOLVED": list(range(301, 1_000))}
    assert result.stored == 298
    assert await row_count(connection) == 298
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters WHERE reason = 'UNRESOLVED'") == 699


async def test_a_bad_last_row_costs_no_other(path: WritePath, opened: Connect, connection: asyncpg.Connection) -> None:
    session = await open_on(path, opened)
    await connection.execute(CHECK)
    result = await session.send(with_bad(1_000, [999]))
    assert (refused(result), result.stored) == ({"STORAGE_REJECTED": [999]}, 999)
    assert await row_count(connection) == 999


async def test_where_the_budget_ends_before_anything_is_proven_nothing_is_stored_and_all_is_kept(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_SAVEPOINTS", 1)
    session = await open_on(path, opened)
    await connection.execute(CHECK)
    result = await session.send(with_bad(1_000, [0]))
    assert refused(result) == {"STORAGE_REJECTED": [0], "UNRESOLVED": list(range(1, 1_000))}
    assert result.stored == await row_count(connection) == 0
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 1_000


@pytest.mark.parametrize("words", ["COPY elsewhere, line 1", "no line"])
async def test_rows_are_halved_where_the_line_is_not_one_of_their_copy(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, words: str
) -> None:
    """A trigger that looks at all rows when they are written: a class of error that else comes with its line."""
    session = await open_on(path, opened)
    await connection.execute(
        f"""
        CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM main.flight_delay WHERE dep_delay < 0) THEN
                RAISE EXCEPTION 'bad rows ({words})' USING ERRCODE = '23514';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER look AFTER INSERT ON main.flight_delay FOR EACH STATEMENT EXECUTE FUNCTION look();
        """
    )
    result = await session.send(with_bad(64, [3, 40]))
    assert (refused(result), result.stored) == ({"STORAGE_REJECTED": [3, 40]}, 62)


async def test_rows_are_halved_where_postgresql_names_no_line(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    """A unique index that somebody added: 23505, and not for a repeat of ours."""
    session = await open_on(path, opened)
    await connection.execute("CREATE UNIQUE INDEX ON main.flight_delay (dep_delay, event_time)")
    await session.send([{"event_id": "other", "event_time": "2013-01-01T00:00:50Z", "dep_delay": 50.0}])
    result = await session.send(flights(100))
    assert refused(result) == {"STORAGE_REJECTED": [50]}
    assert result.stored == 99


async def test_other_producers_go_on_while_a_batch_is_repaired(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    sick, healthy = await open_on(path, opened), await open_on(path, opened)
    await connection.execute(CHECK)
    bad = [
        await sick.put(with_bad(2_000, [500 * (number + 1) - 1], first=10_000 + 2_000 * number)) for number in range(3)
    ]
    for number in range(10):
        assert (await healthy.send(flights(10, first=10 * number))).stored == 10
    results = [await settled(batch) for batch in bad]
    assert [(result.seq, result.stored, result.rejected) for result in results] == [
        (seq, 1_999, 1) for seq in (1, 2, 3)
    ]


async def test_no_row_is_refused_for_want_of_memory(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_SAVEPOINTS", 4)
    session = await open_on(path, opened)
    await raise_on_insert(connection, "53200", times=12, message="out of shared memory")
    result = await session.send(flights(64))
    assert (result.stored, result.rejected) == (64, 0)
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 0


async def test_a_row_that_meets_what_others_have_just_stored_again_and_again_is_not_refused_for_it(
    path: WritePath, opened: Connect, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copier, "prepare_group", lambda _: 1 // 0)  # so that the lane gets the batch
    session = await open_on(path, opened)
    await raise_on_insert(connection, "23505", times=search.MOST_PROBES)
    result = await session.send(flights(1))
    assert (result.stored, result.rejected) == (1, 0)


async def test_a_repaired_batch_sent_again_gets_its_first_result(
    path: WritePath, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await connection.execute(CHECK)
    first = await session.send(with_bad(10, [3]))
    again = await open_on(path, opened, session.producer.id)
    replayed = await again.send(with_bad(10, [3]), seq=1)
    assert replayed.replayed
    replayed.replayed = False
    assert replayed == first
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 1
