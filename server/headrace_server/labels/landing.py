"""How a group's labels are stored: beside their event where it is found, in the inbox where it is not.

The conversation, inside the group's transaction:
1. Keys are staged, and the events looked for, chunk by chunk; no lock is held, so groups look at the same time.
2. The model's lock is taken, to the end of the transaction: from here on one group at a time. The database's clock at
   that moment is every label's recorded_time.
3. Labels whose event has labels already, or whose id others of the group have, are compared whole: equal ones are
   DUPLICATE.
4. The rest goes by one COPY into the labels' hypertable (JOINED) and by one into the inbox (PARKED, or PENDING where
   not all was searched); labels of events outside the sample are SKIPPED.
After the COMMIT, `settle` looks again for the events of what was PARKED: an event that was committed in between has
looked into the inbox before these labels could be seen there, so it is theirs to look.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.target import Target, copy
from headrace_server.copying.unique_landing import sort_by_key
from headrace_server.labels import inbox
from headrace_server.labels.arrangement import Arrangement, arrange, times_of
from headrace_server.labels.finding import Found, find_events
from headrace_server.labels.keys import Keys
from headrace_server.labels.repeats import find_repeats
from headrace_server.labels.settling import settle_parked
from headrace_server.labels.tables import NO_TIME, LabelTables, Micros, Places
from headrace_server.labels.unsampled import unsampled

Number = TypeVar("Number", bound=np.generic)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LabelsLanding:
    """The labels of one model.

    Args:
        tables: The model's tables.
        revision: Revision of the model's schema.
        wake: Called when labels were left to the resolver; must not block.
        budget_s: Seconds that a group may search by id.
    """

    def __init__(self, tables: LabelTables, revision: int, wake: Callable[[], None], budget_s: float) -> None:
        self._tables = tables
        self._wake = wake
        self._budget_s = budget_s
        self.target: Target = tables.labels
        self.table_key = tables.labels.key
        self.revision = revision

    def chunks(self, rows: GroupRows) -> npt.NDArray[np.int64]:
        """None: labels beyond the chunks that a transaction may touch stay in the inbox for a while."""
        return np.empty(0, dtype=np.int64)

    def prepare(self, rows: GroupRows) -> "PreparedLabels":
        """Sort the labels and encode their keys."""
        labels = arrange(self._tables, rows)
        keys = Keys.of(self._tables)
        return PreparedLabels(self._tables, labels, keys, keys.encode(labels.ids, labels.sought), self._budget_s)

    def met_unique_violation(self) -> None:
        """Nothing: there is no unique index on labels."""

    async def foresee(self, connection: Connection, rows: GroupRows) -> Landed:
        """Look for the events, and for labels that are equal."""
        return await (await asyncio.to_thread(self.prepare, rows)).foresee(connection)

    async def settle(self, connection: Connection, rows: GroupRows, landed: Landed) -> None:
        """Look again for the events of what was PARKED; leave to the resolver what was not searched to the end."""
        parked = landed.verdicts == Verdict.PARKED
        if isinstance(landed, LandedLabels) and parked.any():
            positions = np.flatnonzero(parked)
            landed.verdicts[positions] = await settle_parked(
                connection, self._tables, rows.take(positions), landed.inbox_ids[positions], self._budget_s
            )
            parked[:] = False
        # A landing that was pieced together in the repair lane does not say which rows of the inbox are its own.
        if parked.any() or (landed.verdicts == Verdict.PENDING).any():
            self._wake()


@dataclass
class LandedLabels(Landed):
    """What became of a group's labels.

    Attributes:
        inbox_ids: Ids of those that are in the inbox; 0 for the others.
    """

    inbox_ids: Places = field(kw_only=True)


@dataclass(frozen=True)
class PreparedLabels:
    """Labels made ready for one attempt."""

    tables: LabelTables
    labels: Arrangement
    keys: Keys
    encoded: memoryview
    budget_s: float

    async def land(self, connection: Connection) -> Landed:
        """Store the labels."""
        found = await self._find(connection)
        moment = await inbox.lock(connection, self.tables)
        # Labels of one id in one group keep their order: each is recorded a microsecond after the one before.
        recorded = times_of((moment - _EPOCH) // timedelta(microseconds=1) + self.labels.turn)
        is_met = found.times != NO_TIME
        repeats = await find_repeats(connection, self.tables, self.keys, self.labels, found.times)
        skipped = await self._skipped(found, repeats)
        joined, waiting = np.flatnonzero(is_met & ~repeats), np.flatnonzero(~is_met & ~repeats & ~skipped)

        verdicts = np.full(len(self.labels), Verdict.DUPLICATE, dtype=np.uint8)
        verdicts[skipped] = Verdict.SKIPPED
        inbox_ids = np.zeros(len(self.labels), dtype=np.int64)
        if len(joined):
            await self._store(connection, joined, found.times, recorded)
            verdicts[joined] = Verdict.JOINED
        if len(waiting):
            rows = self.labels.rows.take(waiting)
            rows = replace(rows, table=rows.table.append_column("recorded_time", recorded.take(pa.array(waiting))))
            first = await inbox.put(connection, self.tables, rows)
            inbox_ids[waiting] = np.arange(first, first + len(waiting))
            verdicts[waiting] = np.where(found.unsearched[waiting], Verdict.PENDING, Verdict.PARKED)
        return LandedLabels(self._sent(verdicts), inbox_ids=self._sent(inbox_ids))

    async def foresee(self, connection: Connection) -> Landed:
        """Say what `land` would, without the lock: as far as nobody else stores the same labels meanwhile."""
        found = await self._find(connection)
        repeats = await find_repeats(connection, self.tables, self.keys, self.labels, found.times)
        verdicts = np.full(len(self.labels), Verdict.JOINED, dtype=np.uint8)
        verdicts[found.times == NO_TIME] = Verdict.PARKED
        verdicts[found.unsearched] = Verdict.PENDING
        verdicts[repeats] = Verdict.DUPLICATE
        verdicts[await self._skipped(found, repeats)] = Verdict.SKIPPED
        return Landed(self._sent(verdicts))

    async def _skipped(self, found: Found, repeats: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Labels that were looked for everywhere, whose event is not in the model's sample."""
        skipped = np.zeros(len(self.labels), dtype=np.bool_)
        places = np.flatnonzero((found.times == NO_TIME) & ~found.unsearched & ~repeats)
        if self.tables.sampling and len(places):
            ids = self.labels.ids.take(pa.array(places))
            skipped[places] = await asyncio.to_thread(unsampled, self.tables, ids, self.labels.sought[places])
        return skipped

    async def _find(self, connection: Connection) -> Found:
        await self.keys.clear(connection)
        await self.keys.stage(connection, self.encoded)
        return await find_events(connection, self.tables, self.keys, self.labels, self.budget_s)

    async def _store(self, connection: Connection, joined: Places, times: Micros, recorded: pa.Array) -> None:
        """COPY labels beside their events, in the order of the hypertable's chunks and index."""
        columns, data = await asyncio.to_thread(self._encode, joined, times, recorded)
        await copy(connection, self.tables.labels.schema, self.tables.labels.name, columns, data)
        await self.tables.note(connection, times[joined])

    def _encode(self, joined: Places, times: Micros, recorded: pa.Array) -> tuple[list[str], memoryview]:
        rows, chosen = self.labels.rows.table.take(pa.array(joined)), pa.array(joined)
        event_time = rows.column_names.index("event_time")
        rows = rows.set_column(event_time, "event_time", times_of(times[joined]))
        rows = rows.append_column("recorded_time", recorded.take(chosen))
        if (times[joined] != self.labels.sought[joined]).any():
            rows = rows.take(pa.array(sort_by_key(self.tables.labels, rows)))
        return rows.column_names, self.tables.labels.encode(rows)

    def _sent(self, arranged: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """What is in the order of the arrangement, in the order of the group."""
        sent = np.empty_like(arranged)
        sent[self.labels.order] = arranged
        return sent
