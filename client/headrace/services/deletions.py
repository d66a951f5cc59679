"""Deletes events: by id, or of a time; with guards, since nothing brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from headrace.connecting.calls import Calls
from headrace.errors import InvalidArgumentError
from headrace.services.jobs import Job, Jobs
from headrace.times import TimeLike, as_datetime
from headrace.v1 import deletion_service_pb2
from headrace.v1.deletion_service_pb2_grpc import DeletionServiceStub

MOST_IDS = 10_000


class Deletions:
    """Calls DeletionService.

    Args:
        calls: The client's unary calls.
        jobs: Its jobs.
    """

    def __init__(self, calls: Calls, jobs: Jobs) -> None:
        self._calls = calls
        self._jobs = jobs

    def delete_events(
        self,
        model: str,
        event_ids: Sequence[str] | None,
        *,
        start: TimeLike | None,
        end: TimeLike | None,
        confirm: str,
    ) -> Job:
        """Begin to delete events; see Model.delete_events."""
        request = deletion_service_pb2.DeleteEventsRequest(
            project=self._calls.project, model=model, confirm_model=confirm
        )
        if (event_ids is None) == (start is None and end is None):
            raise InvalidArgumentError(
                "give event_ids, or start and end: all events of a model are never deleted at once"
            )
        if event_ids is not None:
            if not 0 < len(event_ids) <= MOST_IDS:
                raise InvalidArgumentError(f"{len(event_ids)} event_ids; from 1 to {MOST_IDS} are taken")
            request.event_ids.extend(event_ids)
        else:
            request.start_time.FromDatetime(_zoned("start", start))
            request.end_time.FromDatetime(_zoned("end", end))
        answer: deletion_service_pb2.DeleteEventsResponse = self._calls.call(
            DeletionServiceStub, lambda stub: stub.DeleteEvents, request
        )
        return Job(self._jobs, answer.job)


def _zoned(name: str, time: TimeLike | None) -> datetime:
    """Return one end of a window, whose zone must be said: an hour too much is gone for good."""
    if time is None:
        raise InvalidArgumentError(f"{name} is missing: give start and end")
    try:
        said = datetime.fromisoformat(time) if isinstance(time, str) else time
        if isinstance(said, date) and getattr(said, "tzinfo", None) is None:
            raise InvalidArgumentError(f"{name}={time!r} has no time zone: say which, e.g. tzinfo=UTC")
        return as_datetime(said)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(f"{name}={time!r}: {error}") from error
