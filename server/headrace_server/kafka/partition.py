"""One partition: a producer of the ledger, whose seqs are the partition's offsets.

The ledger's last_seq *is* the place in the partition: with last_seq = n everything before offset n is committed, and n
is read next. It is advanced in the transaction that stores the rows, so that neither a crash nor a rebalance can part
the two. A batch takes the seqs from the one after last_seq up to the offset behind its last message, whatever offsets
the topic left out in between.

The producer's id is the UUIDv5 of cluster, group, topic and partition. Each assignment opens a session, whose epoch
fences the consumer that had the partition before, however late its batches come.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID, uuid5

from headrace.v1 import ingest_service_pb2 as pb
from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch, Producer
from headrace_server.intake.admission import Reservation
from headrace_server.intake.limits import weight
from headrace_server.intake.service import IngestService
from headrace_server.kafka.messages import Span

_NAMESPACE = UUID("7f1c6a52-7d0b-5a86-9a6f-3f0d7f3a8c11")


def producer_id(cluster: str, group: str, topic: str, partition: int) -> UUID:
    """Return the id under which the ledger knows a group's reading of a partition."""
    return uuid5(_NAMESPACE, "\0".join((cluster, group, topic, str(partition))))


@dataclass
class _InFlight:
    pending: PendingBatch
    size_bytes: int


@dataclass
class Partition:
    """A partition that this process reads.

    Args:
        service: The way in.
        producer: Its entry in the ledger.
        place: Topic and partition as people write them.

    Attributes:
        next_offset: Offset behind the last message that was handed on: the next batch's seqs begin there.
        lowest_offset: The lowest the topic still has, where that is known to be beyond next_offset.
        taken_offset: Offset behind the last message that waits to be handed on; what is before it is not taken again.
        committed_offset: Everything before it is committed.
        failure: Why the session is over; None while it goes on.
        opened_at: When the session was opened, on the monotonic clock.
    """

    service: IngestService
    producer: Producer
    place: str
    next_offset: int = 0
    lowest_offset: int = 0
    taken_offset: int = 0
    committed_offset: int = 0
    failure: BaseException | None = None
    opened_at: float = 0.0
    _epoch: int = 0
    _in_flight: deque[_InFlight] = field(default_factory=deque)

    async def open(self, client: str) -> None:
        """Begin a session, and learn from the ledger where to read on.

        Raises:
            HeadraceError: As IngestService.open_session.
        """
        opening = await self.service.open_session(self.producer, pb.Open(client=client))
        self._epoch = opening.epoch
        self.next_offset = self.committed_offset = opening.last_seq
        self._in_flight.clear()
        self.failure = None
        self.opened_at = monotonic()

    async def put(self, span: Span, wait_s: float) -> None:
        """Hand a span on; its batch is settled later.

        Args:
            span: The next one.
            wait_s: Longest wait for memory, in seconds.

        Raises:
            TimeoutError: There was no memory for it.
            HeadraceError: The batch cannot be taken in now.
        """
        batch = span.batch
        batch.seq = self.next_offset + 1
        size_bytes = batch.ByteSize()
        async with asyncio.timeout(wait_s):
            reservation = await self.service.budget.reserve(weight(batch, size_bytes))
        try:
            pending = await self.service.take_in(
                self.producer, self._epoch, batch, size_bytes, through_seq=span.next_offset, fault=span.fault
            )
        except BaseException:
            reservation.release()
            raise
        self.next_offset = span.next_offset
        self._in_flight.append(_InFlight(pending, size_bytes))
        pending.settled.add_done_callback(lambda settled: self._settled(settled, reservation))

    @property
    def read_from(self) -> int:
        """Offset of the next message to read; 0 when the ledger knows nothing of the partition."""
        return max(self.next_offset, self.lowest_offset)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of batches that are not settled."""
        return sum(each.size_bytes for each in self._in_flight)

    def abandon(self) -> None:
        """Hand nothing more on: the partition is another's, or this process stops. What is in flight is settled."""
        for each in self._in_flight:
            each.pending.abandoned = True

    def _settled(self, settled: "asyncio.Future[result_pb2.BatchResult]", reservation: Reservation) -> None:
        reservation.release()
        while self._in_flight and (first := self._in_flight[0].pending).settled.done():
            if (error := first.settled.exception()) is not None:
                self.failure = self.failure or error
                break
            self.committed_offset = first.last_seq
            self._in_flight.popleft()
