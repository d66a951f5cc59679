"""Labels and events that meet: labels first, at the same time, and with a crash between COMMIT and what follows it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from headrace_server.joining import inbox
from headrace_server.joining.resolver import Resolver
from headrace_server.joining.tables import LateTables
from headrace_server.models import late_tables
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect
from support.label_rows import START, counts, event, stored_labels, waiting_labels, week
from support.write_path import EVENTS, LABELS, Result, WritePath, running_write_path

_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


async def test_labels_that_came_first_join_when_their_events_come(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    rows = [
        {"event_id": "a", "late": True},
        {"event_id": "b", "event_time": week(1), "late": True},
        {"event_id": "b", "event_time": week(2), "late": False},
        {"event_id": "c", "late": True},
    ]
    assert counts(await service.send(LABELS, rows)) == {"stored": 4, "parked": 4}
    await service.send(EVENTS, [event("a", week(5)), event("b", week(1)), event("d")])
    assert await stored_labels(connection) == [("a", week(5), True, None), ("b", week(1), True, None)]
    assert await waiting_labels(connection) == [("b", week(2), False, None), ("c", None, True, None)]
    shown = await connection.fetch("SELECT event_id, late FROM main.flight_delay_joined ORDER BY event_id")
    assert [tuple(row) for row in shown] == [("a", True), ("b", True), ("d", None)]


async def test_a_label_keeps_the_time_it_was_recorded_at_and_revisions_their_order(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    for minutes in (3.0, 1.0, 2.0):
        await service.send(LABELS, [{"event_id": "a", "minutes": minutes, "source": "radar"}])
    waited = await connection.fetch("SELECT recorded_time FROM main.flight_delay_labels_inbox ORDER BY inbox_id")
    await service.send(EVENTS, [event("a")])
    await service.send(LABELS, [{"event_id": "a", "minutes": 9.0}])
    rows = await connection.fetch("SELECT minutes, recorded_time FROM main.flight_delay_labels ORDER BY recorded_time")
    assert [row["minutes"] for row in rows] == [3.0, 1.0, 2.0, 9.0]
    assert [row["recorded_time"] for row in rows[:3]] == [row["recorded_time"] for row in waited]
    assert await connection.fetchval("SELECT minutes FROM main.flight_delay_joined") == 9.0


async def test_labels_with_and_without_time_that_turn_out_equal_are_stored_once(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    rows = [{"event_id": "a", "late": True}, {"event_id": "a", "event_time": START, "late": True}]
    assert counts(await service.send(LABELS, rows)) == {"stored": 2, "parked": 2}
    await service.send(EVENTS, [event("a")])
    assert await stored_labels(connection) == [("a", START, True, None)]
    assert await waiting_labels(connection) == []


async def test_events_and_labels_of_one_group_are_joined(service: WritePath, connection: asyncpg.Connection) -> None:
    events = [event(f"e{number}", week(number)) for number in range(5)]
    labels = [{"event_id": f"e{number}", "late": True} for number in range(6)]
    # Both are waiting before the copier's next turn, so they are committed together; or one after the other.
    results = await asyncio.gather(service.send(LABELS, labels), service.send(EVENTS, events))
    assert counts(results[0]) in ({"stored": 6, "joined": 5, "parked": 1}, {"stored": 6, "parked": 6})
    assert len(await stored_labels(connection)) == 5
    assert await waiting_labels(connection) == [("e5", None, True, None)]


async def test_events_find_their_labels_among_more_than_are_fetched(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    rows = [{"event_id": f"e{number}", "minutes": float(number)} for number in range(4_000)]
    for row in rows[::2]:
        row["event_time"] = week(int(row["minutes"]) % 7)
    assert counts(await service.send(LABELS, rows)) == {"stored": 4_000, "parked": 4_000}
    await service.send(EVENTS, [event(f"e{number}", week(number % 7)) for number in range(500, 3_500)])
    assert len(await waiting_labels(connection)) == 1_000
    right = await connection.fetchval(
        "SELECT count(*) FROM main.flight_delay_joined WHERE event_id = 'e' || minutes::int::text"
    )
    assert right == 3_000


async def test_of_a_thousand_pairs_committed_at_the_same_time_none_is_missed(
    registry: Registry, opened: Connect, connection: asyncpg.Connection
) -> None:
    lanes, rounds, pairs = 4, 25, 10

    async def one_lane(service: WritePath, lane: int) -> None:
        order = random.Random(lane)
        for turn in range(rounds):
            events = [event(f"e{lane}-{turn}-{pair}", week(order.randrange(3))) for pair in range(pairs)]
            labels = [{"event_id": row["event_id"], "late": True} for row in events]
            for row, of_event in zip(labels[::2], events[::2], strict=True):
                row["event_time"] = of_event["event_time"]
            sends = [
                service.send(EVENTS, events, copier=2 * lane),
                service.send(LABELS, labels, copier=2 * lane + 1),
            ]
            order.shuffle(sends)
            results = await asyncio.gather(*sends)
            assert sum(result.stored for result in results) == 2 * pairs

    async with running_write_path(registry, opened, copiers=2 * lanes) as service:
        await asyncio.gather(*(one_lane(service, lane) for lane in range(lanes)))
    assert await waiting_labels(connection) == []
    assert len(await stored_labels(connection)) == lanes * rounds * pairs


async def test_an_event_committed_while_its_label_was_on_the_way_is_found_after_the_commit(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    rows = [{"event_id": "a", "late": True}, {"event_id": "b", "event_time": START, "late": True}, {"event_id": "c"}]
    rows[2]["minutes"] = 1.0
    result = await _overtaken(service, connection, rows, [event("a", week(4)), event("b")])
    assert counts(result) == {"stored": 3, "joined": 2, "parked": 1}
    assert await stored_labels(connection) == [("a", week(4), True, None), ("b", START, True, None)]
    assert await waiting_labels(connection) == [("c", None, None, 1.0)]


async def test_the_result_that_a_replay_is_told_is_the_one_after_settling(
    service: WritePath, connection: asyncpg.Connection
) -> None:
    producer = await service.producer()
    rows = [{"event_id": "a", "late": True}]
    result = await _overtaken(service, connection, rows, [event("a")], origin=producer, seq=1)
    replayed = await service.send(LABELS, rows, origin=producer, seq=1)
    assert replayed.replayed
    assert counts(replayed) == counts(result) == {"stored": 1, "joined": 1}


@pytest.mark.parametrize("labels_first", [True, False])
async def test_what_a_crash_between_commit_and_settling_left_is_resolved(
    registry: Registry, opened: Connect, connection: asyncpg.Connection, labels_first: bool
) -> None:
    rows = [{"event_id": "a", "late": True}, {"event_id": "b", "event_time": week(1), "late": True}]
    events = [event("a", week(3)), event("b", week(1))]
    async with running_write_path(registry, opened) as crashing:
        if labels_first:
            assert counts(await crashing.send(LABELS, rows)) == {"stored": 2, "parked": 2}
            crashing.end_after_commits()
            await crashing.send(EVENTS, events)
        else:
            crashing.end_after_commits()
            result = await _overtaken(crashing, connection, rows, events)
            assert counts(result) == {"stored": 2, "parked": 2}
    assert len(await waiting_labels(connection)) == 2
    await Resolver(opened, registry).resolve(connection)
    assert await stored_labels(connection) == [("a", week(3), True, None), ("b", week(1), True, None)]
    assert await waiting_labels(connection) == []


async def _overtaken(
    service: WritePath,
    connection: asyncpg.Connection,
    labels: list[dict[str, object]],
    events: list[dict[str, object]],
    **origin: Any,
) -> Result:
    """Commit events after their labels were looked for, and before the labels are committed."""
    model = await service.registry.get("main", "flight_delay")
    assert model is not None
    async with connection.transaction():
        await inbox.lock(connection, LateTables.of(model, late_tables.LABELS))
        sent = asyncio.create_task(service.send(LABELS, labels, copier=0, **origin))
        async with asyncio.timeout(10):
            while not await connection.fetchval(_WAITS):
                await asyncio.sleep(0.005)
        await service.send(EVENTS, events, copier=1)
    return await sent
