"""LABELS: the truth about events. A row names its event and has at least one of the model's labels."""

from headrace.v1 import batch_pb2
from headrace_server.late_kinds.kind import LateDefinition
from headrace_server.late_kinds.row_fields import late_row_schema, own_fields
from headrace_server.late_kinds.row_rules import SomeRequired
from headrace_server.models import late_tables
from headrace_server.models.schema import ModelSchema
from headrace_server.validation.row_rules import EventTimeRange, Expiry, event_id_required
from headrace_server.validation.row_schema import RowSchema


def _row_schema(model: ModelSchema) -> RowSchema | None:
    if not model.labels:
        return None
    names = tuple(label.sql_name for label in model.labels)
    rules = (
        event_id_required,
        EventTimeRange(model.earliest_event_time, model.latest_ahead),
        Expiry(model.expiry),
        SomeRequired("LABEL_REQUIRED", names, f"the row has none of the labels {', '.join(names)}"),
    )
    own = own_fields(model, late_tables.LABELS, "label", model.main_label)
    return late_row_schema(model, late_tables.LABELS, own, rules)


LABELS = LateDefinition(
    number=batch_pb2.RECORD_KIND_LABELS,
    spec=late_tables.LABELS,
    row_schema=_row_schema,
    takes_none=("NO_LABELS", "has no labels; add them with UpdateModel"),
)
