"""One stream of one producer: open, read batches, answer, end.

Two conversations share the stream, and only the answering one writes to it:
- *Reading*: reserve memory, read, take the batch in, owe its ack. Nothing here waits for a commit.
- *Answering* (intake/answers.py): woken when a batch is settled, a model changed or a drain began; says what there is.
  Batches are acked in the order of their seq; the first that failed ends the stream with its error.

The client half-closes to end: when everything in flight is acked the stream ends with OK. If it just goes away, its
batches in flight are committed all the same, and it will ask for their results when it opens again.
"""

import asyncio
from typing import Any
from uuid import UUID

import grpc
import structlog
from google.protobuf.message import DecodeError

from headrace.v1 import batch_pb2
from headrace.v1 import ingest_service_pb2 as pb
from headrace_server import failpoints
from headrace_server.access.caller import current_caller
from headrace_server.batching.batch import Producer
from headrace_server.copying.opening import Opening
from headrace_server.errors import (
    AcksNotReadError,
    HeadraceError,
    MessageUnexpectedError,
    MessageUnreadableError,
    OpenExpectedError,
    ProducerIdInvalidError,
    SeqGapError,
    StreamIdleError,
)
from headrace_server.intake.admission import ReadAllowance, Reservation
from headrace_server.intake.answers import Answers
from headrace_server.intake.limits import LIGHTEST, weight
from headrace_server.intake.service import IngestService

log = structlog.get_logger(__name__)

CANCELLED_WITHIN_S = 5.0
QUOTA_LOOK_S = 0.5  # how soon it is seen that the quota was raised, or that the service stops

Context = grpc.aio.ServicerContext[Any, Any]


class IngestSession:
    """A session, from its Open to its end."""

    def __init__(self, service: IngestService, context: Context) -> None:
        self._service = service
        self._context = context
        self._allowance = ReadAllowance(service.reading)
        self._answers = Answers(service.limits.max_batch_bytes)
        self._next_seq: int | None = None  # known once the first batch says where the client resumes
        self._reported = pb.Report()
        self._listening_since: float | None = None  # None while memory is waited for: then the client is not silent
        self._half_closed = False
        self._said_at = 0.0

    async def run(self) -> None:
        """Serve the stream to its end.

        Raises:
            HeadraceError: What the stream ends with.
        """
        producer, wanted = await self._introduction()
        use = await self._service.quotas.use_of(producer.project)
        with use.stream():
            opening = await self._open(producer, wanted)
            unsubscribe = self._service.registry.subscribe(self._answers.on_model_changed)
            try:
                async with asyncio.TaskGroup() as conversations:
                    conversations.create_task(self._answer())
                    conversations.create_task(self._read(producer, opening))
            except* Exception as errors:  # noqa: BLE001 - raised on: either conversation may end the stream
                raise _first(errors) from None
            finally:
                unsubscribe()
                self._answers.abandon()

    def drain(self, deadline_ms: int) -> None:
        """Tell the client to go elsewhere within the deadline."""
        self._answers.drain(deadline_ms)

    def end(self, error: HeadraceError) -> None:
        """End the stream with this error, once what is settled has been acked."""
        self._answers.end(error)

    async def _introduction(self) -> tuple[Producer, pb.Open]:
        """Read who it is."""
        limits = self._service.limits
        try:
            async with asyncio.timeout(limits.open_timeout_s):
                message = await self._context.read()
        except TimeoutError:
            raise OpenExpectedError(f"no open came within {limits.open_timeout_s:g} seconds") from None
        if message is grpc.aio.EOF:
            raise OpenExpectedError("the stream ended before its open")
        request = _parse(message)
        if request.WhichOneof("message") != "open":
            raise OpenExpectedError(f"the first message must be open, not {request.WhichOneof('message')}")
        wanted = request.open
        project = current_caller().project_for(wanted.project)
        try:
            return Producer(project, UUID(wanted.producer_id)), wanted
        except ValueError:
            text = f"producer_id must be a UUID, not {wanted.producer_id[:60]!r}"
            raise ProducerIdInvalidError(text, fields={"open.producer_id": "must be a UUID"}) from None

    async def _open(self, producer: Producer, wanted: pb.Open) -> Opening:
        """Begin the producer's epoch, and say so."""
        limits = self._service.limits
        opening = await self._service.open_session(producer, wanted)
        opened = pb.Opened(
            last_committed_seq=opening.committed_seq,
            credit_bytes=self._answers.credit_bytes,
            max_batch_bytes=limits.max_batch_bytes,
            max_batch_rows=limits.max_batch_rows,
            suggested_batch_rows=limits.suggested_batch_rows,
            suggested_linger_ms=limits.suggested_linger_ms,
            epoch=opening.epoch,
            instance=self._service.instance,
            project=producer.project,
            ledger_regressed=opening.regressed,
            heartbeat_ms=round(limits.heartbeat_s * 1e3),
        )
        rates = await self._service.registry.sampling_rates(producer.project)
        opened.sampling.extend(pb.ModelSampling(model=name, rate=rate) for name, rate in rates.items())
        self._answers.told_sampling(producer.project, rates)
        await self._write(pb.IngestResponse(opened=opened))
        return opening

    async def _read(self, producer: Producer, opening: Opening) -> None:
        """Read until the client half-closes.

        The next read is posted only once the project may send more and memory is reserved.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._listening_since = None
            await self._wait_for_quota(producer)
            waits_since = loop.time()
            posted = await self._allowance.before_read()
            self._listening_since = loop.time()
            self._service.metrics.backpressure_seconds.inc(self._listening_since - waits_since)
            try:
                message = await self._context.read()
                if message is grpc.aio.EOF:
                    break
                posted.arrived(len(message))
                self._allowance.learn(len(message))
                # Taken apart only when there is room for what it becomes; until then it is the bytes that came.
                reservation = await self._service.budget.reserve(len(message) * LIGHTEST)
            finally:
                posted.arrived(0)
            try:
                request, size_bytes = _parse(message), len(message)
                del message  # as large again as what it has become
                await self._on_message(request, size_bytes, reservation, producer, opening)
            except BaseException:
                reservation.release()
                raise
        self._half_closed = True
        self._answers.wake.set()

    async def _wait_for_quota(self, producer: Producer) -> None:
        """Wait until what the project has sent is within its rates; not while the service stops."""
        use = await self._service.quotas.use_of(producer.project)
        while (wait_s := use.wait_s) > 0 and not self._service.draining:
            wait_s = min(wait_s, QUOTA_LOOK_S)
            self._service.metrics.quota_seconds.inc(wait_s)
            await asyncio.sleep(wait_s)

    async def _on_message(
        self, request: pb.IngestRequest, size_bytes: int, reservation: Reservation, producer: Producer, opening: Opening
    ) -> None:
        kind = request.WhichOneof("message")
        if kind == "batch":
            await self._on_batch(request.batch, size_bytes, reservation, producer, opening)
        elif kind == "report":
            reservation.release()
            await self._service.on_report(producer, request.report, self._reported)
            self._reported = request.report
        else:
            raise MessageUnexpectedError(f"after open the stream takes batches and reports, not {kind}")

    async def _on_batch(
        self, batch: batch_pb2.Batch, size_bytes: int, reservation: Reservation, producer: Producer, opening: Opening
    ) -> None:
        """Take a batch in and owe its ack. Sent again from before the open, it is answered from the ledger's books."""
        self._check_seq(batch.seq, opening)
        reservation.resize(weight(batch, size_bytes))
        self._answers.received_bytes += size_bytes
        pending = await self._service.take_in(producer, opening.epoch, batch, size_bytes)
        self._answers.expect(pending, reservation)
        model = self._service.registry.peek(producer.project, batch.model)
        if model is not None:
            self._answers.watch(model)

    def _check_seq(self, seq: int, opening: Opening) -> None:
        """A resumed client begins anywhere up to the next batch the ledger waits for, and then leaves nothing out."""
        latest = opening.last_seq + 1
        expected = self._next_seq if self._next_seq is not None else min(seq, latest)
        if seq != expected or seq < 1:
            told = str(expected if self._next_seq is not None else latest)
            text = f"batch {seq} came where {told} was expected: batches between them are missing, or sent twice"
            raise SeqGapError(text, metadata={"expected_seq": told})
        self._next_seq = seq + 1

    async def _answer(self) -> None:
        """Write what there is to say, until everything is said and the client has half-closed."""
        while not (self._half_closed and not self._answers.in_flight):
            self._answers.wake.clear()
            for message in self._answers.messages():
                await self._write(message)
                failpoints.reached("after_ack")
            if not self._answers.wake.is_set() and not (self._half_closed and not self._answers.in_flight):
                await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        """Wait until there may be something to say; now and then say at least that this replica is alive."""
        limits, now = self._service.limits, asyncio.get_running_loop().time()
        silence_ends_at = self._said_at + limits.heartbeat_s
        try:
            async with asyncio.timeout_at(min(silence_ends_at, now + limits.idle_timeout_s)):
                await self._answers.wake.wait()
        except TimeoutError:
            self._end_if_idle()
            if asyncio.get_running_loop().time() >= silence_ends_at:
                await self._write(pb.IngestResponse(credit=pb.Credit(credit_bytes=self._answers.credit_bytes)))

    def _end_if_idle(self) -> None:
        limit, since = self._service.limits.idle_timeout_s, self._listening_since
        is_silent = since is not None and asyncio.get_running_loop().time() - since >= limit
        if is_silent and not self._answers.in_flight and not self._half_closed:
            raise StreamIdleError(f"nothing was sent for {limit:g} seconds; open again when needed")

    async def _write(self, message: pb.IngestResponse) -> None:
        limit = self._service.limits.acks_timeout_s
        self._said_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(limit):
                await self._context.write(message)
        except TimeoutError:
            raise AcksNotReadError(f"the client did not read for {limit:g} seconds") from None
        except grpc.aio.BaseError:
            await asyncio.sleep(CANCELLED_WITHIN_S)  # the client has gone, and gRPC is about to cancel this stream
            raise


def _parse(message: bytes) -> pb.IngestRequest:
    try:
        return pb.IngestRequest.FromString(message)
    except DecodeError as error:
        raise MessageUnreadableError(f"{len(message)} bytes that are no IngestRequest: {error}") from error


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """The one error to end the stream with; the first that was raised."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)  # noqa: S101 - except* caught only those
    return error
