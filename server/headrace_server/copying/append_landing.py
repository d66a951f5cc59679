"""Rows without identity: one COPY, sorted by time, and the ledger alone keeps repeats out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.target import Target, copy


@dataclass(frozen=True)
class AppendRows:
    """Rows encoded for their COPY.

    Attributes:
        lines: Position in the group of each line of the COPY.
    """

    target: Target
    columns: list[str]
    data: memoryview
    lines: npt.NDArray[np.int64]

    async def land(self, connection: Connection) -> Landed:
        """COPY the rows."""
        await copy(connection, self.target.schema, self.target.name, self.columns, self.data)
        return Landed.uniform(len(self.lines), Verdict.STORED)


def prepare_append(target: Target, rows: GroupRows) -> AppendRows:
    """Sort rows by time, so that each chunk's rows come together, and encode them."""
    table = rows.table
    times = table.column("event_time").cast(pa.int64()).to_numpy()
    order = np.arange(len(times))
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        table = table.take(pa.array(order))
    return AppendRows(target, table.column_names, target.encode(table), order)
