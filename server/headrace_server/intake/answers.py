"""What a stream is told: acks in the order of seq, changes of its models, and the drain.

Filled from three sides without waiting (batches are settled by copiers, models change in the registry, the server
drains), emptied by the session's one writer. `wake` is set whenever there may be something to say.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.batching.batch import PendingBatch
from headrace_server.batching.verdicts import is_plain
from headrace_server.errors import HeadraceError
from headrace_server.intake.admission import Reservation
from headrace_server.models.schema import ModelSchema
from headrace_server.models.wire import to_proto

MAX_ACK_BYTES = 256 * 1024
CREDIT_BATCHES = 8  # of the largest size: how far a client may be ahead of what was received


@dataclass(frozen=True)
class InFlight:
    """A batch that was taken in and is not acked, with the memory it holds."""

    batch: PendingBatch
    reservation: Reservation


class Answers:
    """The answers of one session."""

    def __init__(self, max_batch_bytes: int) -> None:
        self.wake = asyncio.Event()
        self._project: str | None = None
        self._rates: dict[str, float] = {}
        self._window_bytes = CREDIT_BATCHES * max_batch_bytes
        self._in_flight: deque[InFlight] = deque()
        self._models: set[tuple[str, str]] = set()
        self._updates: dict[tuple[str, str], ModelSchema] = {}
        self._drain_ms: int | None = None
        self._ending: HeadraceError | None = None
        self.received_bytes = 0

    @property
    def in_flight(self) -> int:
        """Batches that are not acked."""
        return len(self._in_flight)

    @property
    def credit_bytes(self) -> int:
        """Bytes the client may send, counted from Open; never falls."""
        return self.received_bytes + self._window_bytes

    def expect(self, batch: PendingBatch, reservation: Reservation) -> None:
        """Owe an ack for a batch; its memory is held until then."""
        self._in_flight.append(InFlight(batch, reservation))
        batch.settled.add_done_callback(lambda _: self.wake.set())

    def watch(self, model: ModelSchema) -> None:
        """Tell of changes of this model from now on."""
        self._models.add((model.project, model.sql_name))

    def told_sampling(self, project: str, rates: Mapping[str, float]) -> None:
        """The client has been told the rates of the project's sampled models; tell it of changes."""
        self._project = project
        self._rates = dict(rates)

    def on_model_changed(self, model: ModelSchema) -> None:
        """A model has a new schema; of several changes the last is told."""
        key = (model.project, model.sql_name)
        is_resampled = model.project == self._project and model.sampling_rate != self._rates.get(model.name, 1.0)
        if is_resampled:
            self._rates[model.name] = model.sampling_rate
        if key in self._models or is_resampled:
            self._updates[key] = model
            self.wake.set()

    def drain(self, deadline_ms: int) -> None:
        """Tell the client to go elsewhere within the deadline."""
        self._drain_ms = deadline_ms
        self.wake.set()

    def messages(self) -> Iterator[pb.IngestResponse]:
        """Everything that can be said now.

        Raises:
            HeadraceError: The oldest batch could not be committed, or the stream is to end: it ends here.
        """
        if self._drain_ms is not None:
            yield pb.IngestResponse(drain=pb.Drain(deadline_ms=self._drain_ms))
            self._drain_ms = None
        while self._updates:
            _, model = self._updates.popitem()
            yield pb.IngestResponse(model_updated=pb.ModelUpdated(model=to_proto(model)))
        while self._in_flight and self._in_flight[0].batch.settled.done():
            yield pb.IngestResponse(ack=self._next_ack())
        if self._ending is not None:
            raise self._ending

    def _next_ack(self) -> pb.Ack:
        """One ack for all batches settled in a row, as far as its size goes; what failed after them is told next."""
        ack = pb.Ack()
        size = 0
        while self._in_flight and self._in_flight[0].batch.settled.done():
            oldest = self._in_flight[0]
            if ack.through_seq and oldest.batch.settled.exception() is not None:
                break
            result = oldest.batch.settled.result()
            result.seq = oldest.batch.seq
            told = result.replayed or not is_plain(result)
            size += result.ByteSize() if told else 0
            if ack.results and size > MAX_ACK_BYTES:
                break
            ack.through_seq = oldest.batch.seq
            if told:
                ack.results.append(result)
            self._in_flight.popleft()
            oldest.reservation.release()
        ack.credit_bytes = self.credit_bytes
        return ack

    def end(self, error: HeadraceError) -> None:
        """End the stream with this error, once what is settled has been acked."""
        self._ending = error
        self.wake.set()

    def abandon(self) -> None:
        """The stream has ended: nobody waits for these any more. What is under way is committed all the same.

        Its memory is given back when it is settled, or clients that come and go could have any amount of it.
        """
        for each in self._in_flight:
            each.batch.abandon(each.reservation.release)
        self._in_flight.clear()
