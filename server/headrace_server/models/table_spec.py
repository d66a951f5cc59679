"""The tables of a model: which columns each has, in order, with their SQL and Arrow types.

In: a ModelSchema. Out: a TableSpec, from which models/ddl.py makes the table and the record kinds know what to COPY.
Its late kinds' tables are in models/late_tables.py; nothing else says what a model's tables look like.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import pyarrow as pa

from headrace_server.models.column_types import ValueType
from headrace_server.models.names import qualified
from headrace_server.models.schema import EventIdType, ModelColumn, ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS, EVENT_ID, EVENT_TIME, SystemColumn

DATASETS_SUFFIX = "_datasets"
DATASET_SUFFIX = "_dataset"

DATASET = "dataset"
"""Column that says which dataset a row belongs to."""

# Byte order, whatever the database's locale: quicker, the same order that writers sort rows in, and the index outlives
# upgrades of the operating system's locales.
TEXT_ID_SQL = 'text COLLATE "C"'
UUID_ARROW = pa.binary(16)


@dataclass(frozen=True)
class TableColumn:
    """One column of a table.

    Attributes:
        name: Its name, unquoted.
        sql: Its SQL type.
        arrow: Type its cells have when they are copied.
        required: NOT NULL.
        is_json: Text in Arrow, jsonb in SQL.
        default: SQL that fills it; a COPY leaves it out.
        comment: What it is, for people.
    """

    name: str
    sql: str
    arrow: pa.DataType
    required: bool = False
    is_json: bool = False
    default: str = ""
    comment: str = ""


@dataclass(frozen=True)
class TableSpec:
    """One table.

    Attributes:
        schema: Its database schema: the project.
        name: Its name, unquoted.
        columns: All columns, in the order of the table when it was made.
    """

    schema: str
    name: str
    columns: tuple[TableColumn, ...]

    @property
    def qualified(self) -> str:
        """Its name as SQL takes it."""
        return qualified(self.schema, self.name)

    @property
    def copied(self) -> tuple[TableColumn, ...]:
        """The columns that a COPY may fill."""
        return tuple(column for column in self.columns if not column.default)


def events_table(schema: ModelSchema) -> TableSpec:
    """Return the hypertable of the model's events."""
    columns = [system_column(column, schema, required={EVENT_ID.name, EVENT_TIME.name}) for column in EVENT_COLUMNS]
    columns += [model_column(column) for column in schema.event_columns]
    return TableSpec(schema.project, schema.sql_name, tuple(columns))


def datasets_table(schema: ModelSchema) -> TableSpec:
    """Return the table of all the model's datasets, a partition each: events, with their labels beside them."""
    dataset = TableColumn(DATASET, TEXT_ID_SQL, pa.string(), required=True, comment="Name of the dataset")
    own = dataset_table(schema)
    return TableSpec(own.schema, schema.sql_name + DATASETS_SUFFIX, (dataset, *own.columns))


def dataset_table(schema: ModelSchema) -> TableSpec:
    """Return the table of one dataset that belongs to no model, which `schema` stands for."""
    system = [column for column in EVENT_COLUMNS if not column.written_by_service]
    columns = [system_column(column, schema, required={EVENT_ID.name}) for column in system]
    columns += [model_column(column) for column in schema.event_columns]
    columns += [replace(model_column(label), name=dataset_label_name(label)) for label in schema.labels]
    return TableSpec(schema.project, schema.sql_name + DATASET_SUFFIX, tuple(columns))


def dataset_label_name(label: ModelColumn) -> str:
    """Return what a label is called beside the columns of its event."""
    return f"label_{label.sql_name}"


def system_column(
    column: SystemColumn, schema: ModelSchema, *, required: Collection[str], default: str = ""
) -> TableColumn:
    """Return a system column as this model's table has it."""
    if column is EVENT_ID:
        is_uuid = schema.event_id_type is EventIdType.UUID
        sql, arrow = ("uuid", UUID_ARROW) if is_uuid else (TEXT_ID_SQL, column.type.arrow)
        return TableColumn(column.name, sql, arrow, required=column.name in required)
    return TableColumn(
        column.name,
        column.type.sql,
        column.type.arrow,
        required=column.name in required,
        is_json=column.type is ValueType.JSON,
        default=default,
    )


def model_column(column: ModelColumn) -> TableColumn:
    """Return a column of the model's own as a table has it."""
    written = "" if column.name == column.sql_name else f' "{column.name}"'
    about = f": {column.description}" if column.description else ""
    return TableColumn(
        column.sql_name,
        column.type.sql,
        column.type.arrow,
        is_json=column.type is ValueType.JSON,
        comment=f"{column.kind.name.capitalize()}{written}{about}",
    )
