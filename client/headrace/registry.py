"""The registry of models, called over unary RPCs, each tried again by the table of retry.py until its deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from headrace.channel import Link, leave_to_parent
from headrace.errors import ClosedError
from headrace.retry import Backoff, service_error
from headrace.schema import Column, EventIdType, Identity, ModelInfo, Schema, UnknownColumns
from headrace.settings import Settings
from headrace.v1 import model_pb2, model_service_pb2, model_service_pb2_grpc

Request = TypeVar("Request")
Response = TypeVar("Response")
Stub = model_service_pb2_grpc.ModelServiceStub


class Registry:
    """Calls ModelService; connects with the first call.

    Args:
        link: Where the service is.
        project: Project of the models; empty: the credential's.
        settings: The client's settings.
    """

    def __init__(self, link: Link, project: str, settings: Settings) -> None:
        self._link = link
        self._project = project
        self._settings = settings
        self._reset()

    def _reset(self) -> None:
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def before_fork(self) -> None:
        """Leave the network while the process forks; a call that runs on another thread is made again."""
        self._renew()

    def after_fork_in_child(self) -> None:
        """Connect anew in a forked child."""
        leave_to_parent(self._channel)
        self._reset()

    def register(
        self,
        schema: Schema,
        *,
        name: str,
        version: str = "",
        identity: Identity = Identity.UNIQUE,
        event_id_type: EventIdType = EventIdType.TEXT,
        unknown_columns: UnknownColumns = UnknownColumns.REJECT,
    ) -> ModelInfo:
        """Make a model, or add a version and columns to it; see Client.register."""
        request = model_service_pb2.RegisterModelRequest(
            model=model_pb2.Model(
                project=self._project,
                name=name,
                columns=schema.to_proto(),
                identity=identity.value,
                event_id_type=event_id_type.value,
                unknown_columns=unknown_columns.value,
            ),
            version=version,
        )
        return ModelInfo.from_proto(self._call(lambda stub: stub.RegisterModel, request).model)

    def get(self, name: str) -> ModelInfo:
        """Return one model; see Client.get_model."""
        request = model_service_pb2.GetModelRequest(project=self._project, name=name)
        return ModelInfo.from_proto(self._call(lambda stub: stub.GetModel, request).model)

    def list(self) -> Iterator[ModelInfo]:
        """Yield the models of the project by name, page by page."""
        token = ""
        while True:
            request = model_service_pb2.ListModelsRequest(project=self._project, page_token=token)
            page = self._call(lambda stub: stub.ListModels, request)
            yield from map(ModelInfo.from_proto, page.models)
            token = page.next_page_token
            if not token:
                return

    def update(
        self, name: str, *, add: tuple[Column, ...], unknown_columns: UnknownColumns | None, revision: int
    ) -> ModelInfo:
        """Add columns or change policies; see Client.update_model."""
        request = model_service_pb2.UpdateModelRequest(
            project=self._project,
            name=name,
            add_columns=Schema.of(add).to_proto(),
            unknown_columns=unknown_columns.value if unknown_columns else model_pb2.UNKNOWN_COLUMNS_UNSPECIFIED,
            revision=revision,
        )
        return ModelInfo.from_proto(self._call(lambda stub: stub.UpdateModel, request).model)

    def close(self) -> None:
        """End waits for a next try, and the connection."""
        self._closed.set()
        self._renew()

    def _call(
        self, method: Callable[[Stub], grpc.UnaryUnaryMultiCallable[Request, Response]], request: Request
    ) -> Response:
        """Call until it succeeds, fails for good, or the deadline has passed; then the last error is raised."""
        deadline = time.monotonic() + self._settings.call_timeout_s
        backoff = Backoff(self._settings.backoff_initial_s, self._settings.backoff_max_s)
        while True:
            if self._closed.is_set():
                raise ClosedError("the client is closed")
            try:
                return method(self._stub())(
                    request, timeout=max(0.001, deadline - time.monotonic()), metadata=self._link.metadata
                )
            except grpc.RpcError as rpc_error:
                error = service_error(rpc_error)
                wait_s = backoff.next_s(error.retry_after_s)
                if not error.retryable or time.monotonic() + wait_s >= deadline:
                    raise error from rpc_error
                self._renew()
            self._closed.wait(wait_s)

    def _stub(self) -> Stub:
        with self._lock:
            if self._channel is None:
                self._channel = self._link.connect()
            return Stub(self._channel)

    def _renew(self) -> None:
        """Leave this connection: the next try goes to the next address."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
