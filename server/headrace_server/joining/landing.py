"""How a group's late rows are stored: beside their event where it is found, in the inbox where it is not.

The conversation, inside the group's transaction:
1. Keys are staged, and the events looked for, chunk by chunk; no lock is held, so groups look at the same time.
2. The model's lock is taken, to the end of the transaction: from here on one group at a time. The database's clock at
   that moment is every row's recorded_time.
3. Rows whose event has rows of the kind already, or whose id others of the group have, are compared whole: equal
   ones are DUPLICATE.
4. The rest goes by one COPY into the kind's hypertable (JOINED) and by one into the inbox (PARKED, or PENDING where
   not all was searched); rows of events outside the sample are SKIPPED.
Rows about no event, where the kind has such, land beside this (joining/without_event.py).

After the COMMIT, `settle` looks again for the events of what was PARKED: an event that was committed in between has
looked into the inbox before these rows could be seen there, so it is theirs to look.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server import failpoints
from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.target import Target, copy
from headrace_server.copying.unique_landing import sort_by_key
from headrace_server.joining import inbox
from headrace_server.joining.arrangement import Arrangement, arrange, times_of
from headrace_server.joining.finding import Found, find_events
from headrace_server.joining.keys import Keys
from headrace_server.joining.repeats import find_repeats
from headrace_server.joining.settling import settle_parked
from headrace_server.joining.tables import NO_TIME, LateTables, Micros, Places
from headrace_server.joining.unsampled import unsampled
from headrace_server.joining.without_event import PreparedWithoutEvent

Number = TypeVar("Number", bound=np.generic)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LateLanding:
    """The rows of one late kind of one model.

    Args:
        tables: The kind's tables.
        revision: Revision of the model's schema.
        wake: Called when rows were left to the resolver; must not block.
        budget_s: Seconds that a group may search by id.
    """

    def __init__(self, tables: LateTables, revision: int, wake: Callable[[], None], budget_s: float) -> None:
        self._tables = tables
        self._wake = wake
        self._budget_s = budget_s
        self.target: Target = tables.settled
        self.table_key = tables.settled.key
        self.revision = revision

    def chunks(self, rows: GroupRows) -> npt.NDArray[np.int64]:
        """Those of rows about no event: others beyond the chunks that a transaction may touch stay in the inbox."""
        without = np.flatnonzero(~self._about_events(rows))
        return np.unique(self.target.chunks_of(rows.take(without).table)) if len(without) else without

    def prepare(self, rows: GroupRows) -> "PreparedRows | PreparedApart":
        """Sort the rows and encode their keys."""
        about_events = self._about_events(rows)
        if about_events.all():
            return self._prepare_late(rows)
        late, without = np.flatnonzero(about_events), np.flatnonzero(~about_events)
        return PreparedApart(
            late,
            self._prepare_late(rows.take(late)) if len(late) else None,
            without,
            PreparedWithoutEvent(self._tables, rows.take(without)),
        )

    def _prepare_late(self, rows: GroupRows) -> "PreparedRows":
        late = arrange(self._tables, rows)
        keys = Keys.of(self._tables)
        return PreparedRows(self._tables, late, keys, keys.encode(late.ids, late.sought), self._budget_s)

    def _about_events(self, rows: GroupRows) -> npt.NDArray[np.bool_]:
        if not self._tables.indexed:
            return np.ones(len(rows), dtype=np.bool_)
        about_events: npt.NDArray[np.bool_] = rows.table.column("event_id").is_valid().to_numpy()
        return about_events

    def met_unique_violation(self) -> None:
        """Nothing: late kinds have no unique index."""

    async def foresee(self, connection: Connection, rows: GroupRows) -> Landed:
        """Look for the events, and for rows that are equal."""
        return await (await asyncio.to_thread(self.prepare, rows)).foresee(connection)

    async def settle(self, connection: Connection, rows: GroupRows, landed: Landed) -> None:
        """Look again for the events of what was PARKED; leave to the resolver what was not searched to the end."""
        parked = landed.verdicts == Verdict.PARKED
        if isinstance(landed, LandedRows) and parked.any():
            failpoints.reached("before_settling")
            positions = np.flatnonzero(parked)
            landed.verdicts[positions] = await settle_parked(
                connection, self._tables, rows.take(positions), landed.inbox_ids[positions], self._budget_s
            )
            parked[:] = False
        # A landing that was pieced together in the repair lane does not say which rows of the inbox are its own.
        if parked.any() or (landed.verdicts == Verdict.PENDING).any():
            self._wake()


@dataclass
class LandedRows(Landed):
    """What became of a group's rows.

    Attributes:
        inbox_ids: Ids of those that are in the inbox; 0 for the others.
    """

    inbox_ids: Places = field(kw_only=True)


@dataclass(frozen=True)
class PreparedApart:
    """Rows of a group of which some are about an event and some are not.

    Attributes:
        late: Positions of those about an event.
        prepared: These, made ready; None where there are none.
        without: Positions of the others.
        at_once: These, made ready.
    """

    late: Places
    prepared: "PreparedRows | None"
    without: Places
    at_once: PreparedWithoutEvent

    async def land(self, connection: Connection) -> Landed:
        """Store the rows."""
        count = len(self.late) + len(self.without)
        landed = LandedRows(np.empty(count, dtype=np.uint8), inbox_ids=np.zeros(count, dtype=np.int64))
        if self.prepared is not None:
            late = await self.prepared.land(connection)
            landed.verdicts[self.late], landed.inbox_ids[self.late] = late.verdicts, late.inbox_ids
        landed.verdicts[self.without] = (await self.at_once.land(connection)).verdicts
        return landed

    async def foresee(self, connection: Connection) -> Landed:
        """Say what `land` would."""
        landed = Landed.uniform(len(self.late) + len(self.without), Verdict.STORED)
        if self.prepared is not None:
            landed.verdicts[self.late] = (await self.prepared.foresee(connection)).verdicts
        landed.verdicts[self.without] = (await self.at_once.foresee(connection)).verdicts
        return landed


@dataclass(frozen=True)
class PreparedRows:
    """Rows made ready for one attempt."""

    tables: LateTables
    late: Arrangement
    keys: Keys
    encoded: memoryview
    budget_s: float

    async def land(self, connection: Connection) -> LandedRows:
        """Store the rows."""
        found = await self._find(connection)
        moment = await inbox.lock(connection, self.tables)
        # Rows of one id in one group keep their order: each is recorded a microsecond after the one before.
        recorded = times_of((moment - _EPOCH) // timedelta(microseconds=1) + self.late.turn)
        is_met = found.times != NO_TIME
        repeats = await find_repeats(connection, self.tables, self.keys, self.late, found.times)
        skipped = await self._skipped(found, repeats)
        joined, waiting = np.flatnonzero(is_met & ~repeats), np.flatnonzero(~is_met & ~repeats & ~skipped)

        verdicts = np.full(len(self.late), Verdict.DUPLICATE, dtype=np.uint8)
        verdicts[skipped] = Verdict.SKIPPED
        inbox_ids = np.zeros(len(self.late), dtype=np.int64)
        if len(joined):
            await self._store(connection, joined, found.times, recorded)
            verdicts[joined] = Verdict.JOINED
        if len(waiting):
            rows = self.late.rows.take(waiting)
            rows = replace(rows, table=rows.table.append_column("recorded_time", recorded.take(pa.array(waiting))))
            first = await inbox.put(connection, self.tables, rows)
            inbox_ids[waiting] = np.arange(first, first + len(waiting))
            verdicts[waiting] = np.where(found.unsearched[waiting], Verdict.PENDING, Verdict.PARKED)
        return LandedRows(self._sent(verdicts), inbox_ids=self._sent(inbox_ids))

    async def foresee(self, connection: Connection) -> Landed:
        """Say what `land` would, without the lock: as far as nobody else stores the same rows meanwhile."""
        found = await self._find(connection)
        repeats = await find_repeats(connection, self.tables, self.keys, self.late, found.times)
        verdicts = np.full(len(self.late), Verdict.JOINED, dtype=np.uint8)
        verdicts[found.times == NO_TIME] = Verdict.PARKED
        verdicts[found.unsearched] = Verdict.PENDING
        verdicts[repeats] = Verdict.DUPLICATE
        verdicts[await self._skipped(found, repeats)] = Verdict.SKIPPED
        return Landed(self._sent(verdicts))

    async def _skipped(self, found: Found, repeats: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Rows that were looked for everywhere, whose event is not in the model's sample."""
        skipped = np.zeros(len(self.late), dtype=np.bool_)
        places = np.flatnonzero((found.times == NO_TIME) & ~found.unsearched & ~repeats)
        if self.tables.sampling and len(places):
            ids = self.late.ids.take(pa.array(places))
            skipped[places] = await asyncio.to_thread(unsampled, self.tables, ids, self.late.sought[places])
        return skipped

    async def _find(self, connection: Connection) -> Found:
        await self.keys.clear(connection)
        await self.keys.stage(connection, self.encoded)
        return await find_events(connection, self.tables, self.keys, self.late, self.budget_s)

    async def _store(self, connection: Connection, joined: Places, times: Micros, recorded: pa.Array) -> None:
        """COPY rows beside their events, in the order of the hypertable's chunks and index."""
        columns, data = await asyncio.to_thread(self._encode, joined, times, recorded)
        await copy(connection, self.tables.settled.schema, self.tables.settled.name, columns, data)
        await self.tables.note(connection, times[joined])

    def _encode(self, joined: Places, times: Micros, recorded: pa.Array) -> tuple[list[str], memoryview]:
        rows, chosen = self.late.rows.table.take(pa.array(joined)), pa.array(joined)
        event_time = rows.column_names.index("event_time")
        rows = rows.set_column(event_time, "event_time", times_of(times[joined]))
        rows = rows.append_column("recorded_time", recorded.take(chosen))
        if (times[joined] != self.late.sought[joined]).any():
            rows = rows.take(pa.array(sort_by_key(self.tables.settled, rows)))
        return rows.column_names, self.tables.settled.encode(rows)

    def _sent(self, arranged: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """What is in the order of the arrangement, in the order of the group."""
        sent = np.empty_like(arranged)
        sent[self.late.order] = arranged
        return sent
