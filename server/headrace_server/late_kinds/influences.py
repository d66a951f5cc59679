"""INFLUENCES: how much each feature moved a prediction away from a base value, as SHAP says it. One float a feature."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.v1 import batch_pb2
from headrace_server.late_kinds.kind import LateDefinition
from headrace_server.late_kinds.row_fields import late_row_schema, own_fields
from headrace_server.late_kinds.row_rules import SomeRequired, has_value
from headrace_server.models import late_tables
from headrace_server.models.schema import ColumnKind, ModelColumn, ModelSchema
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_rules import EventTimeRange, Expiry, event_id_required, refused_in
from headrace_server.validation.row_schema import Moment, RowSchema

CLASS_SEPARATOR = ":"


@dataclass(frozen=True)
class OutputRule:
    """Demands that `output` names a prediction of the model, or one of its classes as `prediction:class`.

    Where it is left out, the model's main prediction is meant.

    Attributes:
        predictions: The model's predictions.
        main: The one that "prediction" means; None where there is none.
    """

    predictions: tuple[ModelColumn, ...]
    main: ModelColumn | None

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule; outputs are stored under the folded name of their prediction."""
        outputs = columns.get("output", pa.nulls(row_count, pa.string()))
        empty = ~has_value(outputs)
        if empty.any():
            if self.main is not None:
                outputs = pc.if_else(pa.array(empty), self.main.sql_name, outputs)
            else:
                told = ", ".join(column.name for column in self.predictions) or "none"
                message = f"the row does not say which output its influences are about: the model has {told}"
                rejections.add("OUTPUT_REQUIRED", "output", empty & ~refused_in("output", rejections), message)
        distinct = pc.unique(outputs).drop_null()
        stored = [self._stored(text) for text in distinct.to_pylist()]
        places = pc.index_in(outputs, distinct)
        columns["output"] = pa.array(stored, pa.string()).take(places)
        strange = ~np.asarray(columns["output"].is_valid()) & ~empty & ~refused_in("output", rejections)
        if strange.any():
            example = outputs[int(strange.argmax())].as_py()
            rejections.add("UNKNOWN_OUTPUT", "output", strange, f"{example!r} is no prediction of the model")

    def _stored(self, text: str) -> str | None:
        name, separator, of_class = text.partition(CLASS_SEPARATOR)
        for column in self.predictions:
            if text in (column.name, column.sql_name):
                return column.sql_name
            if separator and name in (column.name, column.sql_name):
                return f"{column.sql_name}{separator}{of_class}"
        return None


def _row_schema(model: ModelSchema) -> RowSchema | None:
    if not model.features:
        return None
    own = own_fields(model, late_tables.INFLUENCES)
    refused = {
        name: ("UNKNOWN_FEATURE", f"{column.name!r} is no feature but a {column.kind.name} of the model")
        for column in model.columns
        if column.kind is not ColumnKind.FEATURE
        for name in (column.name, column.sql_name)
    }
    rules = (
        event_id_required,
        EventTimeRange(model.earliest_event_time, model.latest_ahead),
        Expiry(model.expiry),
        OutputRule(model.predictions, model.main_prediction),
        SomeRequired(
            "INFLUENCE_REQUIRED",
            tuple(field.sql_name for field in own.values()),
            "the row has no influence of any feature",
        ),
    )
    return late_row_schema(model, late_tables.INFLUENCES, own, rules, refused=refused, unknown_reason="UNKNOWN_FEATURE")


INFLUENCES = LateDefinition(
    number=batch_pb2.RECORD_KIND_INFLUENCES,
    spec=late_tables.INFLUENCES,
    row_schema=_row_schema,
    takes_none=("NO_FEATURES", "has no features that something could be the influence of"),
)
