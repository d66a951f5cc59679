"""Joins late rows and events that were committed at the same time, or the late rows first: whoever commits last, looks.

Inside their transactions neither can see the other. So each looks after its own COMMIT: a group of late rows for the
events of what it put into the inbox, a group of events for rows in the inbox. Whichever committed last finds the
other; both may, and then the inbox gives each row away once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import asyncpg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.batching.verdicts import Verdict, Verdicts
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.landing import GroupRows
from headrace_server.joining import inbox
from headrace_server.joining.arrangement import arrange, micros_of, times_of
from headrace_server.joining.finding import find_events
from headrace_server.joining.inbox import Waiting
from headrace_server.joining.keys import Keys, by_index
from headrace_server.joining.tables import NO_TIME, LateTables, Places

FEW_WAITING = 1_000  # so many are fetched and matched here; of more, the database is asked


async def settle_parked(
    connection: Connection, tables: LateTables, rows: GroupRows, inbox_ids: Places, budget_s: float
) -> Verdicts:
    """Look again for the events of rows that were just put into the inbox.

    Args:
        connection: Not in a transaction; the rows are committed.
        tables: The model's tables.
        rows: The rows.
        inbox_ids: Their ids in the inbox.
        budget_s: Seconds for the search by id.

    Returns:
        What is true of each now.
    """
    keys = Keys.of(tables)
    late = await asyncio.to_thread(arrange, tables, rows)
    encoded = await asyncio.to_thread(keys.encode, late.ids, late.sought)
    async with transaction(connection):
        await keys.clear(connection)
        await keys.stage(connection, encoded)
        found = await find_events(connection, tables, keys, late, budget_s)
    met = np.flatnonzero(found.times != NO_TIME)
    ids = inbox_ids[late.order[met]].tolist()
    times = await asyncio.to_thread(times_of(found.times[met]).to_pylist)
    swallowed = await inbox.move(connection, tables, list(zip(ids, times, strict=True)))
    verdicts = np.full(len(late), Verdict.PARKED, dtype=np.uint8)
    verdicts[late.order[found.unsearched]] = Verdict.PENDING
    verdicts[late.order[met]] = [Verdict.DUPLICATE if one in swallowed else Verdict.JOINED for one in ids]
    return verdicts


async def settle_events(connection: Connection, tables: LateTables, events: pa.Table) -> None:
    """Join rows that waited for these events.

    Args:
        connection: Not in a transaction; the events are committed.
        tables: The model's tables.
        events: event_id and event_time of the events.
    """
    # By id, which passes over rows that are gone faster than the heap does.
    waiting = await connection.fetch(
        f"SELECT inbox_id, event_id, event_time FROM {tables.inbox} ORDER BY inbox_id LIMIT {FEW_WAITING + 1}"  # noqa: S608 - quoted
    )
    if not waiting:
        return
    if len(waiting) <= FEW_WAITING:
        met = await asyncio.to_thread(_match, waiting, events)
    else:
        met = await _match_in_database(connection, tables, events)
    await inbox.move(connection, tables, met)


def _match(waiting: Iterable[asyncpg.Record], events: pa.Table) -> list[Waiting]:
    ids = events.column("event_id")
    late = [(row[0], row[1].bytes if isinstance(row[1], UUID) else row[1], row[2]) for row in waiting]
    ours = events.filter(pc.is_in(ids, pa.array([event_id for _, event_id, _ in late], ids.type)))
    times: dict[object, list[datetime]] = defaultdict(list)
    for event_id, time in zip(ours.column("event_id").to_pylist(), ours.column("event_time").to_pylist(), strict=True):
        times[event_id].append(time)
    met = []
    for inbox_id, event_id, given in late:
        of_event = [time for time in times.get(event_id, ()) if given in (None, time)]
        if of_event:
            met.append((inbox_id, max(of_event)))
    return met


async def _match_in_database(connection: Connection, tables: LateTables, events: pa.Table) -> list[Waiting]:
    keys = Keys.of(tables)
    encoded = await asyncio.to_thread(keys.encode, events.column("event_id"), micros_of(events.column("event_time")))
    async with transaction(connection), by_index(connection):
        await keys.clear(connection)
        await keys.stage(connection, encoded)
        rows = await connection.fetch(
            f"SELECT i.inbox_id, max(k.event_time) FROM {keys.name} k JOIN {tables.inbox} i"  # noqa: S608 - quoted
            " ON i.event_id = k.event_id AND (i.event_time IS NULL OR i.event_time = k.event_time) GROUP BY i.inbox_id"
        )
    return [(row[0], row[1]) for row in rows]
