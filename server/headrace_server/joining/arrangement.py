"""The late rows of a group in the order in which they are looked for and stored: by chunk, then by id.

Made in a thread from the group's rows; holds what the SQL needs to know of them without asking again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.copying.landing import GroupRows
from headrace_server.joining.tables import NO_TIME, LateTables, Micros, Places
from headrace_server.joining.uuid7 import carried_times
from headrace_server.models.column_types import TIMESTAMP


@dataclass(frozen=True)
class Arrangement:
    """A group's rows, sorted.

    Attributes:
        rows: The rows in this order; `event_time` is what the sender gave.
        order: Position in the group of each.
        sought: Where each row's event is looked for first: the time given or carried by a UUIDv7, or NO_TIME.
            Sorted by chunk, so NO_TIME is at the end.
        given: Whether the sender gave that time: then the event is at that time and no other.
        turn: How many rows of the same event_id come before it in the group.
        repeated: Whether another row of the group has its event_id.
    """

    rows: GroupRows
    order: Places
    sought: Micros
    given: npt.NDArray[np.bool_]
    turn: npt.NDArray[np.int64]
    repeated: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.order)

    @property
    def ids(self) -> pa.ChunkedArray:
        """Their event ids."""
        return self.rows.table.column("event_id")


def arrange(tables: LateTables, rows: GroupRows) -> Arrangement:
    """Sort a group's rows; of two rows of one event the first sent stays first."""
    table = rows.table.combine_chunks()
    if "event_time" not in table.column_names:
        table = table.append_column("event_time", pa.nulls(len(rows), TIMESTAMP))
    ids, times = table.column("event_id").combine_chunks(), table.column("event_time")
    given = times.is_valid().to_numpy()
    sought = micros_of(times)
    if not given.all():
        sought = np.where(given, sought, carried_times(ids))
    turn, repeated = _turns(ids)
    chunks = np.where(sought == NO_TIME, NO_TIME, tables.settled.chunk_numbers(sought))
    order = pc.sort_indices(
        pa.table({"chunk": chunks, "event_id": ids, "time": sought}),
        sort_keys=[(name, "ascending") for name in ("chunk", "event_id", "time")],
    ).to_numpy()
    order = order.astype(np.int64)
    arranged = GroupRows(rows.batches, table.take(pa.array(order)), rows.owner[order], rows.places[order])
    return Arrangement(arranged, order, sought[order], given[order], turn[order], repeated[order])


def micros_of(times: pa.ChunkedArray) -> Micros:
    """A column of times, NO_TIME where it is null."""
    micros: Micros = times.cast(pa.int64()).fill_null(NO_TIME).to_numpy()
    return micros


def times_of(micros: Micros) -> pa.Array:
    """The opposite of micros_of."""
    return pa.array(micros, mask=micros == NO_TIME).cast(TIMESTAMP)


def _turns(ids: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    codes = ids.dictionary_encode().indices.to_numpy()
    counts = np.bincount(codes)
    if counts.max(initial=0) <= 1:
        return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.bool_)
    by_code = np.argsort(codes, kind="stable")
    first_of_code = np.concatenate(([0], np.cumsum(counts)[:-1]))
    turn = np.empty(len(ids), dtype=np.int64)
    turn[by_code] = np.arange(len(ids)) - first_of_code[codes[by_code]]
    return turn, counts[codes] > 1
