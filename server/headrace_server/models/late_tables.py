"""The tables of the late kinds: what comes to an event after it, each kind beside the events in tables of its own.

In: a ModelSchema and the spec of a kind. Out: the TableSpec of the hypertable that holds rows whose event is known,
partitioned by the *event's* time so that each chunk lies beside its events', and of the inbox where the others wait.
A further kind is one LateSpec here and one module in late_kinds/.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

from headrace_server.models.column_types import ValueType
from headrace_server.models.names import INBOX_NAMES, beside
from headrace_server.models.schema import ModelColumn, ModelSchema
from headrace_server.models.system_columns import (
    EVENT_ID,
    EVENT_TIME,
    INFLUENCE_COLUMNS,
    LABEL_COLUMNS,
    METRIC_COLUMNS,
    RECORDED_TIME,
    VARIANT_COLUMNS,
    SystemColumn,
)
from headrace_server.models.table_spec import (
    DATASET,
    DATASETS_SUFFIX,
    TEXT_ID_SQL,
    UUID_ARROW,
    TableColumn,
    TableSpec,
    model_column,
    system_column,
)


@dataclass(frozen=True)
class LateSpec:
    """What the tables of one late kind look like.

    Attributes:
        name: Suffix of its tables, and what the registry calls it.
        what: What its rows are, for people.
        columns: The system columns of its rows.
        required: Those of them that are never null, beside the times of the event and of recording.
        own: The model's own columns that its rows have.
        subject: What a row says something about, beside its event: of equal ones the latest counts.
        indexed: Columns of an index beside that on the event.
    """

    name: str
    what: str
    columns: tuple[SystemColumn, ...]
    required: frozenset[str]
    own: Callable[[ModelSchema], Iterable[ModelColumn]]
    subject: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()

    def is_in(self, schema: ModelSchema) -> bool:
        """Whether the model has these tables: those of labels with its first label, others with their first row."""
        return bool(schema.labels) if self is LABELS else self.name in schema.late_kinds

    def own_columns(self, schema: ModelSchema) -> list[tuple[ModelColumn, str]]:
        """The model's own columns with their names in these tables.

        `f_` stands before a name that a system column of these tables has. Later columns never change it: each takes
        the first name that is free, in order of registration.
        """
        taken = {column.name for column in self.columns} | INBOX_NAMES
        named = []
        for column in self.own(schema):
            name = column.sql_name
            while name in taken:
                name = f"f_{name}"
            taken.add(name)
            named.append((column, name))
        return named


LABELS = LateSpec(
    name="labels",
    what="Labels",
    columns=LABEL_COLUMNS,
    required=frozenset({EVENT_ID.name}),
    own=lambda schema: schema.labels,
)
INFLUENCES = LateSpec(
    name="influences",
    what="Influences of features on predictions",
    columns=INFLUENCE_COLUMNS,
    required=frozenset({EVENT_ID.name}),
    own=lambda schema: (
        replace(feature, type=ValueType.FLOAT64, dimension=0, description="", role=None) for feature in schema.features
    ),
    subject=("output",),
)
VARIANTS = LateSpec(
    name="variants",
    what="Predictions of other variants",
    columns=VARIANT_COLUMNS,
    required=frozenset({EVENT_ID.name, "variant"}),
    own=lambda schema: schema.predictions,
    subject=("variant",),
)
METRICS = LateSpec(
    name="metrics",
    what="Metrics",
    columns=METRIC_COLUMNS,
    required=frozenset({"name", "value"}),
    own=lambda schema: (),
    subject=("name", "metric_time"),
    indexed=("name", EVENT_TIME.name),
)

LATE_SPECS = (LABELS, INFLUENCES, VARIANTS, METRICS)


def late_specs_of(schema: ModelSchema) -> tuple[LateSpec, ...]:
    """Return the late kinds that the model has tables for."""
    return tuple(spec for spec in LATE_SPECS if spec.is_in(schema))


def settled_table(schema: ModelSchema, spec: LateSpec) -> TableSpec:
    """Return the hypertable of the rows whose event is known."""
    required = {EVENT_TIME.name, RECORDED_TIME.name} | spec.required
    columns = [system_column(column, schema, required=required) for column in spec.columns]
    return TableSpec(schema.project, beside(schema.sql_name, f"_{spec.name}"), (*columns, *_own(schema, spec)))


def dataset_influences_table(schema: ModelSchema) -> TableSpec:
    """Return the table of influences on the model's datasets, a partition each."""
    dataset = TableColumn(DATASET, TEXT_ID_SQL, pa.string(), required=True, comment="Name of the dataset")
    times = {EVENT_TIME, RECORDED_TIME}
    system = [
        system_column(column, schema, required={EVENT_ID.name, *INFLUENCES.subject})
        for column in INFLUENCES.columns
        if column not in times
    ]
    name = beside(schema.sql_name, f"{DATASETS_SUFFIX}_{INFLUENCES.name}")
    return TableSpec(schema.project, name, (dataset, *system, *_own(schema, INFLUENCES)))


def inbox_table(schema: ModelSchema, spec: LateSpec) -> TableSpec:
    """Return the plain table where rows wait for their event; recorded_time is the database's clock when they came."""
    columns = [
        TableColumn(
            "inbox_id", "bigint", pa.int64(), required=True, default="GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        ),
        TableColumn("producer_id", "uuid", UUID_ARROW, comment="Who sent it; null for a unary Publish"),
        TableColumn("seq", "bigint", pa.int64(), required=True, comment="Batch of the producer; 0 for a unary Publish"),
        TableColumn("row_index", "integer", pa.int32(), required=True, comment="Row in its batch, from 0"),
    ]
    required = {EVENT_ID.name, RECORDED_TIME.name} | spec.required
    for column in spec.columns:
        default = "DEFAULT clock_timestamp()" if column is RECORDED_TIME else ""
        columns.append(system_column(column, schema, required=required, default=default))
    name = beside(schema.sql_name, f"_{spec.name}_inbox")
    return TableSpec(schema.project, name, (*columns, *_own(schema, spec)))


def _own(schema: ModelSchema, spec: LateSpec) -> list[TableColumn]:
    return [replace(model_column(column), name=name) for column, name in spec.own_columns(schema)]
