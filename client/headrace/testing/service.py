"""An in-process headrace: the contract of protos/headrace/v1 over a real gRPC server, with an in-memory ledger."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import grpc

from headrace.testing.behaviour import Behaviour, Status
from headrace.testing.ingest_servicer import IngestServicer
from headrace.testing.ledger import Ledger
from headrace.testing.model_servicer import ModelServicer
from headrace.testing.rejection import Rejection
from headrace.testing.stream import Received
from headrace.v1 import ingest_service_pb2, ingest_service_pb2_grpc, model_pb2, model_service_pb2_grpc


class FakeService:
    """A headrace service in this process; start with `with`.

    Args:
        **behaviour: Numbers of Behaviour, e.g. max_batch_rows=100.

    Attributes:
        address: "127.0.0.1:port"; the port is its own over stop and start, until nobody has the service any more.
        behaviour: What it tells clients and how it fails.
        ledger: Producers and rows; it survives stop and start, as a database does.
        models: Registered models by name.
        opens: Every Open received.
        reports: Every Report received.
        received: (producer_id, seq) of every batch received on a stream, repeats included.
        metadata: Metadata of every stream and call.
    """

    def __init__(self, **behaviour: int) -> None:
        self.behaviour = Behaviour(**behaviour)  # type: ignore[arg-type]  # numbers only, the rest is set later
        received = Received()
        self._registry = ModelServicer(self.behaviour, received)
        self.models = self._registry.models
        self.ledger = Ledger(self.models)
        self._ingest = IngestServicer(self.behaviour, self.ledger, received)
        self.opens, self.reports = received.opens, received.reports
        self.received, self.metadata = received.batches, received.metadata
        # Bound and never listened at: while the service is stopped, nobody else gets its port and takes its clients.
        place = socket.socket()
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{place.getsockname()[1]}"
        weakref.finalize(self, place.close)
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release_acks()
        self.stop()

    def start(self) -> None:
        """Serve, on the same port as before."""
        self._server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 1)])
        ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(self._ingest, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self._registry, self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        """Be gone at once: streams end as they do when a process dies."""
        for stream in self._ingest.live_streams():
            stream.end(None)
        if self._server is not None:
            self._server.stop(grace=0).wait(10)
            self._server = None

    def events(self, model: str) -> list[dict[str, object]]:
        """Return the stored events of a model, oldest first, as values by column."""
        return self.ledger.events(model)

    def labels(self, model: str) -> list[dict[str, object]]:
        """Return the stored label rows of a model, oldest first, as values by column."""
        return self.ledger.labels(model)

    def reject(self, reason: str, when: Callable[[dict[str, object]], bool], *, column: str = "") -> None:
        """Refuse rows from now on.

        Args:
            reason: A name of error_reason.proto without its prefix, e.g. "WRONG_TYPE".
            when: Given a row's values by column: whether it is refused.
            column: The column that is said to be at fault.

        Raises:
            ValueError: There is no such reason.
        """
        rejection = Rejection.of(reason, column, f"{reason}, by the test")
        self.ledger.rules.append(lambda cells: rejection if when(cells) else None)

    @contextmanager
    def unavailable(self, retry_after_s: float = 0.01) -> Iterator[None]:
        """Break all streams, and answer every Open and every call UNAVAILABLE with RetryInfo, inside the block."""
        self.behaviour.refuse = Status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", retry_after_s)
        self.end_streams(self.behaviour.refuse)
        try:
            yield
        finally:
            self.behaviour.refuse = None

    def hold_acks(self) -> None:
        """Commit, but keep acks back until release_acks."""
        self._ingest.acks_free.clear()

    def release_acks(self) -> None:
        """Let the acks go that were kept back."""
        self._ingest.acks_free.set()

    def end_streams(self, status: Status) -> None:
        """End every live stream now."""
        for stream in self._ingest.live_streams():
            stream.end(status)

    def drain(self, deadline_ms: int) -> None:
        """Ask the clients of all live streams to go elsewhere."""
        self._tell_all(ingest_service_pb2.IngestResponse(drain=ingest_service_pb2.Drain(deadline_ms=deadline_ms)))

    def send_model_updated(self, model: model_pb2.Model) -> None:
        """Tell all live streams of a changed model."""
        news = ingest_service_pb2.ModelUpdated(model=model)
        self._tell_all(ingest_service_pb2.IngestResponse(model_updated=news))

    @property
    def live_streams(self) -> int:
        """Streams that are open now."""
        return len(self._ingest.live_streams())

    def _tell_all(self, response: ingest_service_pb2.IngestResponse) -> None:
        for stream in self._ingest.live_streams():
            stream.send(response)
