"""A group: the batches of one transaction, with their rows made ready for each table.

Made in a thread from what the batcher gave (`prepare_group`), spent by the transaction. Preparing again is always
possible: the batches keep their rows until they are settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from headrace_server.batching.batch import PendingBatch
from headrace_server.copying.landing import GroupRows, Landing, Prepared


@dataclass(frozen=True)
class Part:
    """The rows of a group for one table.

    Attributes:
        prepared: The rows made ready; None where they are not to be landed.
        chunks: Numbers of the chunks that the rows fall into, each once (copying/target.py).
    """

    landing: Landing
    rows: GroupRows
    prepared: Prepared | None
    chunks: npt.NDArray[np.int64]

    @staticmethod
    def of(landing: Landing, rows: GroupRows) -> "Part":
        """Make rows ready. Runs in a thread."""
        return Part(landing, rows, landing.prepare(rows), landing.chunks(rows))


@dataclass(frozen=True)
class Group:
    """Batches that are committed together.

    Attributes:
        batches: All of them, those without good rows too: their verdicts and dead letters are to be written.
        parts: Their rows, a part a table, by name of the table.
    """

    batches: Sequence[PendingBatch]
    parts: Sequence[Part]


def prepare_group(batches: Sequence[PendingBatch]) -> Group:
    """Sort the batches' rows by table and make each table's rows ready. Runs in a thread."""
    by_table: dict[str, list[PendingBatch]] = {}
    for batch in batches:
        if (table := table_of(batch)) is not None:
            by_table.setdefault(table, []).append(batch)
    parts = []
    for _, members in sorted(by_table.items()):
        landing = max((landing_of(batch) for batch in members), key=lambda landing: landing.revision)
        parts.append(Part.of(landing, GroupRows.of(members)))
    return Group(batches, parts)


def table_of(batch: PendingBatch) -> str | None:
    """The table that its good rows go to; None where it has none."""
    return landing_of(batch).table_key if batch.target is not None and len(batch.places) else None


def landing_of(batch: PendingBatch) -> Landing:
    """Where a batch's rows go. batching does not know the type, since the stages above it do."""
    return cast(Landing, batch.target)
