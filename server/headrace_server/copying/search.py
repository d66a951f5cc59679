"""The search for a batch's bad rows, inside its transaction: tries under savepoints until the rest can be stored.

PostgreSQL says which line of a COPY it refused; where that cannot be known, the rows are halved. Bad rows come in
clusters: after one, the next try reaches only a few times as far as the last one got, so that a cluster's rows do not
each cost a COPY of all that follows. The search is bounded, 64 savepoints or 2 seconds: rows that are not told apart by
then are refused as UNRESOLVED, kept, and can be replayed.
What may be good is not refused for the database's own troubles: those end the search, and the batch is tried again.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field, replace
from time import monotonic

import asyncpg
import numpy as np
import numpy.typing as npt

from headrace_server.batching.verdicts import Refusal, Verdict
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.group import Part
from headrace_server.copying.landing import GroupRows, Landed, Lined, Prepared
from headrace_server.copying.sqlstate import Action, action_for

MOST_SAVEPOINTS = 64
LONGEST_SEARCH_S = 2.0
NEAREST_REACH = 256  # rows tried at least after a bad one
REACH_GROWTH = 4  # the next try reaches so many times as far as the last one got
MOST_PROBES = 3  # of one span: each may meet what another writer has just stored; then it is no repeat of ours

# Raised for a row while its line is read, so that the line is exact; other refusals come when rows are flushed.
_AT_THEIR_LINE = ("22", "23502", "23514")
_LINE = re.compile(r"^COPY (\S+), line (\d+)", re.MULTILINE)

_UNRESOLVED = Refusal(0, "UNRESOLVED", "the search for this batch's bad rows ran out of its budget; replay the letter")

Span = npt.NDArray[np.int64]
_NONE: Span = np.empty(0, dtype=np.int64)


async def search_bad_rows(connection: Connection, part: Part) -> Landed:
    """Land a part's rows, all but the bad ones.

    Raises:
        asyncpg.PostgresError: The rows are not to blame.
    """
    search = Search(part, Landed.uniform(len(part.rows), Verdict.STORED))
    await search.run(connection)
    return search.landed


@dataclass
class Search:
    """A search under way.

    Attributes:
        part: The rows.
        landed: What became of them so far.
        todo: Spans to be tried, as ascending positions, with how often each has met a repeat.
        beyond: Rows out of reach of the try after a bad row; their turn comes when nothing is left to be tried.
        proven: Rows that were taken before the COPY they were in failed at another: stored together at the end.
        out_of_memory: What the database said when it could not take a span for want of memory, if it ever did.
    """

    part: Part
    landed: Landed
    todo: deque[tuple[Span, int]] = field(default_factory=deque)
    beyond: Span = field(default_factory=lambda: _NONE)
    proven: list[Span] = field(default_factory=list)
    out_of_memory: asyncpg.PostgresError | None = None
    _savepoints: int = 0
    _deadline: float = field(default_factory=lambda: monotonic() + LONGEST_SEARCH_S)

    async def run(self, connection: Connection) -> None:
        """Search until every row is stored or refused."""
        self.todo.append((np.arange(len(self.part.rows)), 0))
        while self.todo or len(self.beyond) or self.proven:
            if (self.todo or len(self.beyond)) and self._is_spent():
                await self._give_up(connection)
                return
            if not self.todo:
                self.todo.append((self._set_aside(), 0))
            span, probes = self.todo.popleft()
            await self._try(connection, span, probes)

    def _set_aside(self) -> Span:
        """What waited until nothing else was left to be tried: rows out of reach first, then the proven."""
        if len(self.beyond):
            rows, self.beyond = self.beyond, _NONE
        else:
            rows, self.proven = np.sort(np.concatenate(self.proven)), []
        return rows

    def _is_spent(self) -> bool:
        return self._savepoints >= MOST_SAVEPOINTS or monotonic() > self._deadline

    async def _try(self, connection: Connection, span: Span, probes: int = 0) -> None:
        self._savepoints += 1
        rows = self.part.rows.take(span)
        prepared = await asyncio.to_thread(self.part.landing.prepare, rows)
        try:
            async with transaction(connection):
                tried = await prepared.land(connection)
        except asyncpg.PostgresError as error:
            match action_for(error):
                case Action.PROBE if probes < MOST_PROBES:
                    self.part.landing.met_unique_violation()
                    self.todo.appendleft((span, probes + 1))
                case Action.PROBE | Action.REPAIR:
                    self._narrow(span, error, prepared)
                case Action.SPLIT if len(span) > 1:
                    self.out_of_memory = error
                    self._halve(span)
                case _:
                    raise
        else:
            self.landed.verdicts[span] = tried.verdicts
            self.landed.notes.extend(tried.notes)
            self.landed.refusals.update((int(span[at]), refusal) for at, refusal in tried.refusals.items())

    def _narrow(self, span: Span, error: asyncpg.PostgresError, prepared: Prepared) -> None:
        """Leave out the row that was refused, or come closer to it."""
        why = Refusal(0, "STORAGE_REJECTED", str(error), sqlstate=error.sqlstate or "")
        line = _line_of(error, self.part)
        if len(span) == 1:
            self._refuse(span, why)
        elif isinstance(prepared, Lined) and line is not None and line <= len(prepared.lines):
            self._refuse(span[[prepared.lines[line - 1]]], why)
            self._go_on_after(span, prepared.lines, line)
        else:
            self._halve(span)

    def _go_on_after(self, span: Span, lines: Span, bad_line: int) -> None:
        """Note what is proven by a refusal at a line, and how far the next try reaches."""
        before, after = lines[: bad_line - 1], lines[bad_line:]
        near = after[: max(NEAREST_REACH, REACH_GROWTH * len(before))]
        if len(before):
            self.proven.append(span[before])
        if len(near):
            self.todo.appendleft((np.sort(span[near]), 0))
        # Repeats among the rows have no line: they come after what they may be repeats of.
        seen = np.concatenate([before, near, lines[bad_line - 1 : bad_line]])
        self.beyond = np.sort(np.concatenate([np.delete(span, seen), self.beyond]))

    def _halve(self, span: Span) -> None:
        first, second = np.array_split(span, 2)
        self.todo.extendleft([(second, 0), (first, 0)])

    async def _give_up(self, connection: Connection) -> None:
        """Refuse what is not told apart; what is proven is stored all the same, by one try more."""
        if self.out_of_memory is not None:
            raise self.out_of_memory
        proven, self.proven = self.proven, []
        if proven:
            self.part.landing.met_unique_violation()  # there is but one try: let it tell repeats apart
            await self._try(connection, np.sort(np.concatenate(proven)), MOST_PROBES)
        for span in (*(span for span, _ in self.todo), self.beyond, *self.proven):
            self._refuse(span, _UNRESOLVED)

    def _refuse(self, span: Span, why: Refusal) -> None:
        rows: GroupRows = self.part.rows
        self.landed.verdicts[span] = Verdict.REJECTED
        for position in span.tolist():
            self.landed.refusals[position] = replace(why, row=int(rows.places[position]))


def _line_of(error: asyncpg.PostgresError, part: Part) -> int | None:
    """The line of the COPY into the part's table that was refused, where PostgreSQL knows it for certain."""
    if not (error.sqlstate or "").startswith(_AT_THEIR_LINE):
        return None
    found = _LINE.search(error.context or "")
    if found is None or found[1].strip('"') != part.landing.target.name:
        return None
    return int(found[2])
