"""A job as it stands in headrace.jobs, and what the kinds of jobs provide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from headrace.v1 import job_pb2
from headrace_server.copying.connection import Connection


class JobState(Enum):
    """Where a job stands."""

    PENDING = job_pb2.JOB_STATE_PENDING
    RUNNING = job_pb2.JOB_STATE_RUNNING
    SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
    FAILED = job_pb2.JOB_STATE_FAILED
    CANCELLED = job_pb2.JOB_STATE_CANCELLED


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        id: A UUIDv7.
        kind: What it does, e.g. PUBLISH_DATASET.
        subject: What it does it to, in the words of its kind.
        progress_rows: Rows done so far.
        total_rows: Rows there are to do; None where nobody knows.
        reason: Why it failed, a name of error_reason.proto; empty unless it did.
        error: The same for people.
        result: What came of it; None until it is finished.
        cancel_requested: Somebody asked for its end.
        instance: The replica that runs it.
    """

    id: UUID
    project: str
    kind: str
    subject: str
    state: JobState
    progress_rows: int
    total_rows: int | None
    reason: str
    error: str
    result: Mapping[str, Any] | None
    cancel_requested: bool
    instance: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Ending:
    """How a job ends."""

    state: JobState
    reason: str = ""
    error: str = ""
    result: Mapping[str, Any] | None = field(default=None)


class JobKind(Protocol):
    """What a kind of job knows about its jobs."""

    async def undo(self, connection: Connection, job: Job) -> None:
        """Remove what an unfinished job has made so far, in the transaction that writes down its end.

        Called for a job that failed or was cancelled, and by any replica for one whose own is gone; there may be
        nothing to remove.
        """
