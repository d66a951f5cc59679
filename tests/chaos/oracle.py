"""What a producer knows, on disk: every row before it is handed to the SDK, every row that was acked, how it ended.

A record is one line of JSON, written whole and fsynced before the producer goes on; the last one of a producer that
was killed may be torn, and then what it would have said was never acted upon.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Rows = dict[str, str]
"""Fingerprint of each row by its event id."""


class OracleWriter:
    """The producer's end; all of its threads write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()

    def intends(self, table: str, rows: Iterable[tuple[str, str]]) -> None:
        """These rows, as event id and fingerprint, will be logged next."""
        self._write("intended", table, dict(rows))

    def acked(self, table: str, event_ids: Iterable[object]) -> None:
        """These rows are acked as stored."""
        self._write("acked", table, list(event_ids))

    def kept(self, table: str, event_ids: Iterable[object]) -> None:
        """These rows are in the spool, so they outlive this process."""
        self._write("kept", table, list(event_ids))

    def not_kept(self, why: str) -> None:
        """The spool took no more: right for a full disk, and for nothing else."""
        self._write("not_kept", why)

    def complains(self, text: str) -> None:
        """Something happened that must never happen to a user's code."""
        self._write("complaint", text)

    def closed(self, producer_ids: Iterable[str], batches: int) -> None:
        """The client was closed, and all is acked: so many batches of these producers together."""
        self._write("closed", list(producer_ids), batches)

    def _write(self, *record: object) -> None:
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            os.write(self._file, line)
            os.fdatasync(self._file)


@dataclass
class Oracle:
    """What a producer knew when it ended.

    Attributes:
        intended: Rows by table.
        acked: Event ids by table, as often as they were acked.
        kept: Event ids by table, of rows that were in the spool.
        not_kept: What was said as often as the spool took no more.
        complaints: What must never happen, and did.
        producer_ids: Its identities in the ledger; none of a producer that was killed.
        batches: Batches of all of them that were acked.
    """

    intended: dict[str, Rows] = field(default_factory=dict)
    acked: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    not_kept: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    producer_ids: list[str] = field(default_factory=list)
    batches: int = 0

    @staticmethod
    def read(path: Path) -> Oracle:
        """Read an oracle."""
        oracle = Oracle()
        for kind, *told in _records(path):
            match kind:
                case "intended":
                    oracle.intended.setdefault(told[0], {}).update(told[1])
                case "acked":
                    oracle.acked.setdefault(told[0], []).extend(told[1])
                case "kept":
                    oracle.kept.setdefault(told[0], []).extend(told[1])
                case "not_kept":
                    oracle.not_kept.append(told[0])
                case "complaint":
                    oracle.complaints.append(told[0])
                case "closed":
                    oracle.producer_ids, oracle.batches = told
        return oracle

    @property
    def owed(self) -> dict[str, set[str]]:
        """Rows that must be in the tables: those acked or spooled, and of a client that was closed all."""
        if not self.producer_ids:
            tables = self.acked.keys() | self.kept.keys()
            return {table: {*self.acked.get(table, ()), *self.kept.get(table, ())} for table in tables}
        return {table: set(rows) for table, rows in self.intended.items()}


def _records(path: Path) -> Iterator[list[Any]]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
