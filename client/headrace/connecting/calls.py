"""Unary calls to the service, each tried again by the table of retry.py until its deadline.

One connection for all services a client calls beside its streams; it is made with the first call, and left for the next
address when a call fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import grpc

from headrace.connecting.channel import Link, leave_to_parent
from headrace.connecting.retry import Backoff, service_error
from headrace.errors import ClosedError
from headrace.settings import Settings

Stub = TypeVar("Stub")
Request = TypeVar("Request")
Response = TypeVar("Response")


class Calls:
    """Calls the service's unary methods; connects with the first.

    Args:
        link: Where the service is.
        project: The project that is asked about; empty: the credential's.
        settings: The client's settings.
    """

    def __init__(self, link: Link, project: str, settings: Settings) -> None:
        self.project = project
        self._link = link
        self._route = link.route()
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

    def close(self) -> None:
        """End waits for a next try, and the connection."""
        self._closed.set()
        self._renew()

    def call(
        self,
        stub: Callable[[grpc.Channel], Stub],
        method: Callable[[Stub], grpc.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
    ) -> Response:
        """Call until it succeeds, fails for good, or call_timeout_s has passed; then the last error is raised.

        Args:
            stub: Makes the service's stub.
            method: Picks the method.
            request: What to send; the same each time, so the method has to bear it twice.

        Raises:
            ServiceError: The service refuses, or is away.
            ClosedError: The client is closed.
        """
        deadline = time.monotonic() + self._settings.call_timeout_s
        backoff = Backoff(self._settings.backoff_initial_s, self._settings.backoff_max_s)
        while True:
            if self._closed.is_set():
                raise ClosedError("the client is closed")
            try:
                return method(stub(self._connected()))(
                    request, timeout=max(0.001, deadline - time.monotonic()), metadata=self._link.metadata
                )
            except grpc.RpcError as rpc_error:
                error = service_error(rpc_error)
                wait_s = backoff.next_s(error.retry_after_s)
                if not error.retryable or time.monotonic() + wait_s >= deadline:
                    raise error from rpc_error
                self._renew()
            self._closed.wait(wait_s)

    def _connected(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                self._channel = self._route.connect()
            return self._channel

    def _renew(self) -> None:
        """Leave this connection: the next try goes to the next address."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
