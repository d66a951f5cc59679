"""Oracles against tables: what is missing, what is there twice, what is not as it was sent.

Lost is a row that was acked (or logged by a client that was closed) and is not there. Doubled is a row that is there
more than once, altered one whose cells differ, or that nobody sent. A gap is a seq that the ledger lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from chaos.oracle import Oracle
from chaos.rows import MODELS, UNARY, fingerprint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXAMPLES = 5

Row = tuple[str, str]
"""Event id and fingerprint of a row as it is stored."""


@dataclass
class Verdict:
    """What the comparison found.

    Attributes:
        rows: Rows that had to be there.
        complaints: What must never happen to a user's code, and did: an error, a drop, a verdict that is not true.
        findings: What is wrong, for people: some of each.
    """

    rows: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    gaps: int = 0
    complaints: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.altered or self.gaps or self.complaints)

    def judge(self, table: str, oracles: Iterable[Oracle], stored: Iterable[Row]) -> None:
        """Hold one table's rows against what producers know of them."""
        sent: dict[str, str] = {}
        owed: set[str] = set()
        for oracle in oracles:
            sent.update(oracle.intended.get(table, {}))
            owed |= oracle.owed.get(table, set())
        seen: Counter[str] = Counter()
        altered = []
        for event_id, print_ in stored:
            seen[event_id] += 1
            if sent.get(event_id) != print_:
                altered.append(event_id)
        lost = sorted(owed - seen.keys())
        doubled = {event_id: times for event_id, times in seen.items() if times > 1}
        self.rows += len(owed)
        self.lost += len(lost)
        self.doubled += sum(times - 1 for times in doubled.values())
        self.altered += len(altered)
        self._find(table, "lost", lost)
        self._find(table, "doubled", doubled)
        self._find(table, "altered", altered)

    def judge_ledger(self, oracles: Iterable[Oracle], last_seqs: Mapping[str, int], noticed_gaps: int) -> None:
        """Hold the ledger's seqs against the batches that were acked."""
        self.gaps += noticed_gaps
        for oracle in oracles:
            self.complaints += len(oracle.complaints)
            self.findings += oracle.complaints[:_EXAMPLES]
            in_ledger = sum(last_seqs.get(producer_id, 0) for producer_id in oracle.producer_ids)
            if oracle.producer_ids and in_ledger != oracle.batches:
                self.gaps += abs(in_ledger - oracle.batches)
                self.findings.append(f"{oracle.batches} batches were acked, the ledger has {in_ledger}")

    def judge_counts(self, counted: int, stored: int) -> None:
        """Hold the rows that the ledger counted, commit by commit, against those that are there."""
        if counted != stored:
            self.complaints += 1
            self.findings.append(f"the ledger counts {counted} rows stored, there are {stored}")

    def _find(self, table: str, what: str, event_ids: Iterable[str]) -> None:
        if ids := list(event_ids):
            self.findings.append(f"{table}: {len(ids)} {what}, such as {', '.join(ids[:_EXAMPLES])}")


async def compare(connection: asyncpg.Connection, oracles: Iterable[Oracle]) -> Verdict:
    """Hold every oracle against the database."""
    verdict, oracles, count = Verdict(), list(oracles), 0
    for model in MODELS:
        for table, rows in ((model, _events(connection, model)), (f"{model}_labels", _labels(connection, model))):
            stored = [row async for row in rows]
            count += len(stored)
            verdict.judge(table, oracles, stored)
    verdict.judge(UNARY, oracles, [row async for row in _events(connection, UNARY)])
    ledger = await connection.fetch("SELECT producer_id::text, last_seq FROM headrace.producers")
    noticed = await connection.fetchval("SELECT count(*) FROM headrace.seq_gaps")
    verdict.judge_ledger(oracles, {row[0]: row[1] for row in ledger}, noticed)
    verdict.judge_counts(await connection.fetchval("SELECT sum(stored)::bigint FROM headrace.producers"), count)
    letters = await connection.fetchval("SELECT count(*) FROM headrace.dead_letters")
    if letters:
        verdict.complaints += letters
        verdict.findings.append(f"{letters} good rows became dead letters")
    return verdict


async def _events(connection: asyncpg.Connection, model: str) -> AsyncIterator[Row]:
    async with connection.transaction():
        async for row in connection.cursor(
            f"SELECT event_id, event_time, amount, number, word, score FROM main.{model}", prefetch=5_000
        ):
            event_id, time, *cells = row
            yield event_id, fingerprint(((time - _EPOCH) // timedelta(microseconds=1), *cells))


async def _labels(connection: asyncpg.Connection, model: str) -> AsyncIterator[Row]:
    """Those beside their events, and those that wait."""
    async with connection.transaction():
        async for event_id, truth in connection.cursor(
            f"SELECT event_id, truth FROM main.{model}_labels"
            f" UNION ALL SELECT event_id, truth FROM main.{model}_labels_inbox",
            prefetch=5_000,
        ):
            yield event_id, fingerprint([truth])
