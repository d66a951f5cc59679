"""The dead letters of projects as they lie in the database: lists, single ones, dropping, and how much they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from headrace_server.dead_letters.selection import Selection
from headrace_server.storage.outage import told_as_unavailable

ACQUIRE_TIMEOUT_S = 10.0
DROPPED_AT_ONCE = 10_000
USAGE_KNOWN_S = 2.0

_COLUMNS = """
    id, project, model, kind, reason, column_name, message, sqlstate, producer_id, request_id, seq, row_index,
    payload_bytes, octet_length(payload) = payload_bytes AS is_whole, created_at, replays, last_replay_at, replayed_at
"""


@dataclass(frozen=True)
class StoredLetter:
    """A dead letter as it is kept; the attributes are the columns of headrace.dead_letters."""

    id: int
    project: str
    model: str
    kind: int
    reason: str
    column_name: str
    message: str
    sqlstate: str
    producer_id: UUID | None
    request_id: UUID | None
    seq: int
    row_index: int | None
    payload_bytes: int
    is_whole: bool
    created_at: datetime
    replays: int
    last_replay_at: datetime | None
    replayed_at: datetime | None
    payload: bytes = b""


class Shelf:
    """Reads and drops dead letters.

    Args:
        pool: For reading and dropping.
        project_bytes: What the letters of one project may hold.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", project_bytes: int) -> None:
        self._pool = pool
        self._project_bytes = project_bytes
        self._is_full: dict[str, tuple[float, bool]] = {}

    async def newest(self, selection: Selection, before: int, limit: int) -> Sequence[StoredLetter]:
        """Letters with a smaller number than `before` (0: any), newest first, without their payload."""
        if before:
            selection.where("id < {}", before)
        query = f"SELECT {_COLUMNS} FROM headrace.dead_letters WHERE {selection.sql} ORDER BY id DESC"  # noqa: S608 - as all here: texts of ours, values are parameters
        return await self._letters(f"{query} LIMIT {selection.parameter(limit)}", selection)

    async def oldest(self, selection: Selection, after: int, limit: int) -> Sequence[StoredLetter]:
        """Letters with a greater number than `after` that wait, oldest first, whole."""
        selection.where("id > {}", after).where("replayed_at IS NULL")
        query = f"SELECT {_COLUMNS}, payload FROM headrace.dead_letters WHERE {selection.sql} ORDER BY id"  # noqa: S608
        return await self._letters(f"{query} LIMIT {selection.parameter(limit)}", selection)

    async def one(self, project: str, number: int) -> StoredLetter | None:
        """One letter, whole."""
        selection = Selection.of_project(project).where("id = {}", number)
        query = f"SELECT {_COLUMNS}, payload FROM headrace.dead_letters WHERE {selection.sql}"  # noqa: S608
        return next(iter(await self._letters(query, selection)), None)

    async def drop(self, selection: Selection) -> int:
        """Remove letters for good, oldest first, up to DROPPED_AT_ONCE; those that are being replayed are left."""
        query = f"""
            WITH gone AS (
                DELETE FROM headrace.dead_letters WHERE id IN (
                    SELECT id FROM headrace.dead_letters WHERE {selection.sql} ORDER BY id
                    LIMIT {DROPPED_AT_ONCE} FOR UPDATE SKIP LOCKED
                )
                RETURNING 1
            )
            SELECT count(*) FROM gone
        """  # noqa: S608
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                dropped: int = await connection.fetchval(query, *selection.parameters)
        self._is_full.clear()
        return dropped

    async def is_full(self, project: str) -> bool:
        """Whether the letters of a project hold as much as they may, as of at most two seconds ago."""
        until, is_full = self._is_full.get(project, (0.0, False))
        if until < monotonic():
            with told_as_unavailable():
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    query = "SELECT bytes FROM headrace.dead_letter_bytes WHERE project = $1"
                    used = await connection.fetchval(query, project) or 0
            is_full = used >= self._project_bytes
            self._is_full[project] = (monotonic() + USAGE_KNOWN_S, is_full)
        return is_full

    async def _letters(self, query: str, selection: Selection) -> list[StoredLetter]:
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                rows: Sequence[Any] = await connection.fetch(query, *selection.parameters)
        return [StoredLetter(**row) for row in rows]
