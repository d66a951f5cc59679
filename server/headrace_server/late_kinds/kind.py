"""A late kind as the stages see it: which rows it accepts, where they land, what follows a commit of events.

In: the definition that each module of this room gives. Out: a RecordKind. What is common to all late kinds, from the
search for the event to the inbox, is in joining/.
"""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.v1 import batch_pb2
from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows
from headrace_server.joining.landing import LateLanding
from headrace_server.joining.settling import settle_events
from headrace_server.joining.tables import LateTables
from headrace_server.models.late_tables import LateSpec
from headrace_server.models.per_revision import PerRevision
from headrace_server.models.schema import ModelSchema
from headrace_server.validation.row_schema import RowSchema


@dataclass(frozen=True)
class LateDefinition:
    """What one late kind is.

    Attributes:
        number: What batches call it.
        spec: Its tables.
        row_schema: What its rows may look like; None for a model that takes none.
        takes_none: Reason and words for such a model.
    """

    number: batch_pb2.RecordKind.ValueType
    spec: LateSpec
    row_schema: Callable[[ModelSchema], RowSchema | None]
    takes_none: tuple[str, str]


class LateKind:
    """One late kind, for any model.

    Args:
        definition: What it is.
        wake: Called when rows were left to the resolver; must not block.
        search_budget_s: Seconds that one group's rows without a time may be looked for; their acks wait for it.
    """

    adds_columns = False

    def __init__(self, definition: LateDefinition, wake: Callable[[], None], search_budget_s: float) -> None:
        self._spec = definition.spec
        self.takes_none = definition.takes_none
        self._tables = PerRevision(lambda model: LateTables.of(model, definition.spec))
        self.row_schema = PerRevision(definition.row_schema)
        self.landing = PerRevision(
            lambda model: LateLanding(self._tables(model), model.revision, wake, search_budget_s)
        )

    def lacks(self, model: ModelSchema) -> str:
        """Name of the tables that its first row makes, where the model does not have them."""
        return "" if self._spec.is_in(model) else self._spec.name

    async def after_events(self, model: ModelSchema, connection: Connection, rows: GroupRows) -> None:
        """Join rows that waited for these events. Costs one short query where none waits.

        Args:
            model: Whose events they are.
            connection: Not in a transaction.
            rows: Events that are committed.

        Raises:
            asyncpg.PostgresError, OSError: Rows may still wait; the resolver finds them.
        """
        if self._spec.is_in(model):
            await settle_events(connection, self._tables(model), rows.table)
