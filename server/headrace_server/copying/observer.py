"""What the copiers report: metrics, and whether the database answers. Injected, so that copying knows no metrics."""

from typing import Protocol

from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch


class CommitObserver(Protocol):
    """Told of commits as they happen; must not block."""

    def committed(self, rows: int, seconds: float) -> None:
        """A group of rows was committed, in seconds from the ledger's lock to the commit."""

    def settled(self, batch: PendingBatch, result: result_pb2.BatchResult, letters: int) -> None:
        """A batch was answered for the first time; letters of its rows were dead-lettered."""

    def database_fails(self, error: BaseException) -> None:
        """A commit failed for a reason that is the database's own: away, full, read-only."""

    def model_stopped(self, tables: str, error: BaseException) -> None:
        """Rows for these tables cannot be stored, for a reason this service does not understand."""
