"""Tells which rows are there already: equal in label_time, source and every value, for the same event.

In: rows whose events were looked for. Those whose event has rows, whose id waits in the inbox, or whose id others
of the group have, may be repeats; only these are staged whole and compared, by PostgreSQL's own equality. The caller
holds the model's lock, so the answer stays true.
"""

import asyncio

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.copying.target import copy
from headrace_server.copying.unique_landing import PLACE
from headrace_server.joining.arrangement import Arrangement, times_of
from headrace_server.joining.keys import Keys, by_index
from headrace_server.joining.tables import NO_TIME, LateTables, Micros, Places


async def find_repeats(
    connection: Connection, tables: LateTables, keys: Keys, late: Arrangement, times: Micros
) -> npt.NDArray[np.bool_]:
    """Which rows are equal to one that is stored, waits, or was sent before them.

    Args:
        connection: In a transaction that holds the lock, with the rows' keys staged at their positions.
        tables: The model's tables.
        keys: Where the keys are staged.
        late: The rows.
        times: Times of their events; NO_TIME where the event was not found.
    """
    repeats = np.zeros(len(late), dtype=np.bool_)
    suspects = np.flatnonzero(await _suspects(connection, tables, keys, late, times))
    if not len(suspects):
        return repeats
    order = late.order[suspects]
    met = times[suspects] != NO_TIME
    data, columns = await asyncio.to_thread(_whole, tables, late, times, suspects)
    async with by_index(connection, first=cleared_staging(tables)):
        await copy(connection, None, tables.staging, columns, data)
        if late.repeated.any():
            repeats[suspects] |= await _answers(connection, sent_before(tables), order)
        for _, start, end in tables.settled.windows(tables.settled.chunk_numbers(times[suspects][met])):
            repeats[suspects] |= await _answers(connection, _stored(tables, start, end), order)
        if not met.all():
            repeats[suspects] |= ~met & await _answers(connection, _waiting(tables), order)
    return repeats


async def _suspects(
    connection: Connection, tables: LateTables, keys: Keys, late: Arrangement, times: Micros
) -> npt.NDArray[np.bool_]:
    suspects = late.repeated.copy()
    met = times != NO_TIME
    at_sought, elsewhere = (
        np.flatnonzero(met & (times == late.sought)),
        np.flatnonzero(met & (times != late.sought)),
    )
    async with by_index(connection):
        suspects[await keys.present(connection, tables.settled, at_sought, times[at_sought])] = True
        if len(elsewhere):
            elsewhere = elsewhere[np.argsort(times[elsewhere], kind="stable")]
            places = np.arange(len(late), len(late) + len(elsewhere))
            ids = late.ids.take(pa.array(elsewhere))
            await keys.stage(connection, await asyncio.to_thread(keys.encode, ids, times[elsewhere], len(late)))
            present = await keys.present(connection, tables.settled, places, times[elsewhere])
            suspects[elsewhere[present - len(late)]] = True
        if not met.all():
            suspects[await keys.among(connection, tables.inbox, np.flatnonzero(~met))] = True
    return suspects


def _whole(tables: LateTables, late: Arrangement, times: Micros, suspects: Places) -> tuple[memoryview, list[str]]:
    """Whole rows for the staging table; event_time is the event's where it was found, else what the sender gave."""
    given = np.where(late.given, late.sought, NO_TIME)
    event_times = np.where(times == NO_TIME, given, times)[suspects]
    rows = late.rows.table.take(pa.array(suspects))
    rows = rows.set_column(rows.column_names.index("event_time"), "event_time", times_of(event_times))
    rows = rows.append_column(PLACE, pa.array(late.order[suspects].astype(np.int32)))
    return encode(rows, tables.settled.json_columns), rows.column_names


async def _answers(connection: Connection, query: str, order: Places) -> npt.NDArray[np.bool_]:
    rows = await connection.fetch(query)
    return np.isin(order, [row[0] for row in rows])


def cleared_staging(tables: LateTables) -> str:
    """SQL that has the temporary table for whole rows there and empty."""
    return (
        f"CREATE TEMP TABLE IF NOT EXISTS {tables.staging} ON COMMIT DELETE ROWS AS"  # noqa: S608 - quoted, as all below
        f" SELECT 0 AS {PLACE}, event_id, event_time, {tables.compared_sql} FROM {tables.settled.sql} WITH NO DATA;"
        f" DELETE FROM {tables.staging}"
    )


def sent_before(tables: LateTables) -> str:
    """SQL of the staged rows that are equal to one staged at a place before theirs."""
    identity = f"event_id, event_time, {tables.compared_sql}"
    return (
        f"SELECT {PLACE} FROM (SELECT {PLACE}, row_number() OVER (PARTITION BY {identity} ORDER BY {PLACE}) AS turn"  # noqa: S608
        f" FROM {tables.staging}) s WHERE turn > 1"
    )


def _stored(tables: LateTables, start: str, end: str) -> str:
    return (
        f"SELECT s.{PLACE} FROM {tables.staging} s JOIN {tables.settled.sql} l"  # noqa: S608
        " ON l.event_id = s.event_id AND l.event_time = s.event_time"
        f" WHERE s.event_time >= {start} AND s.event_time < {end} AND l.event_time >= {start} AND l.event_time < {end}"
        f" AND {tables.same('l', 's')}"
    )


def _waiting(tables: LateTables) -> str:
    return (
        f"SELECT s.{PLACE} FROM {tables.staging} s JOIN {tables.inbox} i ON i.event_id = s.event_id"  # noqa: S608
        f" AND i.event_time IS NOT DISTINCT FROM s.event_time AND {tables.same('i', 's')}"
    )
