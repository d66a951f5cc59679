"""A producer's session: one identity at the service, kept over any number of streams.

In come sealed batches (through the window), out go acks to their receipts. One thread connects, reads answers, settles
batches, and when a stream ends decides by one rule what follows: retryable → again after a wait; otherwise, if the
session was opened and the same batch stands first for the second time → that batch is set aside and an empty one goes
under its seq; else the session is over. Promise: no batch leaves the window but with its ack, set aside and told, or
told at the end.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from headrace.connecting.channel import Link
from headrace.connecting.retry import Backoff, service_error
from headrace.deadline import Deadline
from headrace.errors import FencedError, HeadraceError, ServiceError
from headrace.logged.counters import Counters, Holding
from headrace.sending.advice import Advice
from headrace.sending.notices import Notices
from headrace.sending.quarantine import Quarantine
from headrace.sending.reports import Reports
from headrace.sending.stream import Stream
from headrace.sending.window import Receipt, SealedBatch, Window
from headrace.settings import Settings
from headrace.v1 import ingest_service_pb2
from headrace.version import __version__

if TYPE_CHECKING:
    from headrace.sending.spooled_window import SpooledWindow

_INGEST = "/headrace.v1.IngestService/Ingest"
_GOODBYE_S = 2.0
_ABOUT_THE_CALLER = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})

logger = logging.getLogger("headrace")


class Session:
    """One producer_id, its window and its thread.

    Args:
        link: Where the service is.
        project: Project the rows go to; empty: the credential's.
        settings: The client's settings.
        counters: Where outcomes are counted.
        notices: Warnings and callbacks.
        holding: Returns what the client was given and still has, for reports; None: nothing is reported.
        name: Name of the thread.
        window: A window with batches of a producer that is known already. Default: a new producer's.
    """

    def __init__(
        self,
        link: Link,
        *,
        project: str,
        settings: Settings,
        counters: Counters,
        notices: Notices,
        holding: Callable[[], Holding] | None,
        name: str,
        window: SpooledWindow | None = None,
    ) -> None:
        self.producer_id = str(uuid.uuid4()) if window is None else window.store.producer_id
        self.window: Window = Window(settings.window_bytes) if window is None else window
        self.advice: Advice | None = None
        self.quarantine = Quarantine(settings.quarantine_bytes)
        self._spools = window is not None
        self._link = link
        self._route = link.route()
        self._project = project
        self._settings = settings
        self._counters = counters
        self._notices = notices
        self._reports = holding and Reports(
            counters, holding, lambda: self.window.oldest_seq - 1, settings.report_interval_s
        )
        self._name = name
        self._backoff = Backoff(settings.backoff_initial_s, settings.backoff_max_s)
        self._channel: grpc.Channel | None = None
        self._stream: Stream | None = None
        self._hang_ups = 0
        self._suspect: int | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_over(self) -> bool:
        """Whether no batch will ever be acknowledged any more."""
        return self.window.failure is not None

    def start(self) -> None:
        """Begin to connect, if that has not begun."""
        with self.window.changed:
            if self._thread is None and not self.window.closing:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def wait_advice(self, deadline: Deadline) -> Advice | None:
        """Return what the service advised, as soon as it has; None when the deadline passed first.

        Raises:
            HeadraceError: The session is over.
        """
        self.start()
        changed = self.window.changed
        with changed:
            while self.advice is None:
                if self.window.failure is not None:
                    raise self.window.failure
                if self.window.closing or not deadline.wait(changed):
                    return None
            return self.advice

    def sealing_advice(self, deadline: Deadline) -> Advice | None:
        """As wait_advice; but who spools waits for nobody, and until the service has spoken seals what any would take.

        Raises:
            HeadraceError: The session is over, and there is no spool.
        """
        if not self._spools:
            return self.wait_advice(deadline)
        self.start()
        return self.advice or Advice.unasked(self._settings)

    def seal(self, body: bytes, rows: int, receipt: Receipt, deadline: Deadline) -> int | None:
        """Seal a batch; as Window.seal."""
        self.start()
        return self.window.seal(body, rows, receipt, deadline)

    def close(self, deadline: Deadline) -> None:
        """Let what is sealed be acknowledged until `deadline`, then end stream, thread and channel."""
        window, thread = self.window, self._thread
        with window.changed:
            window.closing = True
            window.changed.notify_all()
            while len(window) and window.failure is None and deadline.wait(window.changed):
                pass
        if thread is not None:
            thread.join(min(deadline.left_s, _GOODBYE_S))  # the last report, the half-close, and the server's OK
            if thread.is_alive():
                self._abandon(HeadraceError("the client was closed before the ack"))
                thread.join(1.0)  # a cancelled call ends at once
        self._renew_channel()

    def hang_up(self, deadline: Deadline) -> None:
        """Leave the network until `resume`: no call, no channel, none of gRPC's threads. For a fork, which they harm.

        What is in flight is sent again afterwards. A thread that does not let go until `deadline` is left behind.
        """
        with self.window.changed:
            self._hang_ups += 1
            if self._stream is not None:
                self._stream.give_up("the process forks")
            while self._stream is not None and self._thread is not threading.current_thread():
                if not deadline.wait(self.window.changed):
                    return

    def resume(self) -> None:
        """Go on after hang_up."""
        with self.window.changed:
            self._hang_ups -= 1
            self.window.changed.notify_all()

    def _abandon(self, error: HeadraceError) -> None:
        """Give up on everything without an ack; the thread ends."""
        for batch in self.window.fail(error):
            self._tell_failed(batch, error, set_aside=False)
        self._renew_channel()  # ends the call, and with it the reader's wait

    def _run(self) -> None:
        try:
            while (stream := self._next_stream()) is not None:
                error = self._converse(stream)
                if self._hang_ups:
                    self._renew_channel()
                with self.window.changed:
                    self._stream = None
                    self.window.changed.notify_all()
                self._after_stream(stream, error)
        except Exception as error:
            logger.exception("the session's thread has failed; this is a defect of headrace")
            self.fail(HeadraceError(f"defect: {error!r}"))

    def _next_stream(self) -> Stream | None:
        """Wait until there is a reason to be connected; return the stream for it, None when the session is over."""
        window = self.window
        with window.changed:
            while True:
                if window.failure is not None or (window.closing and not len(window)):
                    return None
                if not self._hang_ups and (len(window) or self.advice is None):
                    self._stream = self._new_stream()
                    return self._stream
                window.changed.wait(60.0)

    def _new_stream(self) -> Stream:
        """Return a stream that begins with the oldest batch. Lock held."""
        request = ingest_service_pb2.IngestRequest(
            open=ingest_service_pb2.Open(
                producer_id=self.producer_id,
                next_seq=self.window.next_seq,
                results_through=self.window.oldest_seq - 1,
                project=self._project,
                client=f"headrace-python/{__version__}",
            )
        )
        return Stream(
            self.window,
            request.SerializeToString(),
            open_timeout_s=self._settings.open_timeout_s,
            ack_timeout_s=self._settings.ack_timeout_s,
            due_report=self._reports.due if self._reports else lambda _: (None, 60.0),
            resending=lambda batch: self._counters.count_retried(batch.rows),
        )

    def _converse(self, stream: Stream) -> ServiceError | None:
        """Run one stream to its end; return why it ended, None for OK."""
        channel = self._channel = self._channel or self._route.connect()
        ingest: grpc.StreamStreamMultiCallable[bytes, ingest_service_pb2.IngestResponse] = channel.stream_stream(
            _INGEST,
            request_serializer=None,  # the stream yields bytes
            response_deserializer=ingest_service_pb2.IngestResponse.FromString,
        )
        try:
            call = ingest(stream, metadata=self._link.metadata)
            stream.started(call)
            for response in call:
                self._receive(stream, response)
        except grpc.RpcError as error:
            return stream.gave_up or service_error(error)
        except ValueError as error:  # grpc's word for a channel that close() has closed meanwhile
            return ServiceError(str(error), code=None, reason="CLOSED", retryable=True)
        finally:
            stream.end()
        return None

    def _receive(self, stream: Stream, response: ingest_service_pb2.IngestResponse) -> None:
        stream.heard()
        match response.WhichOneof("message"):
            case "opened":
                self._on_opened(stream, response.opened)
            case "ack":
                self._on_ack(stream, response.ack)
            case "credit":
                stream.granted(response.credit.credit_bytes)
            case "drain":
                stream.drain(response.drain.deadline_ms)
            case "model_updated":
                self._notices.model_updated(response.model_updated.model)
            case _:
                pass  # a message of a newer service: it asks for nothing this client could do

    def _on_opened(self, stream: Stream, opened: ingest_service_pb2.Opened) -> None:
        self.advice = Advice.of(opened, self._settings)
        if opened.ledger_regressed:
            self._notices.warn(
                "LEDGER_REGRESSED",
                f"the service's database went back in time: rows of batches after {opened.last_committed_seq} and "
                f"before {self.window.oldest_seq}, once acknowledged, are no longer there",
            )
        self._notices.samples.opened({sampled.model: sampled.rate for sampled in opened.sampling})
        with self.window.changed:
            self.window.belongs_to(opened.project)
        stream.opened(opened.credit_bytes, opened.heartbeat_ms / 1e3)

    def _on_ack(self, stream: Stream, ack: ingest_service_pb2.Ack) -> None:
        """Settle batches; their receipts are told before anyone who waits for the settling goes on."""
        results = {result.seq: result for result in ack.results}
        with self.window.changed:
            through_seq = min(ack.through_seq, stream.last_sent_seq)  # nothing is settled that was not sent
            settled = self.window.through(through_seq)
        for batch in settled:
            result = results.get(batch.seq)
            if batch.receipt is not None:
                self._counters.count_settled(batch.rows, result)
                self._notices.guard(batch.receipt.settled, batch, result)
        with self.window.changed:
            self.window.settle(through_seq)
            stream.acked()
        stream.granted(ack.credit_bytes)

    def _after_stream(self, stream: Stream, error: ServiceError | None) -> None:
        """Decide what follows the end of a stream."""
        if stream.made_progress:
            self._backoff.reset()
        if error is not None or stream.is_draining or not stream.made_progress:
            self._renew_channel()  # what was good until now may be frozen, and would take connections all the same
        with self.window.changed:
            suspect = self.window.oldest_seq if stream.in_flight else None
        # A key in a file is renewed there, sooner or later: rows wait for it as they wait for a service that is away.
        awaits_key = error is not None and error.code is grpc.StatusCode.UNAUTHENTICATED and self._link.renews_key
        if error is None or error.retryable or stream.is_draining or awaits_key:
            self._wait_before_next(stream, error)
        elif isinstance(error, FencedError) or not stream.is_open or error.code in _ABOUT_THE_CALLER:
            self.fail(error)
        elif suspect is not None and suspect == self._suspect:
            self._set_oldest_aside(error)
        else:  # a batch may be sent just as the stream ends for another cause: it is at fault the second time only
            self._suspect = suspect
            self._wait_before_next(stream, error)

    def _wait_before_next(self, stream: Stream, error: ServiceError | None) -> None:
        if self._hang_ups or (stream.made_progress and (error is None or stream.is_draining)):
            return  # of a server that drains, the next one is waiting
        wait_s = self._backoff.next_s(error.retry_after_s if error is not None else None)
        if error is not None:
            self._notices.warn("AWAY", f"the stream has ended, rows are kept; next try in {wait_s:.1f} s: {error}")
        deadline = time.monotonic() + wait_s
        window = self.window
        with window.changed:
            while window.failure is None and (left_s := deadline - time.monotonic()) > 0:
                if window.closing and not len(window):
                    return
                window.changed.wait(left_s)

    def _renew_channel(self) -> None:
        """Leave this connection; the next stream goes to the next address."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _set_oldest_aside(self, error: ServiceError) -> None:
        """Keep a batch that ends the stream from ending every stream."""
        aside = self.window.set_oldest_aside()
        if aside is None:  # even the empty stand-in is refused: it is not the batch
            self.fail(error)
            return
        self._counters.count_quarantined(aside.rows)
        self.quarantine.add(aside, error)
        self._tell_failed(aside, error, set_aside=True)
        self._notices.error(error)

    def fail(self, error: HeadraceError) -> None:
        """End the session for good: say so, then let everyone know who waits."""
        if self.is_over:
            return
        self._notices.error(error)
        for batch in self.window.fail(error):
            self._tell_failed(batch, error, set_aside=False)
        self._renew_channel()

    def _tell_failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None:
        if batch.receipt is not None:
            self._notices.guard(batch.receipt.failed, batch, error, set_aside=set_aside)
