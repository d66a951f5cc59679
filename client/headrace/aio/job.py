"""Jobs of the service, awaited."""

from __future__ import annotations

from headrace.aio.awaited import in_thread
from headrace.deadline import Deadline
from headrace.services.jobs import Job


class AsyncJob:
    """A job of the service; made by the calls that begin jobs, by AsyncClient.job and AsyncClient.list_jobs.

    Attributes:
        now: The job as it stood when it was last looked at: id, kind, subject, state, progress_rows, result …
    """

    def __init__(self, job: Job) -> None:
        self.now = job

    def __repr__(self) -> str:
        return f"Async{self.now!r}"

    async def refresh(self) -> AsyncJob:
        """Look again; as Job.refresh."""
        await in_thread(lambda _: self.now.refresh(), None)
        return self

    async def wait(self, timeout: float | Deadline | None = None) -> AsyncJob:  # noqa: ASYNC109 -- as the sync face
        """Wait until it has ended well; as Job.wait."""
        await in_thread(self.now.wait, timeout)
        return self

    async def cancel(self) -> AsyncJob:
        """Ask for its end; as Job.cancel."""
        await in_thread(lambda _: self.now.cancel(), None)
        return self
