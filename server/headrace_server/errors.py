"""The one tree of errors a caller can be told, each class with three facts: code, reason, retryable.

What goes wrong with a call or a stream is raised as one of these and becomes a google.rpc status at the edge
(intake/status.py). What goes wrong with a row is no exception: it is a rejection in the batch's result. The rule of the
wire holds by construction: a status carries RetryInfo if and only if its class is retryable.
"""

from collections.abc import Mapping
from typing import ClassVar

import grpc


class HeadraceError(Exception):
    """Something a caller is told. Subclasses fix the three facts.

    Attributes:
        message: What is wrong and what to do, in English.
        metadata: Machine-readable facts, strings both (ErrorInfo.metadata).
        fields: Offending fields of the request and what is wrong with each (BadRequest).
        quota: Whose quota is used up and which one (QuotaFailure).
        retry_after_s: Seconds to wait before the next try; of retryable errors alone.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False
    retry_after_s: float = 0.0
    quota: tuple[str, str] | None = None

    def __init__(
        self, message: str, *, metadata: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.fields = dict(fields or {})


class InternalDefectError(HeadraceError):
    """A defect of the service; the message names the incident to look for in the logs."""


class InvalidRequestError(HeadraceError):
    """The caller must change the request."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class OpenExpectedError(InvalidRequestError):
    """The stream did not begin with Open."""

    reason = "OPEN_EXPECTED"


class MessageUnexpectedError(InvalidRequestError):
    """A second Open, or a message without content."""

    reason = "MESSAGE_UNEXPECTED"


class MessageUnreadableError(InvalidRequestError):
    """Bytes that are no request of ours: even the seq is unknown."""

    reason = "MESSAGE_UNREADABLE"


class ProducerIdInvalidError(InvalidRequestError):
    """A producer_id that is no UUID."""

    reason = "PRODUCER_ID_INVALID"


class RequestIdInvalidError(InvalidRequestError):
    """A request_id that is no UUID."""

    reason = "REQUEST_ID_INVALID"


class EmptyBatchError(InvalidRequestError):
    """A Publish without rows."""

    reason = "EMPTY_BATCH"


class BatchTooLargeError(InvalidRequestError):
    """A Publish above the limits."""

    reason = "BATCH_TOO_LARGE"


class ModelInvalidError(InvalidRequestError):
    """A definition of a model that cannot be made."""

    reason = "MODEL_INVALID"


class NameInvalidError(InvalidRequestError):
    """A name that cannot be folded, or is reserved."""

    reason = "NAME_INVALID"


class KeyInvalidError(InvalidRequestError):
    """A key that cannot be made as asked."""

    reason = "KEY_INVALID"


class TimeRangeInvalidError(InvalidRequestError):
    """A time range that ends before it begins, or where it begins."""

    reason = "TIME_RANGE_INVALID"


class EventIdsInvalidError(InvalidRequestError):
    """No event id, or more than a call takes."""

    reason = "EVENT_IDS_INVALID"


class EventIdInvalidError(InvalidRequestError):
    """An event id that is no UUID, for a model whose ids are."""

    reason = "EVENT_ID_INVALID"


class UnknownColumnError(InvalidRequestError):
    """A column was asked for that the model does not have."""

    reason = "UNKNOWN_COLUMN"


class SelectionRequiredError(InvalidRequestError):
    """Nothing says which dead letters are meant."""

    reason = "SELECTION_REQUIRED"


class FilterInvalidError(InvalidRequestError):
    """A filter or a page token that cannot be read."""

    reason = "FILTER_INVALID"


class DeleteEverythingError(InvalidRequestError):
    """A delete that means every event of a model, or does not say which it means."""

    reason = "DELETE_EVERYTHING"


class DeleteNotConfirmedError(InvalidRequestError):
    """A delete that does not say its model's name once more."""

    reason = "DELETE_NOT_CONFIRMED"


class SeqGapError(HeadraceError):
    """A batch is missing before this one."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = "SEQ_GAP"


class FencedError(HeadraceError):
    """A newer session of the producer has taken over."""

    code = grpc.StatusCode.ABORTED
    reason = "FENCED"


class RevisionConflictError(HeadraceError):
    """The model changed since the caller looked."""

    code = grpc.StatusCode.ABORTED
    reason = "REVISION_CONFLICT"


class RequestIdReusedError(HeadraceError):
    """The request_id stands for other bytes."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"


class ModelNotFoundError(HeadraceError):
    """No such model."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class KeyNotFoundError(HeadraceError):
    """The project has no such key."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "KEY_NOT_FOUND"


class EventNotFoundError(HeadraceError):
    """None of the ids has an event."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "EVENT_NOT_FOUND"


class ResultTooLargeError(HeadraceError):
    """The answer, or one row of it, is larger than a message may be."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = "RESULT_TOO_LARGE"


class QueryTooSlowError(HeadraceError):
    """A read took longer than it may; it would again."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "QUERY_TOO_SLOW"


class DeadLetterNotFoundError(HeadraceError):
    """No such dead letter."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "DEAD_LETTER_NOT_FOUND"


class QuotaReachedError(HeadraceError):
    """The project has as much as its quota lets it have: only the operator can change that, waiting cannot."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUOTA_EXCEEDED"

    def __init__(self, message: str, *, project: str = "", quota: str = "") -> None:
        super().__init__(message, metadata={"quota": quota})
        self.quota = (f"project:{project}", quota)


class TypeConflictError(HeadraceError):
    """A column or model is registered otherwise."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TYPE_CONFLICT"


class JobNotFoundError(HeadraceError):
    """No such job."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "JOB_NOT_FOUND"


class JobAbandonedError(HeadraceError):
    """The job was ended from outside, in the middle of its work."""

    code = grpc.StatusCode.ABORTED
    reason = "JOB_ABANDONED"


class DatasetIsBaselineError(HeadraceError):
    """The dataset is a model's baseline."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "DATASET_IS_BASELINE"


class DatasetExistsError(HeadraceError):
    """There is a dataset of that name."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "DATASET_EXISTS"


class DatasetNotFoundError(HeadraceError):
    """No such dataset."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "DATASET_NOT_FOUND"


class DatasetRowCountError(HeadraceError):
    """Another number of rows came than were expected."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "DATASET_ROW_COUNT"


class DatasetRowsRejectedError(HeadraceError):
    """Rows were refused, and the dataset allows none."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "DATASET_ROWS_REJECTED"


class DatasetIdRepeatedError(HeadraceError):
    """An event_id stands twice."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "DATASET_ID_REPEATED"


class DatasetImmutableError(HeadraceError):
    """What was published would change."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "DATASET_IMMUTABLE"


class DatasetIdUnknownError(HeadraceError):
    """An event_id that the dataset does not have."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "DATASET_ID_UNKNOWN"


class ProjectDeniedError(HeadraceError):
    """The project is not the caller's; says the same whether it exists or not."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PROJECT_DENIED"


class CredentialInvalidError(HeadraceError):
    """No credential, or one that is not, or no longer, good."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "CREDENTIAL_INVALID"


class ScopeDeniedError(HeadraceError):
    """The credential is good, but not for this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "SCOPE_DENIED"


class RetryableError(HeadraceError):
    """Nothing is wrong with the request: the same bytes may succeed later."""

    code = grpc.StatusCode.UNAVAILABLE
    retryable = True
    retry_after_s = 1.0


class StreamIdleError(RetryableError):
    """Nothing was sent for the idle limit."""

    reason = "STREAM_IDLE"


class AcksNotReadError(RetryableError):
    """The client does not read what it is told."""

    reason = "ACKS_NOT_READ"


class DrainingError(RetryableError):
    """This replica is stopping; another will take the call."""

    reason = "DRAINING"
    retry_after_s = 0.1


class DatabaseUnavailableError(RetryableError):
    """The database does not answer."""

    reason = "DATABASE_UNAVAILABLE"


class QuotaExceededError(RetryableError):
    """A quota of the project is used up now; later there is room again.

    Args:
        message: What is used up.
        project: Whose quota.
        quota: Its name.
        retry_after_s: Seconds until there may be room.
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUOTA_EXCEEDED"

    def __init__(self, message: str, *, project: str = "", quota: str = "", retry_after_s: float = 30.0) -> None:
        super().__init__(message, metadata={"quota": quota})
        self.quota = (f"project:{project}", quota)
        self.retry_after_s = retry_after_s


class OverloadedError(RetryableError):
    """No memory is free for a unary call."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


class ReadersBusyError(RetryableError):
    """All connections for reading are in use."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "READERS_BUSY"


class ResultsNotReadError(RetryableError):
    """The client does not read what it asked for."""

    reason = "RESULTS_NOT_READ"
