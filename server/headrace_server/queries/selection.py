"""The SQL of reads: events that pass filters, each with its latest labels.

In: the model, the columns that are wanted and what must hold. Out: one SELECT and its arguments. Names come from the
registry and are quoted; whatever a caller wrote is an argument.

Bounds of time and ids stand on both sides of the join, so that only their chunks are read. The labels are left out
where nobody asks for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from headrace_server.models.joined_view import latest_labels
from headrace_server.models.schema import EventIdType, ModelSchema
from headrace_server.models.table_spec import events_table
from headrace_server.queries.columns import LateTable, ReadColumn

EventIds = Sequence[str] | Sequence[UUID]


@dataclass(frozen=True)
class EventFilter:
    """What must hold of an event; None: anything. Times are microseconds since 1970.

    Attributes:
        ids: It has one of these ids.
        start: First event_time.
        end: First event_time that is no longer meant.
        has_label: It has a label, or has none, of those that `label_source` and `as_of` leave.
        tag: One of its tags.
        label_source: Labels from elsewhere are not looked at.
        as_of: It had come by then; labels recorded later are not looked at.
    """

    ids: EventIds | None = None
    start: int | None = None
    end: int | None = None
    has_label: bool | None = None
    variant: str | None = None
    tag: str | None = None
    source: str | None = None
    model_version: str | None = None
    label_source: str | None = None
    as_of: int | None = None


@dataclass
class Statement:
    """A SELECT in the making."""

    sql: str = ""
    arguments: list[object] = field(default_factory=list)

    def argument(self, value: object, sql_type: str) -> str:
        """Add an argument; returns what stands for it."""
        self.arguments.append(value)
        return f"${len(self.arguments)}::{sql_type}"

    def where(self, *conditions: str | None) -> str:
        """Return the WHERE clause of those conditions that are any."""
        those = [condition for condition in conditions if condition]
        return f" WHERE {' AND '.join(those)}" if those else ""


def select_events(
    schema: ModelSchema,
    columns: Sequence[ReadColumn],
    wanted: EventFilter,
    *,
    newest_first: bool = False,
    limit: int | None = None,
) -> Statement:
    """Return the SELECT of events in order of time, then id."""
    statement = Statement()
    events = f"(SELECT * FROM {events_table(schema).qualified}{_of_events(statement, schema, wanted)}) AS e"  # noqa: S608 — quoted
    source, having = events, ""
    if schema.labels and (wanted.has_label is not None or any(column.sql.startswith("l.") for column in columns)):
        labels = latest_labels(schema, _of_labels(statement, schema, wanted))
        source += f" LEFT JOIN ({labels}) AS l ON l.event_id = e.event_id AND l.event_time = e.event_time"
        if wanted.has_label is not None:
            having = f" WHERE l.event_id IS {'NOT ' if wanted.has_label else ''}NULL"
    elif wanted.has_label:  # a model without labels
        having = " WHERE false"
    way = " DESC" if newest_first else ""
    shown = ", ".join(column.sql for column in columns)
    statement.sql = f"SELECT {shown} FROM {source}{having} ORDER BY e.event_time{way}, e.event_id{way}"  # noqa: S608 — quoted
    if limit is not None:
        statement.sql += f" LIMIT {statement.argument(limit, 'bigint')}"
    return statement


def select_late(schema: ModelSchema, table: LateTable, wanted: EventFilter, limit: int) -> Statement:
    """Return the SELECT of late rows of some events, every revision, by id and then in the order they were recorded."""
    statement = Statement()
    at_time = wanted.start is not None and table.has("event_time")
    known = _within(statement, wanted) if at_time else None
    condition = statement.where(
        _among(statement, schema, wanted.ids),
        f"(t.event_time IS NULL OR {known})" if known and table.waiting else known,
        _until(statement, "recorded_time", wanted.as_of) if table.has("recorded_time") else None,
    )
    order = "t.event_id, t.recorded_time" if table.has("recorded_time") else "t.event_id"
    shown = ", ".join(column.sql for column in table.columns)
    rows = statement.argument(limit, "bigint")
    statement.sql = f"SELECT {shown} FROM {table.table} AS t{condition} ORDER BY {order} LIMIT {rows}"  # noqa: S608 — quoted
    return statement


def _of_events(statement: Statement, schema: ModelSchema, wanted: EventFilter) -> str:
    def equal(name: str, value: str | None) -> str | None:
        return None if value is None else f"{name} = {statement.argument(value, 'text')}"

    return statement.where(
        _among(statement, schema, wanted.ids),
        _within(statement, wanted),
        equal("variant", wanted.variant),
        equal("source", wanted.source),
        equal("model_version", wanted.model_version),
        None if wanted.tag is None else f"tags @> {statement.argument([wanted.tag], 'text[]')}",
        _until(statement, "observed_time", wanted.as_of),
    )


def _of_labels(statement: Statement, schema: ModelSchema, wanted: EventFilter) -> str:
    source = wanted.label_source
    return statement.where(
        _among(statement, schema, wanted.ids),
        _within(statement, wanted),
        None if source is None else f"source = {statement.argument(source, 'text')}",
        _until(statement, "recorded_time", wanted.as_of),
    )


def _among(statement: Statement, schema: ModelSchema, ids: EventIds | None) -> str | None:
    if ids is None:
        return None
    sql_type = "uuid[]" if schema.event_id_type is EventIdType.UUID else "text[]"
    return f"event_id = ANY({statement.argument(list(ids), sql_type)})"


def _within(statement: Statement, wanted: EventFilter) -> str | None:
    bounds = ((">=", wanted.start), ("<", wanted.end))
    conditions = [
        f"event_time {sign} {statement.argument(time, 'timestamptz')}" for sign, time in bounds if time is not None
    ]
    return " AND ".join(conditions) or None


def _until(statement: Statement, column: str, as_of: int | None) -> str | None:
    return None if as_of is None else f"{column} <= {statement.argument(as_of, 'timestamptz')}"
