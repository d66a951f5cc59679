"""One gRPC stream of a session: it is opened, used and over; the session makes the next.

It is the request iterator of the call, so `__next__` runs on gRPC's writer thread, while the session's thread reads the
answers and calls `opened`, `granted`, `acked` and `drain`. Both meet under the window's condition:

1. First goes Open. Nothing else is sent before Opened; the writer itself ends the call when it does not come in time.
2. Batches follow in order of seq, beginning with the oldest without an ack (the service answers those that it had
   committed before with their first result), as far as credit reaches; with nothing in flight one may always go.
3. The writer ends the call when acks stay away, and half-closes when the server drains or the client closes, as soon as
   nothing is in flight.

Every wait of the writer has a deadline, and `end` wakes it, so the thread never outlives the stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from headrace.errors import ServiceError
from headrace.sending.window import SealedBatch, Window

_IDLE_WAIT_S = 60.0


class Stream:
    """The writing half of one gRPC stream.

    Args:
        window: The batches to send.
        open_request: First message, serialized.
        open_timeout_s: How long Opened may take, in seconds.
        ack_timeout_s: How long batches may be in flight without an ack, in seconds.
        due_report: Returns a serialized report when one is due, and the seconds until the next; True asks for the last.
        resending: Told of each batch that goes out again.
    """

    def __init__(
        self,
        window: Window,
        open_request: bytes,
        *,
        open_timeout_s: float,
        ack_timeout_s: float,
        due_report: Callable[[bool], tuple[bytes | None, float]],
        resending: Callable[[SealedBatch], None],
    ) -> None:
        self._window = window
        self._open_request: bytes | None = open_request
        self._ack_timeout_s = ack_timeout_s
        self._due_report = due_report
        self._resending = resending
        self._cursor = window.oldest_seq
        self._sent_bytes = 0
        self._credit_bytes = 0
        self._progress_at = time.monotonic()
        self._open_deadline = self._progress_at + open_timeout_s
        self._drain_deadline: float | None = None
        self._ended = False
        self._call: grpc.Call | None = None
        self.is_open = False
        self.made_progress = False
        self.gave_up: ServiceError | None = None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        with self._window.changed:
            while True:
                message, wait_s = self._next_message()
                if message is not None:
                    return message
                if self._ended:
                    raise StopIteration
                self._window.changed.wait(wait_s)

    @property
    def in_flight(self) -> int:
        """Batches sent here and not acknowledged. Lock held."""
        return self._cursor - self._window.oldest_seq

    @property
    def last_sent_seq(self) -> int:
        """Seq of the last batch sent here. Lock held."""
        return self._cursor - 1

    @property
    def is_draining(self) -> bool:
        """Whether the server asked this session to go elsewhere."""
        return self._drain_deadline is not None

    def started(self, call: grpc.Call) -> None:
        """The call runs; the writer may be in it already, or may have given it up."""
        with self._window.changed:
            self._call = call
            if self.gave_up is not None:
                call.cancel()

    def opened(self, credit_bytes: int) -> None:
        """The service has answered Open."""
        with self._window.changed:
            self.is_open = True
            self._credit_bytes = credit_bytes
            self._note_progress()

    def granted(self, credit_bytes: int) -> None:
        """The service allows more; credit never falls."""
        with self._window.changed:
            self._credit_bytes = max(self._credit_bytes, credit_bytes)
            self._window.changed.notify_all()

    def acked(self) -> None:
        """An ack has come. Lock held."""
        self.made_progress = True
        self._note_progress()

    def drain(self, deadline_ms: int) -> None:
        """The server stops: send nothing more, wait for acks until the deadline."""
        with self._window.changed:
            self._drain_deadline = time.monotonic() + deadline_ms / 1e3
            self._window.changed.notify_all()

    def end(self) -> None:
        """The call is over: let the writer go."""
        with self._window.changed:
            self._ended = True
            self._window.changed.notify_all()

    def _note_progress(self) -> None:
        self._progress_at = time.monotonic()
        self._window.changed.notify_all()

    def _next_message(self) -> tuple[bytes | None, float]:
        """Return what is to be sent now, or how long to wait at most. Lock held."""
        now = time.monotonic()
        if self._open_request is not None:
            opening, self._open_request = self._open_request, None
            return opening, 0.0
        if self._ended or not self.is_open:
            return None, 0.0 if self._ended else self._left(self._open_deadline, now, "no answer to Open")
        if self._drain_deadline is not None:
            return None, self._half_close_or(self._left(self._drain_deadline, now, "the drain's deadline has passed"))
        batch = self._sendable()
        message, wait_s = (self._send(batch, now), 0.0) if batch is not None else self._due_report(self._window.closing)
        if message is not None:
            return message, 0.0
        if self._window.closing and self._window.at(self._cursor) is None:
            self._half_close_or(0.0)
        if self.in_flight:
            wait_s = min(wait_s, self._left(self._progress_at + self._ack_timeout_s, now, "no ack"))
        return None, min(wait_s, _IDLE_WAIT_S)

    def _sendable(self) -> SealedBatch | None:
        """Return the next batch when there is one and credit reaches for it."""
        batch = self._window.at(self._cursor)
        if batch is None or not self.in_flight:
            return batch
        return batch if self._sent_bytes + batch.size_bytes <= self._credit_bytes else None

    def _send(self, batch: SealedBatch, now: float) -> bytes:
        if not self.in_flight:
            self._progress_at = now  # the wait for acks begins
        self._cursor += 1
        self._sent_bytes += batch.size_bytes
        batch.sends += 1
        if batch.sends > 1:
            self._resending(batch)
        return batch.frame

    def _half_close_or(self, wait_s: float) -> float:
        """End the iterator when nothing is in flight, which half-closes the call; else go on waiting."""
        if not self.in_flight:
            self._ended = True
        return wait_s

    def _left(self, deadline: float, now: float, complaint: str) -> float:
        """Return seconds left, or end the call: what it waits for is overdue."""
        if now < deadline:
            return deadline - now
        self.give_up(f"{complaint}: the stream is made anew")
        return 0.0

    def give_up(self, why: str) -> None:
        """End the call from this side; another stream takes over. Lock held."""
        self.gave_up = ServiceError(why, code=None, reason="GIVEN_UP", retryable=True)
        self._ended = True
        if self._call is not None:
            self._call.cancel()
        self._window.changed.notify_all()
