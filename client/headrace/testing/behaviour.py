"""What the fake service tells its clients, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from headrace.v1 import batch_pb2


class Status(NamedTuple):
    """An error status to end a stream or refuse a call with."""

    code: grpc.StatusCode
    reason: str = ""
    """Reason of our ErrorInfo (a name of error_reason.proto); empty: a status of the transport, without details."""
    retry_after_s: float | None = None
    """Seconds of RetryInfo; None: none, so a status with a reason is not retryable."""
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
    """Largest batch a client may send."""
    max_batch_rows: int = 100_000
    """Most rows in a batch."""
    suggested_batch_rows: int = 10_000
    """Rows a client gathers before it sends."""
    suggested_linger_ms: int = 1
    """Milliseconds a client waits for a batch to fill."""
    heartbeat_ms: int = 0
    """Milliseconds after which a stream on which nothing is said is told its credit again. 0: never."""
    is_silent: bool = False
    """Say nothing on streams any more, heartbeats neither, as a service that stands still."""
    refuse: Status | None = None
    """Answer to every Open and every unary call."""
    ignore_open: bool = False
    """Never answer Open."""
    ack_delay_s: float = 0.0
    """Seconds between a commit and its ack."""
    drop_acks: int = 0
    """So many batches from now on are committed without an ack."""
    repeat_acks: bool = False
    """Send every ack twice."""
    redeliver: int = 0
    """So many batches from now on are committed, but the stream breaks before their ack, so that they come again."""
    end_on: Callable[[batch_pb2.Batch], Status | None] | None = None
    """Asked before each commit: a status ends the stream there."""
    end_after: Callable[[batch_pb2.Batch], Status | None] | None = None
    """Asked after each commit, before its ack: a status ends the stream there."""

    def after_commit(self, batch: batch_pb2.Batch) -> Status | None:
        """Return what ends the stream between the commit of `batch` and its ack, if anything does."""
        if self.redeliver > 0:
            self.redeliver -= 1
            return Status(grpc.StatusCode.UNAVAILABLE)
        return self.end_after(batch) if self.end_after is not None else None
