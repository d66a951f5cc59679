"""Prepared rows that say which hours they lie in, once they are landed."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import Landed, Lined, Prepared
from headrace_server.copying.touched import HourNote


@dataclass(frozen=True)
class NotedRows:
    """Rows with the note of their hours: whoever lands them writes it in the same transaction (copying/touched.py)."""

    rows: Prepared
    note: HourNote

    @property
    def lines(self) -> npt.NDArray[np.int64]:
        """Position in the group of each line of the COPY."""
        return self.rows.lines if isinstance(self.rows, Lined) else np.empty(0, dtype=np.int64)

    async def land(self, connection: Connection) -> Landed:
        """Write the rows.

        Raises:
            asyncpg.PostgresError: As PostgreSQL raised it; the copier decides by SQLSTATE.
        """
        landed = await self.rows.land(connection)
        return replace(landed, notes=[*landed.notes, self.note])
