"""The fake service's IngestService: streams and the unary call, over one ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from headrace.testing.behaviour import Behaviour, Status, abort
from headrace.testing.ledger import Ledger
from headrace.testing.stream import Received, Stream
from headrace.v1 import ingest_service_pb2, ingest_service_pb2_grpc, result_pb2


class IngestServicer(ingest_service_pb2_grpc.IngestServiceServicer):
    """Takes batches.

    Attributes:
        acks_free: Acks of streams are kept back while it is not set.
    """

    def __init__(self, behaviour: Behaviour, ledger: Ledger, received: Received) -> None:
        self.acks_free = threading.Event()
        self.acks_free.set()
        self._behaviour = behaviour
        self._ledger = ledger
        self._received = received
        self._requests: dict[str, tuple[bytes, result_pb2.BatchResult]] = {}
        self._streams: list[Stream] = []
        self._lock = threading.Lock()

    def live_streams(self) -> list[Stream]:
        """Return the streams that are open now."""
        with self._lock:
            return list(self._streams)

    def Ingest(
        self, request_iterator: Iterator[ingest_service_pb2.IngestRequest], context: grpc.ServicerContext
    ) -> Iterator[ingest_service_pb2.IngestResponse]:
        """Serve one stream: a thread of its own reads, this one writes."""
        stream = Stream(context, self._behaviour, self._ledger, self._received, self.acks_free)
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
        self._received.note(context)
        if self._behaviour.refuse is not None:
            abort(context, self._behaviour.refuse)
        if request.validate_only:
            foreseen = self._ledger.foresee(request.batch)
            return ingest_service_pb2.PublishResponse(result=foreseen, validate_only=True)
        payload = request.batch.SerializeToString(deterministic=True)
        with self._lock:
            known = self._requests.get(request.request_id)
            first = known is None
            if known is None:
                known = self._requests[request.request_id] = (payload, self._ledger.store_once(request.batch))
        if known[0] != payload:
            abort(context, Status(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"))
        response = ingest_service_pb2.PublishResponse(result=known[1])
        response.result.replayed = not first
        return response
