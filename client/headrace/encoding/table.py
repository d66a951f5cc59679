"""Tables of rows → encoded batches that the service will accept.

In comes a table (rows as named columns), out come batches, each a serialized Batch without its seq, and the rows that
no batch can carry. A table is parted as often as needed: where it is larger than the limits, where a column has values
of two kinds, where a value cannot be written. Promise: every row is in exactly one batch or refused by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from headrace.encoding import wire
from headrace.encoding.blocks import add_columns
from headrace.encoding.columns import MixedColumn, UnencodableRows, add_micros_column
from headrace.encoding.kinds import NULL, common_kind, kind_of
from headrace.v1 import batch_pb2


class Limits(NamedTuple):
    """How large a batch may be."""

    rows: int
    """Most rows."""
    bytes: int
    """Most bytes, serialized."""


class Header(NamedTuple):
    """What every batch of a table says about its rows."""

    kind: batch_pb2.RecordKind.ValueType
    model: str
    version: str


class EncodedBatch(NamedTuple):
    """A batch, serialized but for its seq."""

    body: bytes
    source_rows: Sequence[int]
    """Place of each row in the caller's source."""
    event_ids: Sequence[object]
    """Event id of each row; empty when the table does not hold them as Python values."""


class RefusedRow(NamedTuple):
    """A row no batch can carry."""

    source_row: int
    reason: str
    """UNENCODABLE or ROW_TOO_LARGE."""
    column: str
    message: str


class Table(Protocol):
    """Rows that can write themselves as columns and be parted."""

    @property
    def source_rows(self) -> Sequence[int]:
        """Place of each row in the caller's source; its length is the number of rows."""

    @property
    def event_ids(self) -> Sequence[object]:
        """Event id of each row, or empty."""

    def write(self, columns: Any) -> None:
        """Write every column."""

    def slice(self, start: int, stop: int) -> Self:
        """Return rows start … stop - 1."""

    def take(self, indexes: Sequence[int]) -> Self:
        """Return the rows at `indexes`."""

    def minority(self, column: str) -> Sequence[int]:
        """Return indexes of the rows that do not share the kind most values of `column` have."""


@dataclass(frozen=True, slots=True)
class RowTable:
    """Rows held as Python values, column by column."""

    source_rows: Sequence[int]
    event_ids: Sequence[object]
    event_micros: Sequence[int] | None
    """Time of each event in microseconds since 1970; None: not given, or among the cells."""
    cells: Mapping[str, Sequence[object]]
    """Wire name → value of each row."""

    def write(self, columns: Any) -> None:
        """Write every column; event times and ids first, they are the dearest."""
        if self.event_micros is not None:
            add_micros_column(columns, "event_time", self.event_micros)
        cells = dict(self.cells)
        if self.event_ids:
            ids = self.event_ids
            if not set(map(type, ids)) <= {str, type(None)}:
                ids = [None if value is None else str(value) for value in ids]
            cells = {"event_id": ids} | cells
        add_columns(columns, cells, len(self.source_rows))

    def slice(self, start: int, stop: int) -> RowTable:
        """Return rows start … stop - 1."""
        return RowTable(
            self.source_rows[start:stop],
            self.event_ids[start:stop],
            self.event_micros[start:stop] if self.event_micros is not None else None,
            {name: values[start:stop] for name, values in self.cells.items()},
        )

    def take(self, indexes: Sequence[int]) -> RowTable:
        """Return the rows at `indexes`."""
        return RowTable(
            [self.source_rows[i] for i in indexes],
            [self.event_ids[i] for i in indexes] if self.event_ids else (),
            [self.event_micros[i] for i in indexes] if self.event_micros is not None else None,
            {name: [values[i] for i in indexes] for name, values in self.cells.items()},
        )

    def minority(self, column: str) -> Sequence[int]:
        """Return indexes of the rows that do not share the kind most values of `column` have."""
        kinds = [kind_of(value) for value in self.cells[column]]
        most = Counter(kind for kind in kinds if kind != NULL).most_common(1)[0][0]
        return [index for index, kind in enumerate(kinds) if common_kind([kind, most]) is None]


def encode(table: Table, header: Header, limits: Limits) -> Iterator[EncodedBatch | RefusedRow]:
    """Yield the batches that carry the rows of `table`, in order as far as one column kind allows, and the refused."""
    waiting: list[Table] = [table]
    while waiting:
        part = waiting.pop()
        count = len(part.source_rows)
        if count == 0:
            continue
        if count > limits.rows:
            waiting += (part.slice(limits.rows, count), part.slice(0, limits.rows))
            continue
        try:
            body = _body(part, header)
        except MixedColumn as mixed:
            waiting += _parted(part, part.minority(mixed.name))
            continue
        except UnencodableRows as bad:
            for index, message in bad.faults.items():
                yield RefusedRow(part.source_rows[index], "UNENCODABLE", bad.column, f"{bad.column}: {message}")
            waiting.append(part.take([index for index in range(count) if index not in bad.faults]))
            continue
        if len(body) <= limits.bytes:
            yield EncodedBatch(body, part.source_rows, part.event_ids)
        elif count == 1:
            message = f"the row takes {len(body)} bytes, a batch at most {limits.bytes}"
            yield RefusedRow(part.source_rows[0], "ROW_TOO_LARGE", "", message)
        else:
            waiting += (part.slice(count // 2, count), part.slice(0, count // 2))


def _parted(table: Table, minority: Sequence[int]) -> tuple[Table, Table]:
    """Return the rows of `minority` and the others; the last is encoded first."""
    apart = set(minority)
    return table.take(minority), table.take([i for i in range(len(table.source_rows)) if i not in apart])


def _body(table: Table, header: Header) -> bytes:
    """Return the table as a serialized Batch without seq."""
    batch = wire.Batch(kind=header.kind, model=header.model, model_version=header.version)
    batch.columns.row_count = len(table.source_rows)
    table.write(batch.columns.columns)
    body: bytes = batch.SerializeToString()
    return body
