"""What the SQL of the labels room has to know about one revision of a model: its tables, names and comparisons."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from headrace_server.copying.connection import Connection
from headrace_server.copying.target import Target
from headrace_server.copying.touched import TouchedHours
from headrace_server.models.names import qualified, quote_identifier
from headrace_server.models.sampling import SamplingRate
from headrace_server.models.schema import ModelSchema
from headrace_server.models.table_spec import events_table, inbox_table, labels_table

Micros = npt.NDArray[np.int64]
"""Points in time, in microseconds since 1970."""

Places = npt.NDArray[np.int64]
"""Positions of rows in a table."""

NO_TIME = np.iinfo(np.int64).max
"""Stands for "no time" among Micros; sorts after every time."""

NEVER_COMPARED = frozenset({"event_id", "event_time", "recorded_time"})


@dataclass(frozen=True)
class LabelTables:
    """The tables that labels of a model have to do with.

    Attributes:
        events: The events.
        labels: The labels whose event is known; their `compared` columns, with the event, tell equal labels.
        inbox: SQL name of the table where the others wait.
        inbox_name: Its name, unquoted.
        copied: Columns of a label that a COPY fills, system columns included.
        staging: Name of the temporary table for whole rows: this revision's, since a connection keeps it.
        lock: Names the lock under which labels of the model are stored and moved.
        sampling: Rates at which the model's events are sampled, oldest first.
    """

    events: Target
    labels: Target
    inbox: str
    inbox_name: str
    copied: tuple[str, ...]
    staging: str
    lock: str
    sampling: tuple[SamplingRate, ...] = ()

    @staticmethod
    def of(model: ModelSchema) -> "LabelTables":
        """The tables of a model."""
        labels, inbox = labels_table(model), inbox_table(model)
        compared = [column.name for column in labels.columns if column.name not in NEVER_COMPARED]
        lock = f"headrace.labels {model.project}.{model.sql_name}"
        return LabelTables(
            events=Target.of(events_table(model), (), model.chunk_interval),
            labels=Target.of(labels, compared, model.chunk_interval),
            inbox=qualified(inbox.schema, inbox.name),
            inbox_name=inbox.name,
            copied=tuple(column.name for column in labels.columns),
            staging=f"headrace_labels_{sha256(lock.encode()).hexdigest()[:16]}_{model.revision}",
            lock=lock,
            sampling=model.sampling,
        )

    async def note(self, connection: Connection, times: Micros) -> None:
        """Note the hours of the events whose labels a transaction adds."""
        await TouchedHours.of(times).note(connection, self.events.schema, self.events.name, "LABELS")

    @property
    def is_uuid(self) -> bool:
        """Whether event ids are UUIDs."""
        return self.events.event_id_sql == "uuid"

    @property
    def compared_sql(self) -> str:
        """The compared columns, as a list."""
        return ", ".join(map(quote_identifier, self.labels.compared))

    def same(self, one: str, other: str) -> str:
        """SQL that is true where two labels of one event are equal; null equals null, NaN equals NaN."""
        return " AND ".join(
            f"{one}.{column} IS NOT DISTINCT FROM {other}.{column}"
            for column in map(quote_identifier, self.labels.compared)
        )
