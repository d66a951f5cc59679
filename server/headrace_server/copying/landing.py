"""How rows of one kind get into their tables: the seam between the stages and the record kinds.

Stages know no record kind, record kinds know no stage's insides. A kind hands out a Landing for each model; a group's
rows for one landing come concatenated as GroupRows, and the landing answers with a verdict for each. Inside the
group's transaction only `land` runs; what must happen after the COMMIT is `settle`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.batching.batch import PendingBatch
from headrace_server.batching.verdicts import Refusal, Verdict, Verdicts
from headrace_server.copying.connection import Connection
from headrace_server.copying.target import Target
from headrace_server.copying.touched import HourNote


@dataclass(frozen=True)
class GroupRows:
    """The good rows of a group's batches for one landing.

    Attributes:
        batches: The batches, in the order of the group.
        table: Their good rows end to end, in the union of their columns.
        owner: For each row the index of its batch in `batches`.
        places: For each row its index in its batch.
    """

    batches: Sequence[PendingBatch]
    table: pa.Table
    owner: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    @staticmethod
    def of(batches: Sequence[PendingBatch]) -> "GroupRows":
        """Concatenate batches; a column that a batch does not have is null in its rows."""
        table = pa.concat_tables([batch.table for batch in batches], promote_options="default")
        owner = np.repeat(np.arange(len(batches)), [len(batch.places) for batch in batches])
        return GroupRows(batches, table, owner, np.concatenate([batch.places for batch in batches]))

    def by_batch(self) -> Iterator[tuple[PendingBatch, slice]]:
        """Each batch with the run of rows that is its own."""
        bounds = np.searchsorted(self.owner, np.arange(len(self.batches) + 1))
        for index, batch in enumerate(self.batches):
            yield batch, slice(int(bounds[index]), int(bounds[index + 1]))

    def take(self, rows: npt.NDArray[np.int64]) -> "GroupRows":
        """Some of the rows, by ascending position."""
        return GroupRows(self.batches, self.table.take(pa.array(rows)), self.owner[rows], self.places[rows])

    def __len__(self) -> int:
        return len(self.places)


@dataclass
class Landed:
    """What became of a group's rows.

    Attributes:
        verdicts: One a row of the GroupRows.
        refusals: Rows refused while landing, by position in the GroupRows; their verdict is REJECTED.
        notes: Hours of the rows, not yet written: whoever ends the transaction writes them with the ledger, which saves
            a round trip.
    """

    verdicts: Verdicts
    refusals: dict[int, Refusal] = field(default_factory=dict)
    notes: list[HourNote] = field(default_factory=list)

    @staticmethod
    def uniform(count: int, verdict: Verdict) -> "Landed":
        """The same verdict for every row."""
        return Landed(np.full(count, verdict, dtype=np.uint8))


class Prepared(Protocol):
    """Rows made ready for one attempt: sorted, encoded. Made in a thread, spent in a transaction."""

    async def land(self, connection: Connection) -> Landed:
        """Write the rows, inside the group's transaction.

        Raises:
            asyncpg.PostgresError: As PostgreSQL raised it; the copier decides by SQLSTATE.
        """


@runtime_checkable
class Lined(Protocol):
    """Prepared rows that can say which row a line of their COPY was, for whoever looks for a bad one."""

    @property
    def lines(self) -> npt.NDArray[np.int64]:
        """Position in the GroupRows of each line of the COPY into the table, once that has begun."""


class Landing(Protocol):
    """Where the rows of one kind of one model go."""

    @property
    def table_key(self) -> str:
        """Name of the table: the order in which a transaction touches tables, so that no two deadlock."""

    @property
    def target(self) -> Target:
        """The hypertable."""

    @property
    def revision(self) -> int:
        """Revision of the model's schema; of two landings of one table a group takes the newer."""

    def chunks(self, rows: GroupRows) -> npt.NDArray[np.int64]:
        """Numbers of the chunks that the rows fall into, each once; none where the landing bounds that itself."""

    def prepare(self, rows: GroupRows) -> Prepared:
        """Do the work that needs no database: sort, encode. Runs in a thread, touches nothing shared."""

    def met_unique_violation(self) -> None:
        """PostgreSQL found a repeat (23505): prepare differently from now on."""

    async def foresee(self, connection: Connection, rows: GroupRows) -> Landed:
        """Say what would become of the rows if they landed now. In a transaction that is rolled back; takes no lock."""

    async def settle(self, connection: Connection, rows: GroupRows, landed: Landed) -> None:
        """Do what has to follow the COMMIT; may change verdicts. Its own transaction."""
