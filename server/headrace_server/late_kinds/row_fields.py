"""What the row schemas of all late kinds have in common: system columns, and the event's columns refused by name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from headrace_server.models.late_tables import LateSpec
from headrace_server.models.schema import EventIdType, ModelColumn, ModelSchema, UnknownColumns
from headrace_server.models.system_columns import EVENT_COLUMNS, EVENT_ID
from headrace_server.validation.model_fields import model_fields
from headrace_server.validation.row_schema import Field, RowRule, RowSchema


def own_fields(
    model: ModelSchema, spec: LateSpec, alias: str = "", meant: ModelColumn | None = None
) -> dict[str, Field]:
    """Fields of the model's own columns that rows of the kind have, by every name a client may use.

    Args:
        model: The model.
        spec: The kind.
        alias: Another name for one of the columns.
        meant: The column that the alias means; None: there is none.
    """
    columns = spec.own_columns(model)
    fields = model_fields(model, [replace(column, sql_name=stored_as) for column, stored_as in columns])
    for column, stored_as in columns:
        fields.setdefault(column.sql_name, fields[stored_as])
        if column is meant:
            fields.setdefault(alias, fields[stored_as])
    return fields


def late_row_schema(
    model: ModelSchema,
    spec: LateSpec,
    own: Mapping[str, Field],
    rules: Sequence[RowRule],
    *,
    refused: Mapping[str, tuple[str, str]] | None = None,
    unknown_reason: str = "UNKNOWN_COLUMN",
) -> RowSchema:
    """The row schema of a late kind.

    Args:
        model: The model.
        spec: The kind.
        own: Fields of the model's own columns.
        rules: Demands on whole rows.
        refused: Names that are refused in words of the kind's own, before all others.
        unknown_reason: Reason for names that nobody knows.
    """
    fields = dict(own)
    all_refused = _of_the_event(model, spec) | dict(refused or {})
    # Last, so that they win: a column of the model of such a name is called f_<name> on the wire, too.
    for system in spec.columns:
        if system.written_by_service:
            fields.pop(system.name, None)
            all_refused[system.name] = ("IMMUTABLE_COLUMN", f"{system.name} is written by the service")
        else:
            is_id = system is EVENT_ID
            fields[system.name] = Field(
                system.name,
                system.type,
                max_bytes=system.max_bytes,
                is_uuid=is_id and model.event_id_type is EventIdType.UUID,
                too_long="EVENT_ID_TOO_LONG" if is_id else "TEXT_TOO_LONG",
            )
    left = {name: why for name, why in all_refused.items() if name not in fields}
    return RowSchema(fields, left, UnknownColumns.REJECT, rules, unknown_reason=unknown_reason)


def _of_the_event(model: ModelSchema, spec: LateSpec) -> dict[str, tuple[str, str]]:
    names: Collection[str] = {name for column in model.event_columns for name in (column.name, column.sql_name)}
    kind = spec.name.upper()
    return {
        name: (
            "IMMUTABLE_COLUMN",
            f"{name} belongs to the event, which never changes; rows of kind {kind} do not carry it",
        )
        for name in (*names, "prediction", *(column.name for column in EVENT_COLUMNS))
    }
