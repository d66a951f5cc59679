"""How a model comes to be and grows: the rules of registration, without a database.

In: the schema that stands (or none) and what is asked for. Out: the schema that is to stand, or the error that names
every field at fault. Columns are only ever added, roles only ever given (models/model_task.py); when nothing is new,
the very schema that was given comes back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from headrace.schemas.tasks import cannot_have
from headrace_server.errors import HeadraceError, ModelInvalidError, NameInvalidError, TypeConflictError
from headrace_server.models import model_task, names
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnLike, ModelDefinition
from headrace_server.models.sampling import SamplingRate
from headrace_server.models.schema import ColumnKind, EventIdType, Identity, ModelColumn, ModelSchema
from headrace_server.models.system_columns import SYSTEM_NAMES

MAX_COLUMNS = 1_000
MAX_DIMENSION = 16_000
MAX_DESCRIPTION_CHARACTERS = 1_000
MAX_VERSIONS = 10_000
MAX_VERSION_BYTES = 128
SHORTEST_CHUNK = timedelta(hours=1)
LONGEST_CHUNK = timedelta(days=365)
LONGEST_AHEAD = timedelta(days=3_650)
SHORTEST_RETENTION = timedelta(days=1)
LONGEST_RETENTION = timedelta(days=36_500)

_KINDS_OF_BYTES = frozenset({ColumnKind.FEATURE, ColumnKind.EXTRA})

RETENTION_RANGE = "must be between 1 and 36,500 days"
UNSTORABLE = "holds NUL or half of a surrogate pair, which PostgreSQL cannot store"

# A row has to fit a page of 8 KiB; longer texts, lists and documents move out of it, numbers cannot.
MAX_ROW_BYTES = 7_600
_WIDTH_BYTES = {ValueType.BOOL: 1, ValueType.INT64: 8, ValueType.FLOAT64: 8, ValueType.TIMESTAMP: 8}


def create(project: str, definition: ModelDefinition, version: str = "") -> ModelSchema:
    """Return the schema of a new model; its revision and times are the registry's to give.

    Raises:
        NameInvalidError: The model's name cannot be taken.
        ModelInvalidError: Another part of the definition is not possible.
    """
    faults = _faulty_limits(definition) | _faulty_version(version)
    if faults:
        raise _invalid(faults)
    empty = ModelSchema(
        project=project,
        name=definition.name,
        sql_name=names.fold_model(definition.name),
        columns=(),
        identity=definition.identity or Identity.UNIQUE,
        event_id_type=definition.event_id_type or EventIdType.TEXT,
        unknown_columns=definition.unknown_columns,
        versions=(version,) if version else (),
        earliest_event_time=definition.earliest_event_time,
        latest_ahead=definition.latest_ahead,
        chunk_interval=definition.chunk_interval,
        retention=definition.retention,
        revision=0,
        created_at=datetime.fromtimestamp(0, UTC),
        updated_at=datetime.fromtimestamp(0, UTC),
    )
    return model_task.settle(add_columns(empty, definition.columns), definition.task)


def extend(schema: ModelSchema, definition: ModelDefinition, version: str = "") -> ModelSchema:
    """Return the schema with the definition's new columns and the version.

    Raises:
        ModelInvalidError: The definition is not possible.
        TypeConflictError: A column, the task, the identity or the type of event_id stands otherwise.
    """
    if definition.identity not in (None, schema.identity):
        raise TypeConflictError(
            f"the model {schema.name!r} is registered with identity {schema.identity.name}; that cannot change",
            fields={"model.identity": f"registered as {schema.identity.name}"},
        )
    if definition.event_id_type not in (None, schema.event_id_type):
        raise TypeConflictError(
            f"the model {schema.name!r} is registered with event ids of type {schema.event_id_type.name}",
            fields={"model.event_id_type": f"registered as {schema.event_id_type.name}"},
        )
    task = replace(definition.task, threshold=None)
    return add_version(model_task.settle(add_columns(schema, definition.columns), task), version)


def add_version(schema: ModelSchema, version: str) -> ModelSchema:
    """Return the schema with the version; an empty one, or one that is there, changes nothing.

    Raises:
        ModelInvalidError: The version is too long, or there are too many.
    """
    if not version or version in schema.versions:
        return schema
    faults = _faulty_version(version)
    if len(schema.versions) >= MAX_VERSIONS:
        faults["version"] = f"the model has {MAX_VERSIONS} versions; events of others are stored all the same"
    if faults:
        raise _invalid(faults)
    return replace(schema, versions=(*schema.versions, version))


def sample(schema: ModelSchema, rate: float) -> ModelSchema:
    """Return the schema with a rate of sampling; when it begins is the registry's to say.

    Raises:
        ModelInvalidError: It is none.
    """
    if not 0 < rate <= 1:
        raise _invalid({"sampling_rate": "must be above 0 and at most 1"})
    if rate == schema.sampling_rate:
        return schema
    return replace(schema, sampling=(*schema.sampling, SamplingRate(datetime.now(UTC), rate)))


def set_retention(schema: ModelSchema, retention: timedelta) -> ModelSchema:
    """Return the schema that drops events of this age; never, if it is 0.

    Raises:
        ModelInvalidError: It is none that can be kept.
    """
    if not retention:
        return replace(schema, retention=None)
    if not SHORTEST_RETENTION <= retention <= LONGEST_RETENTION:
        raise _invalid({"retention": f"{RETENTION_RANGE}, or 0 for ever"})
    return replace(schema, retention=retention)


def add_columns(schema: ModelSchema, columns: Sequence[ColumnLike], field: str = "model.columns") -> ModelSchema:
    """Return the schema with the columns that are new to it.

    Args:
        schema: What stands.
        columns: What is asked for; names that fold alike are one column.
        field: Where the request has the columns, for the errors' field names.

    Raises:
        ModelInvalidError: A column is not possible, stands twice, or there would be too many.
        TypeConflictError: One is registered with another type, dimension, kind or role.
    """
    faults: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    asked: dict[tuple[bool, str], str] = {}
    standing = {(column.kind is ColumnKind.LABEL, column.sql_name): column for column in schema.columns}
    fresh: list[ModelColumn] = []
    given: dict[tuple[bool, str], ModelColumn] = {}
    for index, column in enumerate(columns):
        place = f"{field}[{index}]"
        try:
            folded = _folded(column)
        except NameInvalidError as error:
            faults[f"{place}.name"] = error.message
            continue
        faults |= _faulty_column(column, place)
        key = (folded.kind is ColumnKind.LABEL, folded.sql_name)
        if key in asked:
            faults[f"{place}.name"] = f"{column.name!r} and {asked[key]!r} are both stored as {folded.sql_name}"
        elif key not in standing:
            fresh.append(folded)
        elif conflict := _conflict(standing[key], folded):
            conflicts[place] = conflict
        elif folded.role is not standing[key].role and folded.role is not None:
            given[key] = replace(standing[key], role=folded.role)
        asked[key] = column.name
    grown = (*(standing | given).values(), *fresh)
    faults |= _faulty_whole(grown, field)
    if faults:
        raise _invalid(faults)
    if clash := _name_clash(schema.columns, fresh):
        conflicts[field] = clash
    if conflicts:
        raise TypeConflictError(
            f"the model {schema.name!r} is registered otherwise: {next(iter(conflicts.values()))}", fields=conflicts
        )
    return replace(schema, columns=grown) if fresh or given else schema


def joined_name(label: ModelColumn, event_names: Iterable[str]) -> str:
    """Return what a label is called in the joined view, where the event's columns have these names."""
    return f"label_{label.sql_name}" if label.sql_name in event_names else label.sql_name


def _folded(column: ColumnLike) -> ModelColumn:
    sql_name = names.fold_column(column.name, label=column.kind is ColumnKind.LABEL)
    return ModelColumn(
        column.name, sql_name, column.kind, column.type, column.dimension, column.description, column.role
    )


def _conflict(standing: ModelColumn, asked: ModelColumn) -> str | None:
    if (standing.type, standing.dimension) != (asked.type, asked.dimension):
        return f"{asked.name!r} is {_described(standing)}, not {_described(asked)}"
    if standing.kind is not asked.kind:
        return f"{asked.name!r} is a {standing.kind.name}, not a {asked.kind.name}"
    if standing.role and asked.role and standing.role is not asked.role:
        return f"{asked.name!r} has the role {standing.role.name}, not {asked.role.name}"
    return None


def _described(column: ModelColumn) -> str:
    return f"{column.type.name}({column.dimension})" if column.dimension else column.type.name


def _name_clash(standing: Sequence[ModelColumn], fresh: Sequence[ModelColumn]) -> str | None:
    """Tell when a name of the joined view would mean two columns, or change its meaning for those who read it."""
    before = _joined_names(standing)
    after = _joined_names((*standing, *fresh))
    moved = next((column for name, column in before.items() if after.get(name) != column), None)
    if moved is not None:
        return f"{moved.name!r} is a {moved.kind.name} already, and the joined view shows it under this name"
    if len(after) < len(standing) + len(fresh) or not SYSTEM_NAMES.isdisjoint(after):
        return "a label and another column would have the same name in the joined view; rename one"
    events = {column.sql_name for column in (*standing, *fresh) if column.kind is not ColumnKind.LABEL}
    labels = {f"label_{column.sql_name}" for column in (*standing, *fresh) if column.kind is ColumnKind.LABEL}
    if not events.isdisjoint(labels):
        return f"{(events & labels).pop()} is what datasets call a label of this model; rename one of the two"
    return None


def _joined_names(columns: Sequence[ModelColumn]) -> dict[str, ModelColumn]:
    events = {column.sql_name: column for column in columns if column.kind is not ColumnKind.LABEL}
    labels = {joined_name(column, events): column for column in columns if column.kind is ColumnKind.LABEL}
    return labels | events


def _faulty_limits(definition: ModelDefinition) -> dict[str, str]:
    faults = {}
    if not SHORTEST_CHUNK <= definition.chunk_interval <= LONGEST_CHUNK:
        faults["model.chunk_interval"] = "must be between 1 hour and 365 days"
    if not timedelta() <= definition.latest_ahead <= LONGEST_AHEAD:
        faults["model.latest_event_time_ahead"] = "must be between 0 and 3,650 days"
    if definition.retention is not None and not SHORTEST_RETENTION <= definition.retention <= LONGEST_RETENTION:
        faults["model.retention"] = RETENTION_RANGE
    return faults


def _faulty_version(version: str) -> dict[str, str]:
    if len(version.encode("utf-8", "replace")) > MAX_VERSION_BYTES:
        return {"version": f"longer than {MAX_VERSION_BYTES} bytes"}
    if not names.storable(version):
        return {"version": UNSTORABLE}
    return {}


def _faulty_column(column: ColumnLike, place: str) -> dict[str, str]:
    faults = {}
    if column.type is ValueType.VECTOR and not 1 <= column.dimension <= MAX_DIMENSION:
        faults[f"{place}.dimension"] = f"a VECTOR column needs a dimension from 1 to {MAX_DIMENSION}"
    if column.type is not ValueType.VECTOR and column.dimension != 0:
        faults[f"{place}.dimension"] = "only VECTOR columns have a dimension"
    if column.type is ValueType.BYTES and column.kind not in _KINDS_OF_BYTES:
        faults[f"{place}.type"] = f"only features and extra columns can be BYTES, not a {column.kind.name}"
    if len(column.description) > MAX_DESCRIPTION_CHARACTERS:
        faults[f"{place}.description"] = f"longer than {MAX_DESCRIPTION_CHARACTERS} characters"
    elif not names.storable(column.description):
        faults[f"{place}.description"] = UNSTORABLE
    if column.role and (fault := cannot_have(column.role, column.kind.name, column.type.name)):
        faults[f"{place}.role"] = fault
    return faults


def _faulty_whole(columns: Sequence[ModelColumn], field: str) -> dict[str, str]:
    if len(columns) > MAX_COLUMNS:
        return {field: f"the model would have {len(columns)} columns; at most {MAX_COLUMNS} are possible"}
    width = sum(_WIDTH_BYTES.get(column.type, 0) for column in columns if column.kind is not ColumnKind.LABEL)
    if width > MAX_ROW_BYTES:
        return {
            field: f"{width} bytes of numbers do not fit a row of PostgreSQL ({MAX_ROW_BYTES}): make a VECTOR of those"
            " that belong together"
        }
    return {}


def _invalid(faults: dict[str, str]) -> HeadraceError:
    field, fault = next(iter(faults.items()))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ModelInvalidError(f"{field}: {fault}{more}", fields=faults)
