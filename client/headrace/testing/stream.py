"""One stream of one session with the fake service."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc

from headrace.testing.behaviour import Behaviour, Status, abort
from headrace.testing.ledger import FencedError, GapError, Ledger
from headrace.v1 import batch_pb2, ingest_service_pb2, result_pb2


@dataclass(slots=True)
class Received:
    """Everything that clients have sent."""

    opens: list[ingest_service_pb2.Open] = field(default_factory=list)
    reports: list[ingest_service_pb2.Report] = field(default_factory=list)
    batches: list[tuple[str, int]] = field(default_factory=list)
    """(producer_id, seq) of every batch, repeats included."""
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    """Metadata of every stream and call."""

    def note(self, context: grpc.ServicerContext) -> None:
        """Keep the metadata of a call."""
        self.metadata.append(dict(context.invocation_metadata()))


class Stream:
    """A stream: a thread reads it, the call's own writes.

    Args:
        context: The call.
        behaviour: How it fails.
        ledger: Where rows go.
        received: Where what came is noted.
        acks_free: Acks are kept back while it is not set.
    """

    def __init__(
        self,
        context: grpc.ServicerContext,
        behaviour: Behaviour,
        ledger: Ledger,
        received: Received,
        acks_free: threading.Event,
    ) -> None:
        self._context = context
        self._behaviour = behaviour
        self._ledger = ledger
        self._received = received
        self._acks_free = acks_free
        self._ended = threading.Event()
        self._out: queue.Queue[ingest_service_pb2.IngestResponse | Status | None] = queue.Queue()
        self._producer_id = ""
        self._epoch = 0
        self._settled_bytes = 0

    def send(self, response: ingest_service_pb2.IngestResponse) -> None:
        """Tell the client."""
        self._out.put(response)

    def end(self, status: Status | None) -> None:
        """End with a status; None: with OK."""
        self._out.put(status)

    def responses(self) -> Iterator[ingest_service_pb2.IngestResponse]:
        """Yield what the client is told, to the end of the stream."""
        try:
            while True:
                try:
                    response = self._out.get(timeout=self._heartbeat_s)
                except queue.Empty:
                    response = self._heartbeat()
                if self._behaviour.is_silent and isinstance(response, ingest_service_pb2.IngestResponse):
                    continue
                if response is None:
                    return
                if isinstance(response, Status):
                    abort(self._context, response)
                if response.HasField("ack"):
                    self._ended.wait(self._behaviour.ack_delay_s)
                    self._acks_free.wait(60)
                yield response
        finally:
            self._ended.set()

    @property
    def _heartbeat_s(self) -> float | None:
        return self._behaviour.heartbeat_ms / 1e3 or None

    def _heartbeat(self) -> ingest_service_pb2.IngestResponse:
        credit_bytes = self._settled_bytes + self._behaviour.credit_bytes
        return ingest_service_pb2.IngestResponse(credit=ingest_service_pb2.Credit(credit_bytes=credit_bytes))

    def read(self, requests: Iterator[ingest_service_pb2.IngestRequest]) -> None:
        """Handle requests until the client half-closes, the stream breaks, or a fault ends it."""
        status: Status | None = None
        try:
            for request in requests:
                status = self._handle(request)
                if status is not None:
                    break
        except grpc.RpcError:
            return  # cancelled by the client, or the server is stopping
        except Exception as error:  # gRPC raises a bare Exception for a broken stream
            if type(error) is not Exception:
                raise
        finally:
            self.end(status)

    def _handle(self, request: ingest_service_pb2.IngestRequest) -> Status | None:
        match request.WhichOneof("message"):
            case "open":
                return self._open(request.open)
            case "batch":
                return self._batch(request.batch)
            case "report":
                self._received.reports.append(request.report)
                return None
            case _:
                return Status(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNEXPECTED")

    def _open(self, request: ingest_service_pb2.Open) -> Status | None:
        behaviour = self._behaviour
        self._received.opens.append(request)
        self._received.note(self._context)
        if self._epoch:
            return Status(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNEXPECTED")
        if behaviour.refuse is not None or behaviour.ignore_open:
            return behaviour.refuse
        self._producer_id = request.producer_id
        self._epoch, last_seq, regressed = self._ledger.open(request.producer_id, request.results_through)
        self.send(
            ingest_service_pb2.IngestResponse(
                opened=ingest_service_pb2.Opened(
                    last_committed_seq=last_seq,
                    credit_bytes=behaviour.credit_bytes,
                    max_batch_bytes=behaviour.max_batch_bytes,
                    max_batch_rows=behaviour.max_batch_rows,
                    suggested_batch_rows=behaviour.suggested_batch_rows,
                    suggested_linger_ms=behaviour.suggested_linger_ms,
                    epoch=self._epoch,
                    instance="fake",
                    project="main",
                    ledger_regressed=regressed,
                    heartbeat_ms=behaviour.heartbeat_ms,
                )
            )
        )
        return None

    def _batch(self, batch: batch_pb2.Batch) -> Status | None:
        behaviour = self._behaviour
        if not self._epoch:
            return Status(grpc.StatusCode.INVALID_ARGUMENT, "OPEN_EXPECTED")
        self._received.batches.append((self._producer_id, batch.seq))
        if behaviour.end_on is not None and (status := behaviour.end_on(batch)):
            return status
        try:
            result = self._ledger.commit(self._producer_id, self._epoch, batch)
        except FencedError:
            return Status(grpc.StatusCode.ABORTED, "FENCED")
        except GapError as gap:
            metadata = (("expected_seq", str(gap.expected_seq)),)
            return Status(grpc.StatusCode.OUT_OF_RANGE, "SEQ_GAP", metadata=metadata)
        if status := behaviour.after_commit(batch):
            return status
        self._settled_bytes += batch.ByteSize()
        if behaviour.drop_acks > 0:
            behaviour.drop_acks -= 1
        else:
            self._ack(batch.seq, result)
        return None

    def _ack(self, seq: int, result: result_pb2.BatchResult) -> None:
        whole = result.stored == result.rows and not (
            result.rejected or result.replayed or result.parked or result.joined
        )
        ack = ingest_service_pb2.Ack(
            through_seq=seq,
            results=[] if whole else [result],
            credit_bytes=self._settled_bytes + self._behaviour.credit_bytes,
        )
        for _ in range(2 if self._behaviour.repeat_acks else 1):
            self.send(ingest_service_pb2.IngestResponse(ack=ack))
