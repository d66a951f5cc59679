"""What can go wrong, as one tree: every error of headrace is a HeadraceError.

Each says three things that a program can act on: whether trying again may help (`retryable`), the gRPC code where the
service answered one (`code`), and the machine-readable `reason` (a name of error_reason.proto, or one of the client's
own, listed with its class). Messages are for people and may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

    from headrace.results import PublishResult
    from headrace.services.jobs import Job


class HeadraceError(Exception):
    """Root of all errors headrace raises.

    Attributes:
        retryable: True when the same call may succeed later, unchanged.
        code: The gRPC status code the service answered, or None when the client itself refused.
        reason: Machine-readable reason.
    """

    retryable: bool = False
    code: grpc.StatusCode | None = None
    reason: str = "CLIENT_ERROR"


class InvalidArgumentError(HeadraceError, ValueError):
    """An argument cannot be used; the message names it and says what is expected. Reason INVALID_ARGUMENT."""

    reason = "INVALID_ARGUMENT"


class UnencodableError(HeadraceError):
    """A value cannot be put on the wire. Reason UNENCODABLE, or ROW_TOO_LARGE for a row beyond the batch limit."""

    reason = "UNENCODABLE"

    def __init__(self, message: str, *, column: str = "", reason: str = "UNENCODABLE") -> None:
        super().__init__(message)
        self.column = column
        self.reason = reason


class BufferFullError(HeadraceError):
    """The buffer is full and its policy is RAISE. Reason BUFFER_FULL."""

    retryable = True
    reason = "BUFFER_FULL"


class ClosedError(HeadraceError):
    """The client has been closed. Reason CLOSED."""

    reason = "CLOSED"


class UnackedError(HeadraceError):
    """Rows were accepted but not acknowledged; they are named by number.

    Attributes:
        rows: Rows without an ack: buffered, being encoded, or sent.
        batches: Sealed batches without an ack.
    """

    retryable = True
    reason = "UNACKED"

    def __init__(self, message: str, *, rows: int, batches: int) -> None:
        super().__init__(message)
        self.rows = rows
        self.batches = batches


class FlushTimeout(UnackedError):  # noqa: N818 -- it names the event, as TimeoutError's kin do
    """The timeout passed before everything was acknowledged; delivery goes on. Reason FLUSH_TIMEOUT."""

    reason = "FLUSH_TIMEOUT"


class PublishTimeout(UnackedError):  # noqa: N818 -- as FlushTimeout
    """The timeout of publish() passed; what was sealed is still being delivered. Reason PUBLISH_TIMEOUT.

    Attributes:
        result: What is known so far.
    """

    reason = "PUBLISH_TIMEOUT"

    def __init__(self, message: str, *, rows: int, batches: int, result: PublishResult) -> None:
        super().__init__(message, rows=rows, batches=batches)
        self.result = result


class ServiceError(HeadraceError):
    """The service, or the transport before it, answered a call or ended a stream with an error status.

    Attributes:
        metadata: Facts that belong to the reason, e.g. {"expected_seq": "6"}.
        violations: Field → what is wrong with it, from google.rpc.BadRequest.
        retry_after_s: Seconds the service asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None,
        reason: str,
        retryable: bool,
        metadata: Mapping[str, str] | None = None,
        violations: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.retryable = retryable
        self.metadata = dict(metadata or {})
        self.violations = dict(violations or {})
        self.retry_after_s = retry_after_s


class FencedError(ServiceError):
    """Another session has taken over this producer_id: this one is over. Reason FENCED.

    Rows that were not acknowledged are never sent under another id, since the other session may have sent them.
    """


class ModelNotFoundError(ServiceError):
    """No such model. Reason MODEL_NOT_FOUND."""


class EventNotFoundError(ServiceError):
    """No event has the id. Reason EVENT_NOT_FOUND; metadata waiting_rows tells how many late rows wait for one."""


class SessionFailedError(UnackedError):
    """The stream ended for good; `cause` says why. Reason and code are the cause's.

    Attributes:
        cause: The error that ended it.
    """

    def __init__(self, cause: HeadraceError, *, rows: int, batches: int) -> None:
        super().__init__(
            f"the session is over, {rows} rows in {batches} batches have no ack: {cause}", rows=rows, batches=batches
        )
        self.cause = cause
        self.reason = cause.reason
        self.code = cause.code
        self.retryable = False


class JobFailedError(HeadraceError):
    """A job ended without what it was for. Reason: the job's own, or CANCELLED.

    Attributes:
        job: The job.
    """

    def __init__(self, message: str, *, reason: str, job: Job) -> None:
        super().__init__(message)
        self.reason = reason
        self.job = job


class JobTimeout(HeadraceError):  # noqa: N818 -- as FlushTimeout
    """The timeout of a wait passed before the job had ended; the job goes on. Reason JOB_TIMEOUT.

    Attributes:
        job: The job as it stood then.
    """

    retryable = True
    reason = "JOB_TIMEOUT"

    def __init__(self, message: str, *, job: Job) -> None:
        super().__init__(message)
        self.job = job
