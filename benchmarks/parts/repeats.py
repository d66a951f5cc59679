"""UNIQUE models when rows come again: one in a thousand, and every one; and what that leaves dead in the table."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.arena import Arena
from benchmarks.contest import contest
from benchmarks.groups import GroupSize
from benchmarks.headrace_paths.publish import Publish, as_dicts
from benchmarks.outcome import Outcome
from benchmarks.peers.raw_copy import CopySource, RawCopy
from benchmarks.rows import THIRTEEN, Row
from benchmarks.scale import Scale
from benchmarks.tables import Table, make_table
from headrace import Identity

STATISTICS_S = 15.0  # PostgreSQL tells what an idle connection did within 10 s
NOTE = "A repeat is the same event again from the same client in a new batch; each gets its verdict `duplicate`."


class PublishAgain(Publish):
    """Publishes rows of which a share was published before."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, share: float) -> None:
        super().__init__(arena, name, table, row_count, as_dicts)
        self._rows: Sequence[Row] = ()
        self._share = share
        self._known: Sequence[Row] = ()
        self._repeats = 0
        self.stored = 0

    def prepare(self, rows: Sequence[Row]) -> None:
        """Put known rows in place of some, evenly spread; in the first round there are none."""
        known = self._known
        self._known = rows
        self._repeats = round(len(rows) * self._share) if known else 0
        if self._repeats:
            every = len(rows) // self._repeats
            self._rows = [known[place] if place % every == 0 else row for place, row in enumerate(rows)]
            self._repeats = len(range(0, len(rows), every))
            self._known = self._rows
        else:
            self._rows = rows

    def run(self) -> None:
        """Publish them; each repeat is told as a duplicate."""
        result = self.table.model.publish(self._rows)
        if (result.stored, result.duplicate) != (len(self._rows) - self._repeats, self._repeats):
            raise RuntimeError(f"{self.name}: {result}")
        self.stored += result.stored

    def stored_rows(self) -> int:
        """Rows its table has to hold."""
        return self.stored


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure both shares against raw COPY of fresh rows."""

    def table(stem: str) -> Table:
        return make_table(arena, stem, THIRTEEN, Identity.UNIQUE)

    copied = table("copy")
    source = CopySource(arena, copied, GroupSize(arena))
    few = PublishAgain(arena, "0.1 % repeats", table("few"), scale.rows, 0.001)
    every = PublishAgain(arena, "100 % repeats", table("all"), scale.rows, 1.0)
    results = contest(
        arena,
        [RawCopy(arena, "copy_limit", copied, scale.rows, source), few, every],
        max(1, scale.rounds - 2),
        keep=True,
    )
    outcome = Outcome(grids=[results.grid("Repeats, UNIQUE, 13 columns", "copy_limit", NOTE)])
    for subject, name in ((few, "01pct"), (every, "100pct")):
        outcome.figures[f"ratio.columns_repeats_{name}_vs_copy"] = results.ratio(subject.name, "copy_limit").median
        outcome.figures[f"dead_per_stored.repeats_{name}"] = (
            _dead(arena, subject.table, subject.stored) / subject.stored
        )
    return outcome


def _dead(arena: Arena, table: Table, stored: int) -> int:
    """Return how many tuples were ever written in vain: inserted, whatever became of the transaction, but not stored.

    Not n_dead_tup: autovacuum takes that back, and what it takes back has cost as much.
    """
    ask = (
        "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables s JOIN timescaledb_information.chunks c"
        " ON c.chunk_schema = s.schemaname AND c.chunk_name = s.relname WHERE c.hypertable_name = $1"
    )
    deadline = time.monotonic() + STATISTICS_S
    while (inserted := int(arena.query(ask, table.name))) < stored and time.monotonic() < deadline:
        time.sleep(0.5)
    return max(0, inserted - stored)
