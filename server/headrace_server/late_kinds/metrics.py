"""METRICS: numbers of the user's own, about an event or about a time: revenue, clicks, a rating.

A metric with an event_id joins its event as every late row does. One without lands at its metric_time, which takes the
place of the event's.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace.v1 import batch_pb2
from headrace_server.late_kinds.kind import LateDefinition
from headrace_server.late_kinds.row_fields import late_row_schema
from headrace_server.late_kinds.row_rules import ColumnRequired, has_value
from headrace_server.models import late_tables
from headrace_server.models.column_types import TIMESTAMP
from headrace_server.models.schema import EventIdType, ModelSchema
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_rules import EventTimeRange, Expiry, refused_in
from headrace_server.validation.row_schema import Moment, RowSchema


@dataclass(frozen=True)
class AboutEventOrTime:
    """Demands an event_id or a metric_time; gives a row without an event its metric_time for the event's.

    Attributes:
        id_type: Arrow type of the model's event ids.
    """

    id_type: pa.DataType

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule; afterwards there are an event_id and an event_time column, and no empty ids."""
        ids = columns.get("event_id", pa.nulls(row_count, self.id_type))
        times = columns.get("event_time", pa.nulls(row_count, TIMESTAMP))
        metric_times = columns.get("metric_time", pa.nulls(row_count, TIMESTAMP))
        has_event = has_value(ids)
        columns["event_id"] = pc.if_else(pa.array(has_event), ids, pa.scalar(None, self.id_type))
        columns["event_time"] = pc.if_else(pa.array(has_event), times, metric_times)
        about_nothing = ~has_event & ~has_value(metric_times)
        about_nothing &= ~refused_in("event_id", rejections) & ~refused_in("metric_time", rejections)
        message = "the row has neither an event_id nor a metric_time"
        rejections.add("METRIC_INCOMPLETE", "metric_time", about_nothing, message)


def _row_schema(model: ModelSchema) -> RowSchema:
    is_uuid = model.event_id_type is EventIdType.UUID
    rules = (
        ColumnRequired("METRIC_INCOMPLETE", "name", "the row does not name its metric"),
        ColumnRequired("METRIC_INCOMPLETE", "value", "the row has no value"),
        AboutEventOrTime(pa.binary(16) if is_uuid else pa.string()),
        EventTimeRange(model.earliest_event_time, model.latest_ahead),
        Expiry(model.expiry),
    )
    return late_row_schema(model, late_tables.METRICS, {}, rules)


METRICS = LateDefinition(
    number=batch_pb2.RECORD_KIND_METRICS,
    spec=late_tables.METRICS,
    row_schema=_row_schema,
    takes_none=("UNKNOWN_KIND", "takes no metrics"),  # every model takes them
)
