"""A call that is answered by a stream: opened with retries, read message by message, left at any time.

Until its first message nothing is lost by trying again, so what is retryable is tried again until call_timeout_s; after
that an error is the reader's, who knows what he has. No wait is endless: the message after the last one has
call_timeout_s to come, whatever the whole takes. Each call has a connection of its own, which ends with it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast

import grpc

from headrace.connecting.channel import Link
from headrace.connecting.retry import Backoff, service_error
from headrace.deadline import Deadline
from headrace.errors import ClosedError, HeadraceError, ServiceError
from headrace.settings import Settings

Response = TypeVar("Response")
Open = Callable[[grpc.Channel, tuple[tuple[str, str], ...]], Iterator[Response]]
"""Makes the call on a channel, with metadata."""


class ResultStreams:
    """Opens streams of results and knows those that are open.

    Args:
        link: Where the service is.
        settings: The client's settings.
    """

    def __init__(self, link: Link, settings: Settings) -> None:
        self._link = link
        self._settings = settings
        self._reset()

    def _reset(self) -> None:
        self._open: weakref.WeakSet[ResultStream[Any]] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self, call: Open[Response], deadline: Deadline) -> ResultStream[Response]:
        """Return the stream of a call; nothing is sent before its first message is asked for.

        Args:
            call: Makes the call.
            deadline: Until when the whole may take.

        Raises:
            ClosedError: The client is closed.
        """
        stream = ResultStream(call, self._link, self._settings, deadline)
        with self._lock:
            if self._is_closed:
                raise ClosedError("the client is closed")
            self._open.add(stream)
        return stream

    def close(self) -> None:
        """End all streams; none opens any more."""
        with self._lock:
            self._is_closed = True
        self.end_all()

    def end_all(self) -> None:
        """End the streams that are open: the client closes, or the process forks."""
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            stream.close()

    def after_fork_in_child(self) -> None:
        """Begin without any."""
        self._reset()


class ResultStream(Generic[Response]):
    """The messages of one call, in order. One thread reads it; any may close it."""

    def __init__(self, call: Open[Response], link: Link, settings: Settings, deadline: Deadline) -> None:
        self._call_on = call
        self._link = link
        self._settings = settings
        self._deadline = deadline
        self._channel: grpc.Channel | None = None
        self._call: grpc.Call | None = None
        self._messages: Iterator[Response] | None = None
        self._closed = threading.Event()

    def __iter__(self) -> ResultStream[Response]:
        return self

    def __next__(self) -> Response:
        """Return the next message.

        Raises:
            StopIteration: There is no more.
            ServiceError: The service refuses, is away, or did not send the message in time.
            ClosedError: The stream was closed.
        """
        try:
            return self._first() if self._messages is None else self._following()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the call; what comes after is ClosedError. Safe twice, and from any thread."""
        self._closed.set()
        self._leave()

    def _first(self) -> Response:
        give_up = time.monotonic() + self._settings.call_timeout_s
        backoff = Backoff(self._settings.backoff_initial_s, self._settings.backoff_max_s)
        route = self._link.route()
        while True:
            self._channel = route.connect()
            self._messages = self._call_on(self._channel, self._link.metadata)
            self._call = cast(grpc.Call, self._messages)  # grpc's streams are both; no type says so
            try:
                return self._following()
            except ServiceError as error:
                wait_s = backoff.next_s(error.retry_after_s)
                if not error.retryable or time.monotonic() + wait_s >= give_up or self._deadline.left_s <= wait_s:
                    raise
            self._leave()
            self._closed.wait(wait_s)

    def _following(self) -> Response:
        wait_s = min(self._settings.call_timeout_s, self._deadline.left_s)
        if self._closed.is_set() or self._messages is None or self._call is None:
            raise ClosedError("the result was closed: by close(), by the client's, or by a fork of the process")
        late = threading.Event()

        def give_up(call: grpc.Call) -> None:
            late.set()
            call.cancel()

        watch = threading.Timer(wait_s, give_up, (self._call,))
        watch.daemon = True
        watch.start()
        try:
            return next(self._messages)
        except grpc.RpcError as error:
            raise self._told(error, late.is_set(), wait_s) from error
        finally:
            watch.cancel()

    def _told(self, error: grpc.RpcError, is_late: bool, wait_s: float) -> HeadraceError:
        if self._closed.is_set():
            return ClosedError("the result was closed: by close(), by the client's, or by a fork of the process")
        if is_late:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            text = f"nothing came for {wait_s:g} seconds"
            return ServiceError(text, code=code, reason=code.name, retryable=True)
        return service_error(error)

    def _leave(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()  # cancels the call
