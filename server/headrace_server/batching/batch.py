"""One batch between validation and its answer.

Made by intake once the rows are validated; waits in the batcher; the copier commits it and settles its future. Whoever
holds it last settles it: with a BatchResult once committed, or with a HeadraceError that ends its session. Nobody else
may touch `settled`: the memory of a batch is given back when it is settled, and not when its session ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.v1 import batch_pb2, result_pb2
from headrace_server.batching.verdicts import Verdict, Verdicts
from headrace_server.validation.rejections import Rejections


@dataclass(frozen=True, order=True)
class Producer:
    """Whose ledger row a batch advances."""

    project: str
    id: UUID


@dataclass(frozen=True, order=True)
class Request:
    """The unary call a batch came by: written down once, so that the same call again is answered from the books."""

    project: str
    id: UUID


@dataclass(frozen=True, order=True)
class Letter:
    """The dead letter a batch is replayed from: it is marked in the transaction that stores its row.

    Attributes:
        id: Its number as a UUID, since that is what every origin has.
    """

    project: str
    id: UUID

    @staticmethod
    def numbered(project: str, number: int) -> "Letter":
        """The letter of this number."""
        return Letter(project, UUID(int=number))

    @property
    def number(self) -> int:
        """Its number."""
        return self.id.int


Origin = Producer | Request | Letter
"""Where a batch comes from."""


@dataclass(frozen=True)
class DeadLetter:
    """A rejected row as it is kept.

    Attributes:
        row: Index in its batch; -1 when the batch could not be decoded and the letter is all of it.
        payload: A one-row Batch, serialized; only its head where the whole is larger than the limit.
        payload_bytes: Size of the whole.
        payload_sha256: Hash of the whole.
    """

    row: int
    reason: str
    column: str
    message: str
    sqlstate: str
    payload: bytes
    payload_bytes: int
    payload_sha256: bytes


@dataclass(eq=False)
class PendingBatch:
    """A validated batch that waits for its commit.

    Attributes:
        origin: Producer (stream), Request (unary) or Letter (replay).
        epoch: Epoch of the session; 0 for a request or a letter.
        seq: Seq of the batch; 0 for a request or a letter.
        through_seq: Last seq it stands for, where it stands for several; else 0.
        payload_hash: SHA-256 of the request's bytes; empty for a stream.
        target: Which landing takes the rows (copying/landing.py); None when the batch was refused whole.
        table: The good rows.
        places: Index in the batch of each good row.
        row_count: Rows the batch held.
        size_bytes: What it weighs in memory, for the group's bound.
        received_at: When its message had arrived.
        skipped: Indexes of rows that are not in the model's sample.
        json_columns: Columns of `table` whose texts are JSON documents.
        attempted: A transaction has tried to commit it: found committed, it is no replay to its client.
        given_back: How often it was found to be ahead of its turn.
        abandoned: Its session or call has ended: nobody waits for its result.
    """

    origin: Origin
    epoch: int
    seq: int
    kind: batch_pb2.RecordKind.ValueType
    model: str
    model_version: str
    target: object | None
    table: pa.Table
    places: npt.NDArray[np.int64]
    row_count: int
    rejections: Rejections
    letters: list[DeadLetter]
    size_bytes: int
    received_at: datetime
    payload_hash: bytes = b""
    through_seq: int = 0
    json_columns: frozenset[str] = frozenset()
    skipped: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    attempted: bool = False
    given_back: int = 0
    abandoned: bool = False
    settled: "asyncio.Future[result_pb2.BatchResult]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def last_seq(self) -> int:
        """The ledger's last_seq once it is committed."""
        return max(self.seq, self.through_seq)

    def verdicts(self) -> Verdicts:
        """Verdicts as validation leaves them: refused rows REJECTED, all others STORED until the landing says more."""
        verdicts: Verdicts = np.full(self.row_count, Verdict.STORED, dtype=np.uint8)
        verdicts[self.rejections.mask()] = Verdict.REJECTED
        verdicts[self.skipped] = Verdict.SKIPPED
        return verdicts

    def abandon(self, then: Callable[[], None]) -> None:
        """Nobody waits for the result any more; `then` is called once the batch is settled all the same."""
        self.abandoned = True
        self.settled.add_done_callback(lambda _: then())

    def settle(self, result: result_pb2.BatchResult) -> None:
        """Answer the waiter; safe to say twice."""
        if not self.settled.done():
            self.settled.set_result(result)

    def fail(self, error: Exception) -> None:
        """End the waiter's session; safe to say twice."""
        if not self.settled.done():
            self.settled.set_exception(error)
            self.settled.exception()  # an abandoned batch has nobody to look at it, which is no defect
