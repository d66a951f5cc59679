"""Late rows: labels, influences, predictions of variants, metrics — what is said of an event after it.

They share one lane, and so one producer, so that events never wait for the search that late rows take. In come the
tuples that log_label() and its like append, each with the sheet it belongs to; out go RowTables of one sheet each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.encoding.table import Header, RefusedRow, RowTable
from headrace.errors import InvalidArgumentError
from headrace.logged.buffer import LoggedRow
from headrace.logged.rows import SYSTEM_COLUMNS, named_columns, put_column, transposed, without_clashes
from headrace.v1 import batch_pb2

KINDS: Mapping[str, batch_pb2.RecordKind.ValueType] = {
    "labels": batch_pb2.RECORD_KIND_LABELS,
    "influences": batch_pb2.RECORD_KIND_INFLUENCES,
    "variants": batch_pb2.RECORD_KIND_VARIANTS,
    "metrics": batch_pb2.RECORD_KIND_METRICS,
}
"""The late kinds, by the names that publish() takes."""

_OWN_COLUMNS: Mapping[batch_pb2.RecordKind.ValueType, frozenset[str]] = {
    batch_pb2.RECORD_KIND_INFLUENCES: frozenset({"output", "base_value"}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Where late rows of one kind and one model handle go; the first cell of each row in the lane."""

    header: Header

    def wire_name(self, name: str) -> str:
        """Return the name that a column of the model has on the wire."""
        taken = SYSTEM_COLUMNS | _OWN_COLUMNS.get(self.header.kind, frozenset())
        return f"f_{name}" if name in taken else name


def kind_named(name: str) -> batch_pb2.RecordKind.ValueType:
    """Return the late kind of this name.

    Raises:
        InvalidArgumentError: There is none.
    """
    if name not in KINDS:
        raise InvalidArgumentError(f"kind={name!r}: events, {', '.join(KINDS)}")
    return KINDS[name]


def late_table(rows: Sequence[LoggedRow]) -> tuple[RowTable, list[RefusedRow]]:
    """Return rows of one sheet as a table, and those that name a column twice."""
    sheet: Sheet = rows[0][0]
    _, ids, event_times, sources, system, own = transposed(rows, len(rows[0]), iter)
    cells: dict[str, Sequence[object]] = {"event_time": event_times, "source": sources, **dict(named_columns(system))}
    clashes: dict[int, str] = {}
    for name, values in named_columns(own):
        put_column(cells, sheet.wire_name(name), values, clashes)
    return without_clashes(RowTable(range(len(rows)), ids, None, cells), clashes)
