"""Labels: which columns their rows may have, where they land, and what follows a commit of events.

In: models. Out: for each revision a RowSchema, a landing, and `after_events`, which the events kind calls after each
of its commits so that labels that came before their events are joined to them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows
from headrace_server.labels.landing import LabelsLanding
from headrace_server.labels.settling import settle_events
from headrace_server.labels.tables import LabelTables
from headrace_server.models.per_revision import PerRevision
from headrace_server.models.schema import EventIdType, ModelSchema, UnknownColumns
from headrace_server.models.system_columns import EVENT_COLUMNS, EVENT_ID, LABEL_COLUMNS
from headrace_server.validation.casting import as_mask
from headrace_server.validation.model_fields import model_fields
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_rules import EventTimeRange, Expiry, event_id_required
from headrace_server.validation.row_schema import Field, Moment, RowSchema


class LabelsKind:
    """The LABELS kind.

    Args:
        wake: Called when labels were left to the resolver; must not block.
        search_budget_s: Seconds that one group's labels without a time may be looked for; their acks wait for it.
    """

    adds_columns = False

    def __init__(self, wake: Callable[[], None], search_budget_s: float = 0.3) -> None:
        self._tables = PerRevision(LabelTables.of)
        self.row_schema = PerRevision(_row_schema)
        self.landing = PerRevision(
            lambda model: LabelsLanding(self._tables(model), model.revision, wake, search_budget_s)
        )

    async def after_events(self, model: ModelSchema, connection: Connection, rows: GroupRows) -> None:
        """Join labels that waited for these events. Costs one short query where none waits.

        Args:
            model: Whose events they are.
            connection: Not in a transaction.
            rows: Events that are committed.

        Raises:
            asyncpg.PostgresError, OSError: Labels may still wait; the resolver finds them.
        """
        if model.labels:
            await settle_events(connection, self._tables(model), rows.table)


@dataclass(frozen=True)
class LabelRequired:
    """Demands at least one label in each row.

    Attributes:
        names: Columns of the labels.
    """

    names: tuple[str, ...]

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        without = ~rejections.mask()  # a row whose only label was refused has its verdict already
        for name in self.names:
            if name in columns:
                without &= as_mask(columns[name].is_null())
        rejections.add("LABEL_REQUIRED", "", without, f"the row has none of the labels {', '.join(self.names)}")


def _row_schema(model: ModelSchema) -> RowSchema | None:
    if not model.labels:
        return None
    fields = model_fields(model, model.labels)
    truth = model.main_label
    if truth is not None:
        fields.setdefault("label", fields[truth.sql_name])
    refused: dict[str, tuple[str, str]] = {}
    names = {name for column in model.event_columns for name in (column.name, column.sql_name)}
    for name in (*names, "prediction", *(column.name for column in EVENT_COLUMNS)):
        message = f"{name} belongs to the event, which never changes; rows of kind LABELS carry labels only"
        refused[name] = ("IMMUTABLE_COLUMN", message)
    # Last, so that they win: a label of such a name is called f_<name> on the wire, too.
    for system in LABEL_COLUMNS:
        if system.written_by_service:
            fields.pop(system.name, None)
            refused[system.name] = ("IMMUTABLE_COLUMN", f"{system.name} is written by the service")
        else:
            is_id = system is EVENT_ID
            fields[system.name] = Field(
                system.name,
                system.type,
                max_bytes=system.max_bytes,
                is_uuid=is_id and model.event_id_type is EventIdType.UUID,
                too_long="EVENT_ID_TOO_LONG" if is_id else "TEXT_TOO_LONG",
            )
    for name in fields:
        refused.pop(name, None)
    rules = (
        event_id_required,
        EventTimeRange(model.earliest_event_time, model.latest_ahead),
        Expiry(model.expiry),
        LabelRequired(tuple(label.sql_name for label in model.labels)),
    )
    return RowSchema(fields, refused, UnknownColumns.REJECT, rules)
