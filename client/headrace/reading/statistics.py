"""How much a model has stored, as the service tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.v1 import batch_pb2, query_service_pb2


@dataclass(frozen=True, slots=True)
class RowCount:
    """A number of rows."""

    rows: int
    exact: bool
    """True: counted. False: the database's estimate."""


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """What one table holds."""

    table: str
    """Quoted as SQL wants it."""
    rows: RowCount
    total_bytes: int
    """Its size with indexes."""
    chunks: int
    """0 for a plain table."""


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """How much a model has stored and how fast it grows."""

    events: TableStatistics
    late: Mapping[str, TableStatistics]
    """Rows whose event is known, by kind: labels and, where there are any, influences, variants, metrics."""
    waiting: Mapping[str, TableStatistics]
    """Rows that wait for their event, by kind."""
    first_event_time: datetime | None
    last_event_time: datetime | None
    first_event_time_exact: bool
    """False: the chunk is too large to look through; this is its bound, before the first event."""
    last_event_time_exact: bool
    """False: as above, after the last event."""
    events_last_minute: RowCount
    """By event_time."""
    events_last_hour: RowCount
    """By event_time."""

    @classmethod
    def from_proto(cls, told: query_service_pb2.GetModelStatisticsResponse) -> ModelStatistics:
        """Return what the service told."""
        return cls(
            events=_table(told.events),
            late={_kind(late): _table(late.stored) for late in told.late if late.HasField("stored")},
            waiting={_kind(late): _table(late.waiting) for late in told.late if late.HasField("waiting")},
            first_event_time=_time(told, "first_event_time"),
            last_event_time=_time(told, "last_event_time"),
            first_event_time_exact=told.first_event_time_exact,
            last_event_time_exact=told.last_event_time_exact,
            events_last_minute=_count(told.events_last_minute),
            events_last_hour=_count(told.events_last_hour),
        )


def _table(told: query_service_pb2.TableStatistics) -> TableStatistics:
    return TableStatistics(told.table, _count(told.rows), told.total_bytes, told.chunks)


def _count(told: query_service_pb2.RowCount) -> RowCount:
    return RowCount(told.rows, told.exact)


def _kind(late: query_service_pb2.LateStatistics) -> str:
    return batch_pb2.RecordKind.Name(late.kind).removeprefix("RECORD_KIND_").lower()


def _time(told: query_service_pb2.GetModelStatisticsResponse, name: str) -> datetime | None:
    return getattr(told, name).ToDatetime(tzinfo=UTC) if told.HasField(name) else None  # type: ignore[arg-type]
