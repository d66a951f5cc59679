"""What labels are answered, and what is stored of them, when one group comes after the other."""

from __future__ import annotations

import math
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from headrace.v1 import batch_pb2, error_reason_pb2
from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import EventIdType, Identity
from headrace_server.storage.pool import Connect
from support.label_rows import START, WEEK, counts, event, rows_of, stored_labels, waiting_labels, week
from support.model_definitions import flights, label
from support.write_path import EVENTS, LABELS, WritePath, running_write_path


async def test_a_label_with_its_events_time_is_joined(service: WritePath, connection: asyncpg.Connection) -> None:
    await service.send(EVENTS, [event("a"), event("b", week(1))])
    result = await service.send(LABELS, [{"event_id": "b", "event_time": week(1), "late": True}])
    assert counts(result) == {"stored": 1, "joined": 1}
    assert await stored_labels(connection) == [("b", week(1), True, None)]
    assert await waiting_labels(connection) == []


async def test_a_label_without_time_is_joined_to_the_event_of_its_id(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event(f"e{number}", week(number)) for number in range(10)])
    result = await service.send(LABELS, [{"event_id": f"e{number}", "minutes": 1.5} for number in (7, 0, 3)])
    assert counts(result) == {"stored": 3, "joined": 3}
    assert await stored_labels(connection) == [(f"e{number}", week(number), None, 1.5) for number in (0, 3, 7)]


async def test_many_labels_without_time_find_their_events_in_many_chunks(
    registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    async with running_write_path(registry, opened, search_budget_s=30.0) as service:
        for weeks in (range(30), range(30, 60)):
            await service.send(
                EVENTS, [event(f"e{number}-{part}", week(number)) for number in weeks for part in range(20)]
            )
        ids = [f"e{number}-{part}" for part in range(21) for number in range(60)]
        result = await service.send(LABELS, [{"event_id": event_id, "late": True} for event_id in ids])
    assert counts(result) == {"stored": 1_260, "joined": 1_200, "parked": 60}
    assert rows_of(result.parked_rows) == list(range(1_200, 1_260))
    stored = await stored_labels(connection)
    assert {row[:2] for row in stored} == {
        (f"e{number}-{part}", week(number)) for number in range(60) for part in range(20)
    }


async def test_of_several_events_of_one_id_a_label_without_time_goes_to_the_newest(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a", week(number)) for number in (0, 5, 2)])
    await service.send(LABELS, [{"event_id": "a", "late": True}])
    assert await stored_labels(connection) == [("a", week(5), True, None)]


async def test_a_label_whose_event_is_nowhere_is_parked(service: WritePath, connection: asyncpg.Connection) -> None:
    await service.send(EVENTS, [event("a")])
    rows = [
        {"event_id": "a", "event_time": START, "late": True},
        {"event_id": "a", "event_time": week(1), "late": True},
        {"event_id": "b", "late": False},
    ]
    result = await service.send(LABELS, rows)
    assert counts(result) == {"stored": 3, "joined": 1, "parked": 2}
    assert rows_of(result.parked_rows) == [1, 2]
    assert await waiting_labels(connection) == [("a", week(1), True, None), ("b", None, False, None)]


async def test_a_label_that_was_not_looked_for_everywhere_is_pending(
    registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    async with running_write_path(registry, opened, search_budget_s=0.0) as service:
        await service.send(EVENTS, [event("a"), event("b")])
        rows = [{"event_id": "a", "late": True}, {"event_id": "b", "event_time": START, "late": True}]
        result = await service.send(LABELS, rows)
        assert counts(result) == {"stored": 2, "joined": 1, "pending": 1}
        assert rows_of(result.pending_rows) == [0]
        assert await waiting_labels(connection) == [("a", None, True, None)]
        assert service.woken.is_set()


async def test_an_equal_label_is_a_duplicate_and_another_value_a_revision(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    first = {"event_id": "a", "event_time": START, "late": True}
    await service.send(LABELS, [first])
    again = await service.send(LABELS, [first])
    assert counts(again) == {"duplicate": 1}
    without_time = await service.send(LABELS, [{"event_id": "a", "late": True}])
    assert counts(without_time) == {"duplicate": 1}
    changed = await service.send(LABELS, [{**first, "late": False}, {**first, "minutes": 3.0}])
    assert counts(changed) == {"stored": 2, "joined": 2}
    assert await stored_labels(connection) == [
        ("a", START, True, None),
        ("a", START, False, None),
        ("a", START, True, 3.0),
    ]


@pytest.mark.parametrize(
    "other", [{"label_time": START}, {"source": "auditor"}, {"label_time": START + timedelta(microseconds=1)}]
)
async def test_a_label_of_another_time_or_source_is_another_label(service: WritePath, other: dict[str, object]) -> None:
    await service.send(EVENTS, [event("a")])
    label_of_a = {"event_id": "a", "event_time": START, "late": True}
    await service.send(LABELS, [label_of_a])
    assert counts(await service.send(LABELS, [{**label_of_a, **other}])) == {"stored": 1, "joined": 1}
    assert counts(await service.send(LABELS, [{**label_of_a, **other}])) == {"duplicate": 1}


async def test_repeats_within_a_batch_are_told_and_the_last_revision_of_a_batch_is_the_latest(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a"), event("b")])
    values = [("a", 1.0), ("b", 1.0), ("a", 2.0), ("a", 1.0), ("b", 1.0), ("a", 0.5)]
    result = await service.send(LABELS, [{"event_id": event_id, "minutes": value} for event_id, value in values])
    assert counts(result) == {"stored": 4, "joined": 4, "duplicate": 2}
    assert rows_of(result.duplicate_rows) == [3, 4]
    latest = await connection.fetch("SELECT event_id, minutes FROM main.flight_delay_joined ORDER BY 1")
    assert [tuple(row) for row in latest] == [("a", 0.5), ("b", 1.0)]


async def test_a_repeat_of_a_label_that_waits_is_a_duplicate(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    waiting = [{"event_id": "a", "late": True}, {"event_id": "b", "event_time": START, "late": True}]
    assert counts(await service.send(LABELS, waiting)) == {"stored": 2, "parked": 2}
    assert counts(await service.send(LABELS, waiting)) == {"duplicate": 2}
    changed = [{**waiting[0], "late": False}, {**waiting[1], "event_time": week(1)}]
    assert counts(await service.send(LABELS, changed)) == {"stored": 2, "parked": 2}
    assert len(await waiting_labels(connection)) == 4


async def test_repeats_of_a_batch_that_waits_are_stored_once(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    result = await service.send(LABELS, [{"event_id": "a", "late": True}] * 3)
    assert counts(result) == {"stored": 1, "parked": 1, "duplicate": 2}
    assert len(await waiting_labels(connection)) == 1


async def test_nan_equals_nan_and_null_equals_null(service: WritePath) -> None:
    await service.registry.update("main", "flight_delay", [label("boxes", ValueType.JSON)])
    await service.send(EVENTS, [event("a")])
    not_a_number = batch_pb2.ColumnBatch(row_count=1)
    not_a_number.columns.add(name="event_id").strings.MergeFrom(batch_pb2.StringValues(lengths=[1], data=b"a"))
    not_a_number.columns.add(name="minutes").float64s.values.append(math.nan)
    assert counts(await service.send(LABELS, not_a_number)) == {"stored": 1, "joined": 1}
    assert counts(await service.send(LABELS, not_a_number)) == {"duplicate": 1}
    assert counts(await service.send(LABELS, [{"event_id": "a", "boxes": {"x": 1, "y": [2]}}])) == {
        "stored": 1,
        "joined": 1,
    }
    assert counts(await service.send(LABELS, [{"event_id": "a", "boxes": {"y": [2], "x": 1.0}}])) == {"duplicate": 1}


async def test_labels_keep_their_order_over_groups_and_the_history_stays(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    producer = await service.producer()
    for seq in range(1, 6):
        row = {"event_id": "a", "event_time": START, "minutes": float(seq), "source": "radar"}
        await service.send(LABELS, [row], origin=producer, seq=seq)
    history = await connection.fetch(
        "SELECT minutes, source FROM main.flight_delay_labels WHERE event_id = 'a' ORDER BY recorded_time"
    )
    assert [tuple(row) for row in history] == [(float(seq), "radar") for seq in range(1, 6)]
    assert await connection.fetchval("SELECT minutes FROM main.flight_delay_joined") == 5.0


async def test_a_replayed_batch_is_answered_with_its_first_result_and_adds_nothing(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a")])
    producer = await service.producer()
    rows = [{"event_id": "a", "late": True}, {"event_id": "b", "late": True}]
    first = await service.send(LABELS, rows, origin=producer, seq=1)
    await service.send(EVENTS, [event("b")])
    replayed = await service.send(LABELS, rows, origin=producer, seq=1)
    assert replayed.replayed
    assert counts(replayed) == counts(first) == {"stored": 2, "joined": 1, "parked": 1}
    assert len(await stored_labels(connection)) == 2


async def test_bad_labels_are_rejected_each_for_its_reason_and_good_ones_stored(service: WritePath) -> None:
    await service.send(EVENTS, [event("a")])
    rows = [
        {"event_id": "a", "late": True},
        {"late": True},
        {"event_id": "a", "minutes": "long"},
        {"event_id": "a", "source": "radar"},
        {"event_id": "a", "late": True, "event_time": "1066-10-14T00:00:00Z"},
        {"event_id": "a", "late": True, "score": 1.0},
        {"event_id": "a", "late": True, "recorded_time": START},
        {"event_id": "a", "late": True, "gate": 1},
    ]
    result = await service.send(LABELS, rows)
    assert counts(result) == {"stored": 1, "joined": 1, "rejected": 7}
    reasons = {
        (error_reason_pb2.ErrorReason.Name(errors.reason).removeprefix("ERROR_REASON_"), *rows_of(errors.rows))
        for errors in result.errors
    }
    assert reasons == {
        ("EVENT_ID_REQUIRED", 1),
        ("WRONG_TYPE", 2),
        ("LABEL_REQUIRED", 3),
        ("EVENT_TIME_OUT_OF_RANGE", 4),
        ("IMMUTABLE_COLUMN", 5),
        ("IMMUTABLE_COLUMN", 6),
        ("UNKNOWN_COLUMN", 7),
    }


async def test_a_label_that_the_database_refuses_is_dead_lettered_and_the_others_of_its_batch_stored(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await connection.execute("ALTER TABLE main.flight_delay_labels ADD CHECK (minutes < 1000)")
    await service.send(EVENTS, [event(f"e{number}", week(number)) for number in range(9)])
    rows = [{"event_id": f"e{number}", "minutes": 5_000.0 if number == 4 else 1.0} for number in range(10)]
    result = await service.send(LABELS, rows)
    assert counts(result) == {"stored": 9, "joined": 8, "parked": 1, "rejected": 1}
    assert result.errors[0].reason == error_reason_pb2.ERROR_REASON_STORAGE_REJECTED
    assert rows_of(result.errors[0].rows) == [4]
    letters = await connection.fetch("SELECT row_index, sqlstate FROM headrace.dead_letters")
    assert [tuple(letter) for letter in letters] == [(4, "23514")]
    assert service.woken.is_set()


async def test_a_model_without_labels_takes_none(service: WritePath) -> None:
    await service.registry.register("main", flights(name="bare"))
    result = await service.send(LABELS, [{"event_id": "a", "late": True}], model="bare")
    assert counts(result) == {"rejected": 1}
    assert result.errors[0].reason == error_reason_pb2.ERROR_REASON_NO_LABELS


async def test_labels_that_a_model_got_later_come_with_any_subset_of_its_labels(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [event("a"), event("b")])
    await service.send(LABELS, [{"event_id": "a", "late": True}, {"event_id": "c", "late": True}])
    await service.registry.update("main", "flight_delay", [label("gate", ValueType.STRING)])
    rows = [{"event_id": "a", "gate": "B7"}, {"event_id": "a", "late": True}, {"event_id": "c", "late": True}]
    result = await service.send(LABELS, rows)
    assert counts(result) == {"stored": 1, "joined": 1, "duplicate": 2}
    joined = await connection.fetchrow("SELECT late, gate FROM main.flight_delay_joined WHERE event_id = 'a'")
    assert tuple(joined) == (True, "B7")


@pytest.mark.parametrize("identity", list(Identity))
async def test_labels_of_events_with_uuids(
    service: WritePath, connection: asyncpg.Connection, identity: Identity
) -> None:
    definition = flights(label("late"), name="by_uuid", event_id_type=EventIdType.UUID, identity=identity)
    await service.registry.register("main", definition)
    ids = [str(uuid4()) for _ in range(20)]
    times = [START + number * WEEK / 3 for number in range(20)]
    await service.send(EVENTS, [event(*pair) for pair in zip(ids[:15], times, strict=False)], model="by_uuid")
    rows = [{"event_id": event_id, "late": True} for event_id in ids]
    rows = [
        {**row, "event_time": time} if at % 2 else row for at, (row, time) in enumerate(zip(rows, times, strict=True))
    ]
    result = await service.send(LABELS, rows, model="by_uuid")
    assert counts(result) == {"stored": 20, "joined": 15, "parked": 5}
    await service.send(EVENTS, [event(*pair) for pair in zip(ids[15:], times[15:], strict=True)], model="by_uuid")
    stored = await connection.fetch("SELECT event_id, event_time FROM main.by_uuid_labels")
    assert {tuple(row) for row in stored} == {(UUID(one), time) for one, time in zip(ids, times, strict=True)}
    assert counts(await service.send(LABELS, rows, model="by_uuid")) == {"duplicate": 20}


async def test_the_time_in_a_uuidv7_is_where_its_event_is_looked_for_first_but_not_only(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    milliseconds = int(START.timestamp() * 1000) + 123
    at_its_time, elsewhere = (f"{milliseconds:012x}7{at:03x}8000000000000000" for at in range(2))
    time_of_id = START + timedelta(milliseconds=123)
    await service.send(EVENTS, [event(str(UUID(at_its_time)), time_of_id), event(str(UUID(elsewhere)), week(9))])
    result = await service.send(
        LABELS, [{"event_id": str(UUID(one)), "late": True} for one in (at_its_time, elsewhere)]
    )
    assert counts(result) == {"stored": 2, "joined": 2}
    assert {row[1] for row in await stored_labels(connection)} == {time_of_id, week(9)}


async def test_a_chunk_that_was_made_after_its_labels_were_looked_for_is_seen(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    labelled = {"event_time": START, "late": True}
    for _ in range(8):
        await service.send(LABELS, [{"event_id": "early", **labelled}])
    await service.send(EVENTS, [event("a")])
    assert counts(await service.send(LABELS, [{"event_id": "a", **labelled}])) == {"stored": 1, "joined": 1}
