"""The SQL that makes a model's tables and lets them grow.

In: the ModelSchema that is to stand (and the one that stands). Out: statements, in order, for one transaction
(models/ddl_transaction.py). Every identifier is quoted by models/names.py; nothing else that a caller wrote reaches
SQL, save comments, as literals.
"""

from collections.abc import Iterable
from datetime import timedelta

from headrace_server.models import joined_view, late_views
from headrace_server.models.late_tables import (
    LABELS,
    LateSpec,
    dataset_influences_table,
    inbox_table,
    late_specs_of,
    settled_table,
)
from headrace_server.models.names import quote_identifier, quote_literal
from headrace_server.models.schema import Identity, ModelSchema
from headrace_server.models.system_columns import EVENT_TIME
from headrace_server.models.table_spec import TableColumn, TableSpec, datasets_table, events_table


def create_tables(schema: ModelSchema, extension_schema: str) -> list[str]:
    """Return the statements for a new model.

    Args:
        schema: The model.
        extension_schema: Quoted name of the schema that holds TimescaleDB's functions.
    """
    events = events_table(schema)
    result = [create_schema(schema.project)]
    result += _create_hypertable(events, schema, extension_schema, f"Events of the model {_shown(schema)}")
    # Rows come mostly in the order of time, so the block ranges are narrow; the summary of a full range is made at
    # once.
    result.append(f"CREATE INDEX ON {events.qualified} USING brin (event_time) WITH (autosummarize = on)")
    if schema.identity is Identity.UNIQUE:
        result.append(f"CREATE UNIQUE INDEX ON {events.qualified} (event_id, event_time)")
    return result + _grow_late_kinds(None, schema, extension_schema)


def grow_tables(before: ModelSchema, after: ModelSchema, extension_schema: str) -> list[str]:
    """Return the statements that add to a model's tables what `after` has more than `before`; none when nothing."""
    result = _add_columns(events_table(before), events_table(after))
    result += _widen_datasets(before, after)
    result += _grow_late_kinds(before, after, extension_schema)
    if after.chunk_interval != before.chunk_interval:
        result += _set_chunk_interval(after, extension_schema)
    return result


def _widen_datasets(before: ModelSchema, after: ModelSchema) -> list[str]:
    """The tables of datasets are made with the first of them, and then grow with the model."""
    result = []
    for spec_of in (datasets_table, dataset_influences_table):
        table, standing = spec_of(after), {column.name for column in spec_of(before).columns}
        fresh = [column for column in table.columns if column.name not in standing]
        additions = ", ".join(f"ADD COLUMN IF NOT EXISTS {column_clause(column)}" for column in fresh)
        if fresh:
            result.append(f"ALTER TABLE IF EXISTS {table.qualified} {additions}")
    return result


def _set_chunk_interval(schema: ModelSchema, extension_schema: str) -> list[str]:
    tables = [events_table(schema), *(settled_table(schema, spec) for spec in late_specs_of(schema))]
    interval = _interval(schema.chunk_interval)
    return [
        f"SELECT {extension_schema}.set_chunk_time_interval({quote_literal(table.qualified)}::regclass, {interval})"
        for table in tables
    ]


def _grow_late_kinds(before: ModelSchema | None, after: ModelSchema, extension_schema: str) -> list[str]:
    """Make the tables of late kinds that are new to the model, and let those that it has grow."""
    standing = late_specs_of(before) if before else ()
    fresh = [spec for spec in late_specs_of(after) if spec not in standing]
    result = []
    if fresh and not standing and after.identity is Identity.APPEND:
        # The unique index of the other kind of model serves this search, too.
        result.append(f"CREATE INDEX ON {events_table(after).qualified} (event_id)")
    for spec in fresh:
        result += _create_late_tables(after, spec, extension_schema)
    if before and after.columns != before.columns:
        for spec in standing:
            result += _add_columns(settled_table(before, spec), settled_table(after, spec))
            result += _add_columns(inbox_table(before, spec), inbox_table(after, spec))
            result += _views(after, spec)
    return result + (late_views.orphans(after) if fresh else [])


def _create_late_tables(schema: ModelSchema, spec: LateSpec, extension_schema: str) -> list[str]:
    settled, inbox = settled_table(schema, spec), inbox_table(schema, spec)
    result = _create_hypertable(
        settled, schema, extension_schema, f"{spec.what} of the model {_shown(schema)}, all revisions"
    )
    result.append(f"CREATE INDEX ON {settled.qualified} (event_id, event_time)")
    if spec.indexed:
        result.append(f"CREATE INDEX ON {settled.qualified} ({', '.join(map(quote_identifier, spec.indexed))})")
    # Rows pass through the inbox, so it is vacuumed after few dead ones.
    result += create_table(
        inbox,
        f"{spec.what} of the model {_shown(schema)} whose event is not known yet",
        " WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000)",
    )
    result.append(f"CREATE INDEX ON {inbox.qualified} (event_id)")
    return result + _views(schema, spec)


def _views(schema: ModelSchema, spec: LateSpec) -> list[str]:
    return joined_view.statements(schema) if spec is LABELS else late_views.statements(schema, spec)


def _create_hypertable(spec: TableSpec, schema: ModelSchema, extension_schema: str, comment: str) -> list[str]:
    # Chunks are aligned to the epoch, so tables of one interval have the same bounds: labels lie beside their events.
    dimension = f"{extension_schema}.by_range('{EVENT_TIME.name}', {_interval(schema.chunk_interval)})"
    return [
        *create_table(spec, comment),
        f"SELECT {extension_schema}.create_hypertable({quote_literal(spec.qualified)}::regclass, {dimension},"
        " create_default_indexes => false)",
    ]


def create_schema(project: str) -> str:
    """Return the statement that makes a project's schema, if it is not there."""
    return f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(project)}"


def create_partitioned(spec: TableSpec, key: str, comment: str) -> list[str]:
    """Return the statements for a table whose rows lie in partitions by the values of the column `key`."""
    return create_table(spec, comment, f" PARTITION BY LIST ({quote_identifier(key)})")


def create_table(spec: TableSpec, comment: str, options: str = "") -> list[str]:
    """Return the statements for a plain table."""
    columns = ", ".join(column_clause(column) for column in spec.columns)
    return [
        f"CREATE TABLE {spec.qualified} ({columns}){options}",
        f"COMMENT ON TABLE {spec.qualified} IS {quote_literal(comment)}",
        *_comments(spec, spec.columns),
    ]


def _add_columns(before: TableSpec, after: TableSpec) -> list[str]:
    standing = {column.name for column in before.columns}
    fresh = [column for column in after.columns if column.name not in standing]
    if not fresh:
        return []
    additions = ", ".join(f"ADD COLUMN {column_clause(column)}" for column in fresh)
    return [f"ALTER TABLE {after.qualified} {additions}", *_comments(after, fresh)]


def column_clause(column: TableColumn) -> str:
    """Return a column as CREATE TABLE and ADD COLUMN take it."""
    required = " NOT NULL" if column.required else ""
    return f"{quote_identifier(column.name)} {column.sql}{required} {column.default}".rstrip()


def _comments(spec: TableSpec, columns: Iterable[TableColumn]) -> list[str]:
    return [
        f"COMMENT ON COLUMN {spec.qualified}.{quote_identifier(column.name)} IS {quote_literal(column.comment)}"
        for column in columns
        if column.comment
    ]


def _shown(schema: ModelSchema) -> str:
    return f'"{schema.name}"'


def _interval(interval: timedelta) -> str:
    return f"interval '{int(interval.total_seconds() * 1_000_000)} microseconds'"
