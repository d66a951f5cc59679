"""What can be read of a model: the columns of its events, and of the tables of late rows that are there.

In: a ModelSchema, for late rows the database's catalogue too, so that a kind of record needs no word here: its table is
found by its name. Out: ReadColumns, each with the name a client knows it by and the SQL that selects it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from headrace.v1 import batch_pb2, model_pb2, query_service_pb2
from headrace_server.errors import UnknownColumnError
from headrace_server.models.column_types import ValueType
from headrace_server.models.evolution import joined_name
from headrace_server.models.names import INBOX_NAMES, beside, qualified, quote_identifier
from headrace_server.models.schema import ColumnKind, ModelColumn, ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS, SYSTEM_NAMES

LATE_KINDS = {
    "labels": batch_pb2.RECORD_KIND_LABELS,
    "influences": batch_pb2.RECORD_KIND_INFLUENCES,
    "variants": batch_pb2.RECORD_KIND_VARIANTS,
    "metrics": batch_pb2.RECORD_KIND_METRICS,
}
INBOX = "_inbox"

_SQL_TYPES = {value_type.sql: value_type for value_type in reversed(ValueType)} | {
    "timestamp with time zone": ValueType.TIMESTAMP,
    "integer": ValueType.INT64,
    "uuid": ValueType.STRING,
}

_COLUMNS = """
SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True)
class ReadColumn:
    """One column of a result.

    Attributes:
        name: As clients read it.
        sql: What selects it.
        sql_name: Its name in the table, unquoted.
        kind: What it is to the model; None for a system column.
    """

    name: str
    sql: str
    sql_name: str
    type: ValueType
    dimension: int = 0
    kind: ColumnKind | None = None

    def to_proto(self) -> query_service_pb2.ResultColumn:
        """Return the column as clients are told of it."""
        kind = self.kind.value if self.kind else model_pb2.COLUMN_KIND_UNSPECIFIED
        return query_service_pb2.ResultColumn(name=self.name, type=self.type.wire, dimension=self.dimension, kind=kind)


@dataclass(frozen=True)
class LateTable:
    """A table of late rows.

    Attributes:
        kind: Their RecordKind.
        waiting: The rows wait for their event.
        name: Its name, unquoted.
        table: Its name as SQL takes it.
        columns: What can be read of it.
    """

    kind: "batch_pb2.RecordKind.ValueType"
    waiting: bool
    name: str
    table: str
    columns: tuple[ReadColumn, ...]

    def has(self, sql_name: str) -> bool:
        """Whether it has such a column."""
        return any(column.sql_name == sql_name for column in self.columns)


def event_columns(schema: ModelSchema) -> tuple[ReadColumn, ...]:
    """Return the columns of events (`e` in SQL) with their latest labels (`l`), in the order of the joined view."""
    columns = [ReadColumn(each.name, _select("e", each.name), each.name, each.type) for each in EVENT_COLUMNS]
    if schema.labels:
        columns += [
            ReadColumn(name, _select("l", name), name, ValueType.TIMESTAMP) for name in ("label_time", "recorded_time")
        ]
    event_names = {column.sql_name for column in schema.event_columns}
    taken = set(SYSTEM_NAMES)
    for column in sorted(schema.columns, key=lambda column: column.kind is ColumnKind.LABEL):
        is_label = column.kind is ColumnKind.LABEL
        second = joined_name(column, event_names) if is_label else column.sql_name
        columns.append(_model_column(column, "l" if is_label else "e", taken, second))
    return tuple(columns)


def chosen(columns: Sequence[ReadColumn], names: Iterable[str]) -> tuple[ReadColumn, ...]:
    """Return the columns that are asked for by name, with event_id and event_time before them.

    No names mean all columns but bytes: whoever reads many events seldom means their media.

    Raises:
        UnknownColumnError: The model has no such column.
    """
    wanted = list(names)
    if not wanted:
        return without_bytes(columns)
    by_name = {column.sql_name: column for column in reversed(columns)} | {column.name: column for column in columns}
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        raise UnknownColumnError(
            f"the model has no column {unknown[0][:256]!r}", fields={"columns": f"{unknown[0]!r} is none"}
        )
    return tuple(dict.fromkeys(by_name[name] for name in ("event_id", "event_time", *wanted)))


def without_bytes(columns: Sequence[ReadColumn]) -> tuple[ReadColumn, ...]:
    """Return the columns that hold no media."""
    return tuple(column for column in columns if column.type is not ValueType.BYTES)


async def late_tables(connection: asyncpg.Connection, schema: ModelSchema) -> list[LateTable]:
    """Return the tables of late rows that the model has, those of waiting rows after their kind's."""
    names = {
        beside(schema.sql_name, f"_{suffix}{inbox}"): (suffix, inbox) for suffix in LATE_KINDS for inbox in ("", INBOX)
    }
    found: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.fetch(_COLUMNS, schema.project, list(names)):
        found.setdefault(row["table"], []).append((row["name"], row["type"]))
    return [
        LateTable(
            LATE_KINDS[suffix],
            bool(inbox),
            name,
            qualified(schema.project, name),
            _late_columns(found[name], schema.labels if suffix == "labels" else schema.event_columns),
        )
        for name, (suffix, inbox) in names.items()
        if name in found
    ]


def _late_columns(found: Iterable[tuple[str, str]], model_columns: Iterable[ModelColumn]) -> tuple[ReadColumn, ...]:
    of_model = {column.sql_name: column for column in model_columns}
    taken = set(SYSTEM_NAMES)
    columns = []
    for name, sql_type in found:
        if name in INBOX_NAMES or sql_type not in _SQL_TYPES:
            continue
        column = of_model.get(name)
        value_type = _SQL_TYPES[sql_type]
        if column is None or name in taken:
            columns.append(ReadColumn(name, _select("t", name), name, value_type))
            taken.add(name)
        else:
            # An influence is a number, whatever its feature is.
            same = column.type.sql == value_type.sql
            read = _model_column(column, "t", taken, name)
            columns.append(read if same else ReadColumn(read.name, read.sql, name, value_type, 0, read.kind))
    return tuple(columns)


def _model_column(column: ModelColumn, table: str, taken: set[str], second: str) -> ReadColumn:
    name = second if column.name in taken else column.name
    taken.add(name)
    return ReadColumn(
        name, _select(table, column.sql_name), column.sql_name, column.type, column.dimension, column.kind
    )


def _select(table: str, name: str) -> str:
    # Ids are texts to clients, whatever they are in the table.
    return f"{table}.{quote_identifier(name)}" + ("::text" if name == "event_id" else "")
