"""One gRPC stream of a session: it is opened, used and over; the session makes the next.

It is the request iterator of the call, so `__next__` runs on gRPC's writer thread, while the session's thread reads the
answers and calls `opened`, `granted`, `acked` and `drain`. Both meet under the window's condition:

1. First goes Open. Nothing else is sent before Opened.
2. Batches follow in order of seq, beginning with the oldest without an ack (the service answers those that it had
   committed before with their first result), as far as credit reaches; with nothing in flight one may always go.
3. The writer half-closes when the server drains or the client closes, as soon as nothing is in flight.

A third thread, the stream's own, watches the clock: it ends the call when Opened, acks, or any word of the service are
overdue. The writer cannot, since gRPC holds it up while a server that stands still takes no bytes. `end` wakes both, so
neither outlives the stream.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf

import grpc

from headrace.errors import ServiceError
from headrace.sending.window import SealedBatch, Window

_IDLE_WAIT_S = 60.0
_WATCH_EVERY_S = 0.5
_STOOD_STILL_S = 1.0
_HEARTBEATS_MISSED = 2.5  # as the contract has it: then the service is taken for frozen


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
        self._progress_at = self._heard_at = self._looked_at = time.monotonic()
        self._silence_s = inf
        self._open_deadline = self._progress_at + open_timeout_s
        self._drain_deadline: float | None = None
        self._ended = False
        self._over = threading.Event()
        self._call: grpc.Call | None = None
        self.is_open = False
        self.made_progress = False
        self.gave_up: ServiceError | None = None

    def __iter__(self) -> Stream:
        return self  # pragma: no cover - every iterator has it; gRPC asks for the next message at once

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
        """The call runs; the writer may be in it already, and somebody may have given it up."""
        with self._window.changed:
            self._call = call
            if self.gave_up is not None:
                call.cancel()
        threading.Thread(target=self._watch, name="headrace-watch", daemon=True).start()

    def heard(self) -> None:
        """The service has said something."""
        self._heard_at = time.monotonic()

    def opened(self, credit_bytes: int, heartbeat_s: float) -> None:
        """The service has answered Open, and says something every heartbeat_s; 0: when it has something to say."""
        with self._window.changed:
            self.is_open = True
            self._credit_bytes = credit_bytes
            self._silence_s = _HEARTBEATS_MISSED * heartbeat_s or inf
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
        """The call is over: let the writer and the watching thread go."""
        self._over.set()
        with self._window.changed:
            self._ended = True
            self._window.changed.notify_all()

    def _note_progress(self) -> None:
        self._progress_at = time.monotonic()
        self._window.changed.notify_all()

    def _next_message(self) -> tuple[bytes | None, float]:
        """Return what is to be sent now, or how long to wait at most. Lock held."""
        if self._open_request is not None:
            opening, self._open_request = self._open_request, None
            return opening, 0.0
        if self._ended or not self.is_open:
            return None, _IDLE_WAIT_S
        if self.is_draining:
            self._half_close_when_acked()
            return None, _IDLE_WAIT_S
        batch = self._sendable()
        message, wait_s = (self._send(batch), 0.0) if batch is not None else self._due_report(self._window.closing)
        if message is not None:
            return message, 0.0
        if self._window.closing and self._window.at(self._cursor) is None:
            self._half_close_when_acked()
        return None, min(wait_s, _IDLE_WAIT_S)

    def _sendable(self) -> SealedBatch | None:
        """Return the next batch when there is one and credit reaches for it."""
        batch = self._window.at(self._cursor)
        if batch is None or not self.in_flight:
            return batch
        return batch if self._sent_bytes + batch.size_bytes <= self._credit_bytes else None

    def _send(self, batch: SealedBatch) -> bytes:
        if not self.in_flight:
            self._progress_at = time.monotonic()  # the wait for acks begins
        self._cursor += 1
        self._sent_bytes += batch.size_bytes
        batch.sends += 1
        if batch.sends > 1:
            self._resending(batch)
        return batch.frame

    def _half_close_when_acked(self) -> None:
        """End the iterator, which half-closes the call, unless something is in flight."""
        if not self.in_flight:
            self._ended = True

    def _watch(self) -> None:
        """End the call when something is overdue; runs on the stream's own thread until the stream's end."""
        wait_s = 0.0
        while not self._over.wait(wait_s):
            with self._window.changed:
                if time.monotonic() - self._looked_at > wait_s + _STOOD_STILL_S:
                    self.heard()  # it was this process that stood still: the service's words may be waiting
                self._looked_at = time.monotonic()
                deadline, complaint = self._first_deadline()
                left_s = deadline - self._looked_at
                if left_s <= 0:
                    self.give_up(f"{complaint}: the stream is made anew")
                    return
            wait_s = min(left_s, _WATCH_EVERY_S)  # what is looked at changes without a word to this thread

    def _first_deadline(self) -> tuple[float, str]:
        """Return when the first of the things that are waited for is overdue, and the words for it. Lock held."""
        if not self.is_open:
            return self._open_deadline, "no answer to Open"
        deadlines = [(self._heard_at + self._silence_s, "the service says nothing")]
        if self._drain_deadline is not None:
            deadlines.append((self._drain_deadline, "the drain's deadline has passed"))
        elif self.in_flight:
            deadlines.append((self._progress_at + self._ack_timeout_s, "no ack"))
        return min(deadlines)

    def give_up(self, why: str) -> None:
        """End the call from this side; another stream takes over. Lock held."""
        self.gave_up = ServiceError(why, code=None, reason="GIVEN_UP", retryable=True)
        self._ended = True
        if self._call is not None:
            self._call.cancel()
        self._window.changed.notify_all()
