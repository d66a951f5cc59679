"""VARIANTS: what other models said of the same event: any number of named shadow or canary predictions.

Each has its own latency and version, and comes whenever it is ready. The event itself holds the prediction that was
served.
"""

from headrace.v1 import batch_pb2
from headrace_server.late_kinds.kind import LateDefinition
from headrace_server.late_kinds.row_fields import late_row_schema, own_fields
from headrace_server.late_kinds.row_rules import ColumnRequired, SomeRequired
from headrace_server.models import late_tables
from headrace_server.models.schema import ModelSchema
from headrace_server.validation.row_rules import EventTimeRange, Expiry, event_id_required
from headrace_server.validation.row_schema import RowSchema


def _row_schema(model: ModelSchema) -> RowSchema | None:
    if not model.predictions:
        return None
    names = tuple(stored_as for _, stored_as in late_tables.VARIANTS.own_columns(model))
    rules = (
        event_id_required,
        EventTimeRange(model.earliest_event_time, model.latest_ahead),
        Expiry(model.expiry),
        ColumnRequired("VARIANT_REQUIRED", "variant", "the row does not name its variant"),
        SomeRequired("PREDICTION_REQUIRED", names, f"the row has none of the predictions {', '.join(names)}"),
    )
    own = own_fields(model, late_tables.VARIANTS, "prediction", model.main_prediction)
    return late_row_schema(model, late_tables.VARIANTS, own, rules)


VARIANTS = LateDefinition(
    number=batch_pb2.RECORD_KIND_VARIANTS,
    spec=late_tables.VARIANTS,
    row_schema=_row_schema,
    takes_none=("NO_PREDICTIONS", "has no predictions; add them with UpdateModel"),
)
