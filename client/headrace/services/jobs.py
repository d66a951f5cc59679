"""Jobs: work of the service that takes longer than a call, looked at, waited for and cancelled from here."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from threading import Event
from typing import Any

from google.protobuf.json_format import MessageToDict

from headrace.connecting.calls import Calls
from headrace.deadline import Deadline
from headrace.errors import JobFailedError, JobTimeout, ServiceError
from headrace.v1 import job_pb2, job_service_pb2
from headrace.v1.job_service_pb2_grpc import JobServiceStub

_POLL_S = (0.05, 1.0)  # first and longest pause between two looks


class JobState(enum.Enum):
    """Where a job stands."""

    PENDING = job_pb2.JOB_STATE_PENDING
    """Accepted, not begun yet."""
    RUNNING = job_pb2.JOB_STATE_RUNNING
    SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
    """Done, whole."""
    FAILED = job_pb2.JOB_STATE_FAILED
    """Ended without what it was for; `error` says why."""
    CANCELLED = job_pb2.JOB_STATE_CANCELLED

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self not in {JobState.PENDING, JobState.RUNNING}


class Job:
    """A job of the service, as it stood when it was last looked at.

    Made by the calls that begin jobs, by Client.job and by Client.list_jobs.
    """

    def __init__(self, jobs: Jobs, proto: job_pb2.Job) -> None:
        self._jobs = jobs
        self._proto = proto

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.kind}, {self.subject!r}, {self.state.name})"

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self._proto.id

    @property
    def kind(self) -> str:
        """What it does, e.g. PUBLISH_DATASET."""
        return self._proto.kind

    @property
    def subject(self) -> str:
        """What it does it to, e.g. "flight_delay/training-2013"."""
        return self._proto.subject

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return JobState(self._proto.state)

    @property
    def progress_rows(self) -> int:
        """Rows done so far."""
        return self._proto.progress_rows

    @property
    def total_rows(self) -> int | None:
        """Rows there are to do; None where nobody knows."""
        return self._proto.total_rows or None

    @property
    def reason(self) -> str:
        """Why it failed, a name of error_reason.proto; empty unless it did."""
        return self._proto.error.reason

    @property
    def error(self) -> str:
        """Why it failed, for people; empty unless it did."""
        return self._proto.error.message

    @property
    def result(self) -> Mapping[str, Any]:
        """What came of it, in the words of its kind; empty until it is finished."""
        return _whole_numbers(MessageToDict(self._proto.result)) if self._proto.HasField("result") else {}

    @property
    def create_time(self) -> datetime:
        """When it was accepted."""
        return self._proto.create_time.ToDatetime(UTC)

    @property
    def update_time(self) -> datetime:
        """When it last said something of itself."""
        return self._proto.update_time.ToDatetime(UTC)

    def refresh(self) -> Job:
        """Look again; returns this job.

        Raises:
            ServiceError: The service refuses (JOB_NOT_FOUND), or is away for call_timeout_s.
        """
        self._proto = self._jobs.fetch(self.id)
        return self

    def wait(
        self, timeout: float | Deadline | None = None, *, on_progress: Callable[[Job], object] | None = None
    ) -> Job:
        """Wait until it has ended well; returns this job.

        While the service is away the wait goes on: a job whose replica is gone is then FAILED, and says so.

        Args:
            timeout: Seconds to wait, or a Deadline, which another thread can expire. Default: as long as it takes.
            on_progress: Called after each look with this job.

        Raises:
            JobFailedError: It failed, or was cancelled; reason and message say why.
            JobTimeout: The time passed; the job goes on.
            ServiceError: The service refuses (JOB_NOT_FOUND).
            ClosedError: The client is closed.
        """
        deadline = Deadline.of(timeout)
        pause_s = _POLL_S[0]
        while not self.state.is_final:
            if deadline.has_passed:
                raise JobTimeout(f"{self!r} has not ended yet; it goes on", job=self)
            self._pause(min(pause_s, deadline.left_s))
            pause_s = min(pause_s * 1.5, _POLL_S[1])
            try:
                self.refresh()
            except ServiceError as error:
                if not error.retryable:
                    raise
            if on_progress is not None:
                on_progress(self)
        if self.state is not JobState.SUCCEEDED:
            raise JobFailedError(
                f"the job was cancelled: {self!r}"
                if self.state is JobState.CANCELLED
                else f"{self.reason}: {self.error}",
                reason=self.reason or self.state.name,
                job=self,
            )
        return self

    def cancel(self) -> Job:
        """Ask for its end and return this job as it stands: it ends within seconds, and undoes what it had begun.

        Raises:
            ServiceError: As refresh.
        """
        self._proto = self._jobs.cancel(self.id)
        return self

    def _pause(self, seconds: float) -> None:
        """Let time pass before the next look."""
        Event().wait(seconds)


class Jobs:
    """Calls JobService.

    Args:
        calls: How calls are made.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self, job_id: str) -> Job:
        """Return one job; see Client.job."""
        return Job(self, self.fetch(job_id))

    def fetch(self, job_id: str) -> job_pb2.Job:
        """Return one job as the service tells it."""
        request = job_service_pb2.GetJobRequest(project=self._calls.project, id=job_id)
        answer: job_service_pb2.GetJobResponse = self._calls.call(JobServiceStub, lambda stub: stub.GetJob, request)
        return answer.job

    def cancel(self, job_id: str) -> job_pb2.Job:
        """Ask for a job's end."""
        request = job_service_pb2.CancelJobRequest(project=self._calls.project, id=job_id)
        answer: job_service_pb2.CancelJobResponse = self._calls.call(
            JobServiceStub, lambda stub: stub.CancelJob, request
        )
        return answer.job

    def list(self, kind: str, state: JobState | None, subject: str) -> Iterator[Job]:
        """Yield the jobs of the project, newest first; see Client.list_jobs."""
        request = job_service_pb2.ListJobsRequest(
            project=self._calls.project,
            kind=kind,
            state=state.value if state is not None else job_pb2.JOB_STATE_UNSPECIFIED,
            subject=subject,
        )
        while True:
            page = self._calls.call(JobServiceStub, lambda stub: stub.ListJobs, request)
            yield from (Job(self, job) for job in page.jobs)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _whole_numbers(value: Any) -> Any:
    """Return a Struct's value with counts as int: a Struct has floats only."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
