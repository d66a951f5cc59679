"""Events that are read back: many by time and filters, or one with all that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.encoding.read_back import rows_of
from headrace.v1 import batch_pb2, query_service_pb2

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from headrace.connecting.result_stream import ResultStream

Row: TypeAlias = dict[str, Any]
"""A row by column name; None is null."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event with all that is known of it; made by Model.event and Model.events_by_id."""

    event_id: str
    event_time: datetime
    values: Row
    """What is stored with it, by column name: features, predictions, system columns; none without a value."""
    labels: Row
    """The latest value of each label that is known."""
    history: list[Row] = field(default_factory=list)
    """Every revision of its labels, the oldest first, with label_time, recorded_time and source."""
    influences: list[Row] = field(default_factory=list)
    """Attributions, the oldest first."""
    variants: list[Row] = field(default_factory=list)
    """Predictions of other variants for it, the oldest first."""
    metrics: list[Row] = field(default_factory=list)
    """Metrics of it, the oldest first."""


class Part:
    """Consecutive rows of a result, as the service sent them."""

    def __init__(self, columns: Sequence[query_service_pb2.ResultColumn], batch: batch_pb2.ColumnBatch) -> None:
        self.columns = columns
        self.batch = batch

    def __len__(self) -> int:
        return self.batch.row_count

    def rows(self) -> Iterator[Row]:
        """Yield the rows as dicts."""
        return rows_of(self.columns, self.batch)


class Parts:
    """The parts of one read, from its first to its last; they are fetched as they are asked for."""

    def __init__(self, stream: ResultStream[query_service_pb2.QueryEventsResponse]) -> None:
        self._stream = stream
        self._columns: Sequence[query_service_pb2.ResultColumn] = ()

    def __iter__(self) -> Parts:
        return self

    def __next__(self) -> Part:
        """Return the next part; the first one comes even where there is no event."""
        response = next(self._stream)
        self._columns = self._columns or list(response.columns)
        return Part(self._columns, response.rows)

    def close(self) -> None:
        """End the read. Safe twice, and from any thread."""
        self._stream.close()


class Events:
    """Events that pass some filters, read anew each time they are gone through; made by Model.events.

    Iterating yields a dict an event and holds about 1 MiB at a time. A read that is left before its end is ended when
    the iterator is closed, or forgotten.

    Args:
        read: Begins a read.
    """

    def __init__(self, read: Callable[[], Parts]) -> None:
        self.read = read

    def __iter__(self) -> Iterator[Row]:
        """Yield the events as dicts with every column.

        Raises:
            ServiceError: The service refuses, or is away; what was yielded stays good.
        """
        parts = self.read()
        try:
            for part in parts:
                yield from part.rows()
        finally:
            parts.close()

    def to_list(self) -> list[Row]:
        """Return all events as dicts."""
        return list(self)

    def record_batches(self) -> Iterator[Any]:
        """Yield the events as pyarrow.RecordBatches of one schema, one at least. Needs headrace[frames]."""
        from headrace.reading.arrow import record_batch_of  # noqa: PLC0415 -- the light client has no Arrow

        parts = self.read()
        try:
            yield from map(record_batch_of, parts)
        finally:
            parts.close()

    def to_arrow(self) -> Any:
        """Return all events as a pyarrow.Table. Needs headrace[frames]."""
        from headrace.reading.arrow import table_of  # noqa: PLC0415 -- the light client has no Arrow

        parts = self.read()
        try:
            return table_of(parts)
        finally:
            parts.close()

    def to_pandas(self) -> pd.DataFrame:
        """Return all events as a pandas.DataFrame. Needs headrace[frames]."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return all events as a polars.DataFrame. Needs headrace[frames]."""
        from headrace.reading.arrow import polars_of  # noqa: PLC0415 -- the light client has no polars

        return polars_of(self.to_arrow())
