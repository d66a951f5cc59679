"""An in-process headrace: the contract of protos/headrace/v1 over a real gRPC server, with an in-memory ledger.

For tests of whoever speaks to headrace. It keeps the protocol (epochs, seqs, replay with the first result, gap,
fencing, credit, drain) and fails on request: acks held or dropped, streams ended with any status before or after the
commit, opens refused or never answered, rows rejected by rule, the whole service stopped and started on its port.

    with FakeService() as service:
        client = headrace.connect(service.address)
        service.hold_acks()
        ...
        assert service.ledger.events("flight_delay") == [...]
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, NoReturn, Self

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from headrace.v1 import (
    batch_pb2,
    ingest_service_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    result_pb2,
)
from support.fake_ledger import FencedError, GapError, Ledger


class Status(NamedTuple):
    """An error status to end a stream or refuse a call with."""

    code: grpc.StatusCode
    reason: str = ""
    """Reason of our ErrorInfo; empty: a status of the transport, without details."""
    retry_after_s: float | None = None
    """Seconds of RetryInfo; None: none, so ours is not retryable."""
    metadata: tuple[tuple[str, str], ...] = ()

    def details(self) -> bytes:
        """Return the status with its details as google.rpc.Status."""
        status = status_pb2.Status(code=self.code.value[0], message=self.reason)
        if self.reason:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain="headrace", metadata=dict(self.metadata))
            status.details.append(_packed(info))
        if self.retry_after_s is not None:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(int(self.retry_after_s * 1e3))
            status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        serialized: bytes = status.SerializeToString()
        return serialized


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


class _GrpcStatus(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def abort(context: grpc.ServicerContext, status: Status) -> NoReturn:
    """End the call with `status`."""
    trailers = (("grpc-status-details-bin", status.details()),) if status.reason else ()
    context.abort_with_status(_GrpcStatus(status.code, status.reason or "by the test", trailers))  # type: ignore[arg-type]
    raise AssertionError("abort_with_status raises")


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """What the service tells clients, and how it fails. Change it at any time."""

    credit_bytes: int = 64 * 1024 * 1024
    """How many bytes beyond the acknowledged a client may send."""
    max_batch_bytes: int = 4 * 1024 * 1024
    max_batch_rows: int = 100_000
    suggested_batch_rows: int = 10_000
    suggested_linger_ms: int = 1
    refuse_open: Status | None = None
    """Answer to every Open."""
    ignore_open: bool = False
    """Never answer Open."""
    drop_acks: int = 0
    """So many batches from now on are committed without an ack."""
    repeat_acks: bool = False
    """Send every ack twice."""
    end_on: Callable[[batch_pb2.Batch], Status | None] | None = None
    """Asked before each commit: a status ends the stream there."""
    end_after: Callable[[batch_pb2.Batch], Status | None] | None = None
    """Asked after each commit, before its ack: a status ends the stream there."""


class FakeService(ingest_service_pb2_grpc.IngestServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """A headrace service in this process; start with `with`.

    Attributes:
        address: "localhost:port"; the port stays over stop and start.
        behaviour: What it tells clients and how it fails.
        ledger: Producers and rows; it survives stop and start, as a database does.
        opens: Every Open received.
        reports: Every Report received.
        received: (producer_id, seq) of every batch received, repeats included.
    """

    def __init__(self, **behaviour: int) -> None:
        self.behaviour = Behaviour(**behaviour)  # type: ignore[arg-type]  # numbers only, the rest is set later
        self.ledger = Ledger()
        self.models: dict[str, model_pb2.Model] = {}
        self.opens: list[ingest_service_pb2.Open] = []
        self.reports: list[ingest_service_pb2.Report] = []
        self.received: list[tuple[str, int]] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self._requests: dict[str, tuple[bytes, result_pb2.BatchResult]] = {}
        self._streams: list[_Stream] = []
        self._lock = threading.Lock()
        self._acks_free = threading.Event()
        self._acks_free.set()
        self._port = 0
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release_acks()
        self.stop()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"localhost:{self._port}"

    def start(self) -> None:
        """Serve, on the same port as before."""
        self._server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(self, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port(f"localhost:{self._port}")
        self._server.start()

    def stop(self) -> None:
        """Be gone at once: streams end as they do when a process dies."""
        for stream in self._live_streams():
            stream.end(None)
        if self._server is not None:
            self._server.stop(grace=0).wait(10)
            self._server = None

    def hold_acks(self) -> None:
        """Commit, but keep acks back until release_acks."""
        self._acks_free.clear()

    def release_acks(self) -> None:
        """Let the acks go that were kept back."""
        self._acks_free.set()

    def end_streams(self, status: Status) -> None:
        """End every live stream now."""
        for stream in self._live_streams():
            stream.end(status)

    def drain(self, deadline_ms: int) -> None:
        """Ask the clients of all live streams to go elsewhere."""
        for stream in self._live_streams():
            stream.send(ingest_service_pb2.IngestResponse(drain=ingest_service_pb2.Drain(deadline_ms=deadline_ms)))

    def send_model_updated(self, model: model_pb2.Model) -> None:
        """Tell all live streams of a changed model."""
        for stream in self._live_streams():
            stream.send(ingest_service_pb2.IngestResponse(model_updated=ingest_service_pb2.ModelUpdated(model=model)))

    @property
    def live_streams(self) -> int:
        """Streams that are open now."""
        return len(self._live_streams())

    def _live_streams(self) -> list[_Stream]:
        with self._lock:
            return list(self._streams)

    def Ingest(
        self, request_iterator: Iterator[ingest_service_pb2.IngestRequest], context: grpc.ServicerContext
    ) -> Iterator[ingest_service_pb2.IngestResponse]:
        """Serve one stream: a thread of its own reads, this one writes."""
        stream = _Stream(self, context)
        with self._lock:
            self._streams.append(stream)
        try:
            threading.Thread(target=stream.read, args=(request_iterator,), daemon=True).start()
            yield from stream.responses()
        finally:
            with self._lock:
                self._streams.remove(stream)

    def Publish(
        self, request: ingest_service_pb2.PublishRequest, context: grpc.ServicerContext
    ) -> ingest_service_pb2.PublishResponse:
        """Store one batch, once a request_id."""
        payload = request.batch.SerializeToString(deterministic=True)
        with self._lock:
            known = self._requests.get(request.request_id)
            if known is None:
                known = self._requests[request.request_id] = (payload, self.ledger.store_once(request.batch))
        if known[0] != payload:
            abort(context, Status(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"))
        return ingest_service_pb2.PublishResponse(result=known[1])

    def RegisterModel(
        self, request: model_service_pb2.RegisterModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.RegisterModelResponse:
        """Make a model or add to it."""
        self._note(context)
        with self._lock:
            created = request.model.name not in self.models
            model = self.models.setdefault(request.model.name, request.model)
            _add_columns(context, model, list(request.model.columns))
            if request.version and request.version not in model.versions:
                model.versions.append(request.version)
            model.revision += 1 if created else 0
            model.events_table = f"main.{model.name}"
            return model_service_pb2.RegisterModelResponse(model=model, created=created)

    def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.GetModelResponse:
        """Return one model."""
        self._note(context)
        if self.behaviour.refuse_open is not None:
            abort(context, self.behaviour.refuse_open)
        with self._lock:
            if request.name not in self.models:
                abort(
                    context, Status(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", metadata=(("model", request.name),))
                )
            return model_service_pb2.GetModelResponse(model=self.models[request.name])

    def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.ListModelsResponse:
        """Return a page of two models, so that every test with three meets paging."""
        with self._lock:
            names = sorted(name for name in self.models if name > request.page_token)
            page = names[:2]
            token = page[-1] if len(names) > len(page) else ""
            models = [self.models[name] for name in page]
            return model_service_pb2.ListModelsResponse(models=models, next_page_token=token)

    def UpdateModel(
        self, request: model_service_pb2.UpdateModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.UpdateModelResponse:
        """Add columns."""
        with self._lock:
            model = self.models[request.name]
            if request.revision and request.revision != model.revision:
                abort(context, Status(grpc.StatusCode.ABORTED, "REVISION_CONFLICT"))
            _add_columns(context, model, list(request.add_columns))
            if request.unknown_columns:
                model.unknown_columns = request.unknown_columns
            model.revision += 1
            return model_service_pb2.UpdateModelResponse(model=model)

    def _note(self, context: grpc.ServicerContext) -> None:
        self.metadata.append(dict(context.invocation_metadata()))

    def wait_for_acks(self) -> None:
        """Wait as long as acks are held."""
        self._acks_free.wait(60)


def _add_columns(context: grpc.ServicerContext, model: model_pb2.Model, columns: list[model_pb2.ModelColumn]) -> None:
    known = {column.name: column for column in model.columns}
    for column in columns:
        if column.name not in known:
            model.columns.append(column)
        elif known[column.name].type != column.type:
            abort(context, Status(grpc.StatusCode.FAILED_PRECONDITION, "TYPE_CONFLICT"))


class _Stream:
    """One stream of one session."""

    def __init__(self, service: FakeService, context: grpc.ServicerContext) -> None:
        self._service = service
        self._context = context
        self._out: queue.Queue[ingest_service_pb2.IngestResponse | Status | None] = queue.Queue()
        self._producer_id = ""
        self._epoch = 0
        self._settled_bytes = 0

    def send(self, response: ingest_service_pb2.IngestResponse) -> None:
        self._out.put(response)

    def end(self, status: Status | None) -> None:
        """End with a status; None: with OK."""
        self._out.put(status)

    def responses(self) -> Iterator[ingest_service_pb2.IngestResponse]:
        while True:
            response = self._out.get()
            if response is None:
                return
            if isinstance(response, Status):
                abort(self._context, response)
            if response.HasField("ack"):
                self._service.wait_for_acks()
            yield response

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
                self._service.reports.append(request.report)
                return None
            case _:
                return Status(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNEXPECTED")

    def _open(self, request: ingest_service_pb2.Open) -> Status | None:
        service, behaviour = self._service, self._service.behaviour
        service.opens.append(request)
        service.metadata.append(dict(self._context.invocation_metadata()))
        if self._epoch:
            return Status(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNEXPECTED")
        if behaviour.refuse_open is not None or behaviour.ignore_open:
            return behaviour.refuse_open
        self._producer_id = request.producer_id
        self._epoch, last_seq, regressed = service.ledger.open(request.producer_id, request.results_through)
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
                )
            )
        )
        return None

    def _batch(self, batch: batch_pb2.Batch) -> Status | None:
        service, behaviour = self._service, self._service.behaviour
        if not self._epoch:
            return Status(grpc.StatusCode.INVALID_ARGUMENT, "OPEN_EXPECTED")
        service.received.append((self._producer_id, batch.seq))
        if behaviour.end_on is not None and (status := behaviour.end_on(batch)):
            return status
        try:
            result = service.ledger.commit(self._producer_id, self._epoch, batch)
        except FencedError:
            return Status(grpc.StatusCode.ABORTED, "FENCED")
        except GapError as gap:
            metadata = (("expected_seq", str(gap.expected_seq)),)
            return Status(grpc.StatusCode.OUT_OF_RANGE, "SEQ_GAP", metadata=metadata)
        if behaviour.end_after is not None and (status := behaviour.end_after(batch)):
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
            credit_bytes=self._settled_bytes + self._service.behaviour.credit_bytes,
        )
        for _ in range(2 if self._service.behaviour.repeat_acks else 1):
            self.send(ingest_service_pb2.IngestResponse(ack=ack))
