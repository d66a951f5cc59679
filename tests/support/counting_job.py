"""A kind of job for tests: what it makes is a table, and undoing it drops the table."""

from __future__ import annotations

import asyncio

from headrace_server.copying.connection import Connection
from headrace_server.jobs.job import Job
from headrace_server.jobs.run import JobRun, Result

KIND = "COUNT"


class CountingJobs:
    """The kind, and the work of its jobs.

    Attributes:
        stands: Set once the work has made its table and counted ten rows.
        proceed: Set by the test to let the work end.
    """

    def __init__(self) -> None:
        self.stands = asyncio.Event()
        self.proceed = asyncio.Event()

    async def undo(self, connection: Connection, job: Job) -> None:
        await connection.execute(f'DROP TABLE IF EXISTS main."{job.subject}"')

    async def work(self, run: JobRun) -> Result:
        await run.connection.execute(f'CREATE TABLE main."{run.job.subject}" (number int)')
        run.advance(10)
        self.stands.set()
        await self.proceed.wait()
        run.advance(5)
        return {"counted": run.rows, "names": ["a"]}
