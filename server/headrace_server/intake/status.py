"""The one table between our errors and what a caller sees: google.rpc.Status on gRPC, a status code on HTTP.

Comes in: any exception a call ended with. Goes out: a `HeadraceError` for every one of them (a defect becomes an
incident, logged here in full and told only by its id), and its forms on the wire. ErrorInfo is always there; RetryInfo
is there if and only if the class is retryable; QuotaFailure with a quota; BadRequest when fields are at fault. The
details travel as a header, and peers take few KiB of headers, so every part of them is bounded.
"""

import secrets
from collections.abc import Mapping

import structlog
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode

from headrace_server.errors import BatchTooLargeError, HeadraceError, InternalDefectError

DOMAIN = "headrace"
DETAILS_KEY = "grpc-status-details-bin"

MESSAGE_CHARACTERS = 1_024
FIELDS = 16
VALUE_CHARACTERS = 128

# The mapping that google.rpc.Code documents; 499 is nginx's "client closed request".
HTTP_STATUS: Mapping[StatusCode, int] = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
}

log = structlog.get_logger(__name__)


def tellable(error: Exception, call: str) -> HeadraceError:
    """Return what the caller is told: the error itself if it is ours, else an incident.

    Args:
        error: What the call ended with.
        call: Name of the method or route, for the log.
    """
    if isinstance(error, HeadraceError):
        return error
    incident = secrets.token_hex(6)
    log.error("defect", incident=incident, call=call, exc_info=error)
    return InternalDefectError(
        f"a defect of the service; its logs have it as incident {incident}", metadata={"incident": incident}
    )


def to_status(error: HeadraceError) -> status_pb2.Status:
    """Return the rich status of an error."""
    status = status_pb2.Status(
        code=code_pb2.Code.Value(error.code.name), message=_shortened(error.message, MESSAGE_CHARACTERS)
    )
    metadata = {key: _shortened(value, VALUE_CHARACTERS) for key, value in list(error.metadata.items())[:FIELDS]}
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if error.retryable:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.quota is not None:
        subject, quota = error.quota
        violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=quota)
        status.details.add().Pack(error_details_pb2.QuotaFailure(violations=[violation]))
    if error.fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=_shortened(wrong, VALUE_CHARACTERS))
            for field, wrong in list(error.fields.items())[:FIELDS]
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    return status


def trailing_metadata(status: status_pb2.Status) -> tuple[tuple[str, bytes]]:
    """Return the trailing metadata that carries a rich status."""
    return ((DETAILS_KEY, status.SerializeToString()),)


def http_status(error: HeadraceError) -> int:
    """Return the HTTP status code of an error."""
    if isinstance(error, BatchTooLargeError):
        # HTTP has a code of its own for what gRPC calls an invalid argument.
        return 413
    return HTTP_STATUS[error.code]


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
