"""All late kinds there are. A further one is a module of this room and a line here."""

from collections.abc import Callable

from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows
from headrace_server.late_kinds.influences import INFLUENCES
from headrace_server.late_kinds.kind import LateKind
from headrace_server.late_kinds.labels import LABELS
from headrace_server.late_kinds.metrics import METRICS
from headrace_server.late_kinds.variants import VARIANTS
from headrace_server.models.schema import ModelSchema

SEARCH_BUDGET_S = 0.3


class LateKinds:
    """The late kinds of a process.

    Args:
        wake: Called when rows were left to the resolver; must not block.
        search_budget_s: Seconds that one group's rows without a time may be looked for.

    Attributes:
        by_number: Each kind, by what batches call it.
    """

    def __init__(self, wake: Callable[[], None], search_budget_s: float = SEARCH_BUDGET_S) -> None:
        self.by_number: dict[int, LateKind] = {
            definition.number: LateKind(definition, wake, search_budget_s)
            for definition in (LABELS, INFLUENCES, VARIANTS, METRICS)
        }

    async def after_events(self, model: ModelSchema, connection: Connection, rows: GroupRows) -> None:
        """Join what waited for these events, of every kind that the model has; as LateKind.after_events."""
        for kind in self.by_number.values():
            await kind.after_events(model, connection, rows)
