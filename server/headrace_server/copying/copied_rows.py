"""Rows that go into their table by one COPY: made ready in a thread, spent in a transaction."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import Landed
from headrace_server.copying.target import Target, copy


@dataclass(frozen=True)
class CopiedRows:
    """Rows encoded for their COPY.

    Attributes:
        lines: Position in the group of each line of the COPY.
    """

    target: Target
    columns: list[str]
    data: memoryview
    lines: npt.NDArray[np.int64]

    async def land(self, connection: Connection) -> Landed:
        """COPY the rows.

        Raises:
            asyncpg.UniqueViolationError: The table has a unique index, and one of the rows is there already.
        """
        await copy(connection, self.target.schema, self.target.name, self.columns, self.data)
        return Landed.uniform(len(self.lines), Verdict.STORED)
