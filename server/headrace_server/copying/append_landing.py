"""Rows without identity: one COPY, sorted by time, and the ledger alone keeps repeats out."""

import numpy as np
import pyarrow as pa

from headrace_server.copying.copied_rows import CopiedRows
from headrace_server.copying.landing import GroupRows
from headrace_server.copying.target import Target


def prepare_append(target: Target, rows: GroupRows) -> CopiedRows:
    """Sort rows by time, so that each chunk's rows come together, and encode them."""
    table = rows.table
    times = table.column("event_time").cast(pa.int64()).to_numpy()
    order = np.arange(len(times))
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        table = table.take(pa.array(order))
    return CopiedRows(target, table.column_names, target.encode(table), order)
