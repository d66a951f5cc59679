"""What the SQL of this room has to know of one late kind of one revision of a model: tables, names, comparisons."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from headrace_server.copying.connection import Connection
from headrace_server.copying.target import Target
from headrace_server.copying.touched import HourNote, TouchedHours, write_notes
from headrace_server.models.late_tables import LateSpec, inbox_table, settled_table
from headrace_server.models.names import qualified, quote_identifier
from headrace_server.models.sampling import SamplingRate
from headrace_server.models.schema import ModelSchema
from headrace_server.models.table_spec import events_table

Micros = npt.NDArray[np.int64]
"""Points in time, in microseconds since 1970."""

Places = npt.NDArray[np.int64]
"""Positions of rows in a table."""

NO_TIME = np.iinfo(np.int64).max
"""Stands for "no time" among Micros; sorts after every time."""

MEASURED = frozenset({"LABELS", "VARIANTS"})
"""Kinds whose rows change what monitoring says of the hours of their events."""

NEVER_COMPARED = frozenset({"event_id", "event_time", "recorded_time"})


@dataclass(frozen=True)
class LateTables:
    """The tables that rows of one late kind of a model have to do with.

    Attributes:
        kind: What the wire calls the kind, without its prefix.
        events: The events.
        settled: The rows whose event is known; their `compared` columns, with the event, tell equal rows.
        inbox: SQL name of the table where the others wait.
        inbox_name: Its name, unquoted.
        staging: Name of the temporary table for whole rows: this revision's, since a connection keeps it.
        indexed: Columns by which rows about no event are looked up; empty where every row is about one.
        lock: Names the lock under which rows of this kind and model are stored and moved.
        sampling: Rates at which the model's events are sampled, oldest first.
    """

    kind: str
    events: Target
    settled: Target
    inbox: str
    inbox_name: str
    staging: str
    indexed: tuple[str, ...]
    lock: str
    sampling: tuple[SamplingRate, ...] = ()

    @staticmethod
    def of(model: ModelSchema, spec: LateSpec) -> "LateTables":
        """The tables of a model."""
        settled, inbox = settled_table(model, spec), inbox_table(model, spec)
        compared = [column.name for column in settled.columns if column.name not in NEVER_COMPARED]
        lock = f"headrace.{spec.name} {model.project}.{model.sql_name}"
        return LateTables(
            kind=spec.name.upper(),
            events=Target.of(events_table(model), (), model.chunk_interval),
            settled=Target.of(settled, compared, model.chunk_interval),
            inbox=qualified(inbox.schema, inbox.name),
            inbox_name=inbox.name,
            staging=f"headrace_late_{sha256(lock.encode()).hexdigest()[:16]}_{model.revision}",
            indexed=spec.indexed,
            lock=lock,
            sampling=model.sampling,
        )

    async def note(self, connection: Connection, times: Micros) -> None:
        """Note the hours of the events to which a transaction adds rows, where monitoring has to look again."""
        if self.kind in MEASURED:
            note = HourNote(self.events.schema, self.events.name, self.kind, TouchedHours.of(times))
            await write_notes(connection, [note])

    @property
    def is_uuid(self) -> bool:
        """Whether event ids are UUIDs."""
        return self.events.event_id_sql == "uuid"

    @property
    def compared_sql(self) -> str:
        """The compared columns, as a list."""
        return ", ".join(map(quote_identifier, self.settled.compared))

    def same(self, one: str, other: str) -> str:
        """SQL that is true where two rows of one event are equal; null equals null, NaN equals NaN."""
        return " AND ".join(
            f"{one}.{column} IS NOT DISTINCT FROM {other}.{column}"
            for column in map(quote_identifier, self.settled.compared)
        )
