"""The hours that a transaction's rows lie in, noted in that very transaction: what monitoring has to look at again.

A note is committed with its rows or not at all, so a crash loses neither. Notes are only ever inserted here and deleted
by the refresh (rollups/refresh.py): no transaction waits for another's, whichever hours both touch.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import Landed, Lined, Prepared

_HOUR_US = 3_600_000_000
_FIRST_DAY = date(1970, 1, 1)
_NOTE = """
INSERT INTO headrace.touched_hours (project, model, kind, day, hours)
SELECT $1, $2, $3, day, hours FROM unnest($4::date[], $5::int[]) AS touched (day, hours)
"""


@dataclass(frozen=True)
class TouchedHours:
    """Hours of events, UTC.

    Attributes:
        days: Each day once.
        hours: The hours of each, as bits: bit 0 is the hour from midnight on.
    """

    days: list[date]
    hours: list[int]

    @staticmethod
    def of(micros: npt.NDArray[np.int64]) -> "TouchedHours":
        """The hours of times in microseconds since 1970."""
        if not len(micros):
            return TouchedHours([], [])
        hours = micros // _HOUR_US
        first = hours.min()
        present = np.zeros(hours.max() - first + 1, dtype=np.bool_)  # a bit for each hour between: cheaper than to sort
        present[hours - first] = True
        hours = np.flatnonzero(present) + first
        days, firsts = np.unique(hours // 24, return_index=True)
        bits = np.bitwise_or.reduceat(1 << (hours % 24), firsts)
        return TouchedHours([_FIRST_DAY + timedelta(days=day) for day in days.tolist()], bits.tolist())

    async def note(self, connection: Connection, project: str, model: str, kind: str) -> None:
        """Write the note.

        Args:
            connection: In the transaction that stores the rows.
            project: Project of the model.
            model: sql_name of the model.
            kind: Kind of the rows, as the wire calls it without its prefix.
        """
        if self.days:
            await connection.execute(_NOTE, project, model, kind, self.days, self.hours)


@dataclass(frozen=True)
class NotedRows:
    """Prepared rows whose hours are noted as they land."""

    rows: Prepared
    project: str
    model: str
    kind: str
    hours: TouchedHours

    @property
    def lines(self) -> npt.NDArray[np.int64]:
        """Position in the group of each line of the COPY."""
        return self.rows.lines if isinstance(self.rows, Lined) else np.empty(0, dtype=np.int64)

    async def land(self, connection: Connection) -> Landed:
        """Write the rows, then the note.

        Raises:
            asyncpg.PostgresError: As PostgreSQL raised it; the copier decides by SQLSTATE.
        """
        landed = await self.rows.land(connection)
        await self.hours.note(connection, self.project, self.model, self.kind)
        return landed
