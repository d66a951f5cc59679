"""What rows of a dataset may look like: events without a time's demands, with their labels beside them."""

from dataclasses import replace
from typing import Protocol

from headrace_server.events.kind import system_field
from headrace_server.models.schema import ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS, EVENT_ID
from headrace_server.models.table_spec import dataset_label_name
from headrace_server.validation.model_fields import model_fields
from headrace_server.validation.row_rules import event_id_required, fill_model_version
from headrace_server.validation.row_schema import Field, RowSchema


class UploadedRows(Protocol):
    """Rows of an upload; any model takes them."""

    adds_columns: bool

    def row_schema(self, model: ModelSchema) -> RowSchema:
        """The columns that rows may have, for this revision of the model."""


class DatasetRows:
    """Rows that make a dataset."""

    adds_columns = True

    def row_schema(self, model: ModelSchema) -> RowSchema:
        """The columns that rows may have, for this revision of the model."""
        fields = _own_fields(model)
        refused: dict[str, tuple[str, str]] = {}
        # Last, so that they win: a model's own column of such a name is called f_<name> on the wire, too.
        for system in EVENT_COLUMNS:
            if system.written_by_service:
                fields.pop(system.name, None)
                refused[system.name] = ("IMMUTABLE_COLUMN", f"{system.name} is written by the service")
            else:
                fields[system.name] = system_field(system.name, system.type, system.max_bytes, model)
        return RowSchema(fields, refused, model.unknown_columns, (event_id_required, fill_model_version))


class CompletingRows:
    """Rows that complete a dataset: an id, and columns that the dataset does not have yet."""

    adds_columns = False

    def row_schema(self, model: ModelSchema) -> RowSchema:
        """The columns that rows may have, for this revision of the model."""
        fields = _own_fields(model)
        refused = {
            system.name: ("IMMUTABLE_COLUMN", f"{system.name} was published with the dataset, which never changes")
            for system in EVENT_COLUMNS
        }
        del refused[EVENT_ID.name]
        fields = {name: own for name, own in fields.items() if name not in refused}
        fields[EVENT_ID.name] = system_field(EVENT_ID.name, EVENT_ID.type, EVENT_ID.max_bytes, model)
        return RowSchema(fields, refused, model.unknown_columns, (event_id_required,))


def _own_fields(model: ModelSchema) -> dict[str, Field]:
    """The model's own columns by every name; where a label is called like another column, label_<name> means it."""
    fields = model_fields(model, model.event_columns)
    if model.main_prediction is not None:
        fields.setdefault("prediction", fields[model.main_prediction.sql_name])
    stored_as = {label.sql_name: dataset_label_name(label) for label in model.labels}
    for name, field in model_fields(model, model.labels).items():
        own = replace(field, sql_name=stored_as[field.sql_name])
        fields.setdefault(name, own)
        fields.setdefault(f"label_{name}", own)
    if model.main_label is not None:
        fields.setdefault("label", fields[dataset_label_name(model.main_label)])
    return fields
