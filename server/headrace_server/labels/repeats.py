"""Tells which labels are there already: equal in label_time, source and every value, for the same event.

In: labels whose events were looked for. Those whose event has labels, whose id waits in the inbox, or whose id others
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
from headrace_server.labels.arrangement import Arrangement, times_of
from headrace_server.labels.keys import Keys, by_index
from headrace_server.labels.tables import NO_TIME, LabelTables, Micros, Places


async def find_repeats(
    connection: Connection, tables: LabelTables, keys: Keys, labels: Arrangement, times: Micros
) -> npt.NDArray[np.bool_]:
    """Which labels are equal to one that is stored, waits, or was sent before them.

    Args:
        connection: In a transaction that holds the lock, with the labels' keys staged at their positions.
        tables: The model's tables.
        keys: Where the keys are staged.
        labels: The labels.
        times: Times of their events; NO_TIME where the event was not found.
    """
    repeats = np.zeros(len(labels), dtype=np.bool_)
    suspects = np.flatnonzero(await _suspects(connection, tables, keys, labels, times))
    if not len(suspects):
        return repeats
    order = labels.order[suspects]
    met = times[suspects] != NO_TIME
    data, columns = await asyncio.to_thread(_whole, tables, labels, times, suspects)
    async with by_index(connection, first=_cleared(tables)):
        await copy(connection, None, tables.staging, columns, data)
        if labels.repeated.any():
            repeats[suspects] |= await _answers(connection, _sent_before(tables), order)
        for _, start, end in tables.labels.windows(tables.labels.chunk_numbers(times[suspects][met])):
            repeats[suspects] |= await _answers(connection, _stored(tables, start, end), order)
        if not met.all():
            repeats[suspects] |= ~met & await _answers(connection, _waiting(tables), order)
    return repeats


async def _suspects(
    connection: Connection, tables: LabelTables, keys: Keys, labels: Arrangement, times: Micros
) -> npt.NDArray[np.bool_]:
    suspects = labels.repeated.copy()
    met = times != NO_TIME
    at_sought, elsewhere = (
        np.flatnonzero(met & (times == labels.sought)),
        np.flatnonzero(met & (times != labels.sought)),
    )
    async with by_index(connection):
        suspects[await keys.present(connection, tables.labels, at_sought, times[at_sought])] = True
        if len(elsewhere):
            elsewhere = elsewhere[np.argsort(times[elsewhere], kind="stable")]
            places = np.arange(len(labels), len(labels) + len(elsewhere))
            ids = labels.ids.take(pa.array(elsewhere))
            await keys.stage(connection, await asyncio.to_thread(keys.encode, ids, times[elsewhere], len(labels)))
            present = await keys.present(connection, tables.labels, places, times[elsewhere])
            suspects[elsewhere[present - len(labels)]] = True
        if not met.all():
            suspects[await keys.among(connection, tables.inbox, np.flatnonzero(~met))] = True
    return suspects


def _whole(tables: LabelTables, labels: Arrangement, times: Micros, suspects: Places) -> tuple[memoryview, list[str]]:
    """Whole rows for the staging table; event_time is the event's where it was found, else what the sender gave."""
    given = np.where(labels.given, labels.sought, NO_TIME)
    event_times = np.where(times == NO_TIME, given, times)[suspects]
    rows = labels.rows.table.take(pa.array(suspects))
    rows = rows.set_column(rows.column_names.index("event_time"), "event_time", times_of(event_times))
    rows = rows.append_column(PLACE, pa.array(labels.order[suspects].astype(np.int32)))
    return encode(rows, tables.labels.json_columns), rows.column_names


async def _answers(connection: Connection, query: str, order: Places) -> npt.NDArray[np.bool_]:
    rows = await connection.fetch(query)
    return np.isin(order, [row[0] for row in rows])


def _cleared(tables: LabelTables) -> str:
    return (
        f"CREATE TEMP TABLE IF NOT EXISTS {tables.staging} ON COMMIT DELETE ROWS AS"  # noqa: S608 - quoted, as all below
        f" SELECT 0 AS {PLACE}, event_id, event_time, {tables.compared_sql} FROM {tables.labels.sql} WITH NO DATA;"
        f" DELETE FROM {tables.staging}"
    )


def _sent_before(tables: LabelTables) -> str:
    identity = f"event_id, event_time, {tables.compared_sql}"
    return (
        f"SELECT {PLACE} FROM (SELECT {PLACE}, row_number() OVER (PARTITION BY {identity} ORDER BY {PLACE}) AS turn"  # noqa: S608
        f" FROM {tables.staging}) s WHERE turn > 1"
    )


def _stored(tables: LabelTables, start: str, end: str) -> str:
    return (
        f"SELECT s.{PLACE} FROM {tables.staging} s JOIN {tables.labels.sql} l"  # noqa: S608
        " ON l.event_id = s.event_id AND l.event_time = s.event_time"
        f" WHERE s.event_time >= {start} AND s.event_time < {end} AND l.event_time >= {start} AND l.event_time < {end}"
        f" AND {tables.same('l', 's')}"
    )


def _waiting(tables: LabelTables) -> str:
    return (
        f"SELECT s.{PLACE} FROM {tables.staging} s JOIN {tables.inbox} i ON i.event_id = s.event_id"  # noqa: S608
        f" AND i.event_time IS NOT DISTINCT FROM s.event_time AND {tables.same('i', 's')}"
    )
