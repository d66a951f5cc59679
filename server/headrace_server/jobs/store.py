"""The rows of headrace.jobs, and the lock that says that a job's replica is alive.

The lock is a session's: whoever runs a job takes it on the job's own connection before the row is there, and holds it
until the job has ended. PostgreSQL lets go of it when the connection is gone, however that came about.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from uuid import UUID

import asyncpg

from headrace_server.copying.connection import Connection
from headrace_server.jobs.job import Ending, Job, JobState

_COLUMNS = """id, project, kind, subject, state, progress_rows, total_rows, reason, error, result::text AS result,
    cancel_requested, instance, created_at, updated_at"""
_UNFINISHED = "state IN ('PENDING', 'RUNNING')"
_LOCK_KEY = "hashtextextended('headrace.job ' || $1::uuid::text, 0)"

_INSERT = f"""
    INSERT INTO headrace.jobs (id, project, kind, subject, state, total_rows, instance)
    VALUES ($1, $2, $3, $4, 'PENDING', $5, $6) RETURNING {_COLUMNS}
"""  # noqa: S608 -- constants, as below
_BEGIN = f"""
    UPDATE headrace.jobs SET state = 'RUNNING', updated_at = now() WHERE id = $1 AND {_UNFINISHED}
"""  # noqa: S608
_ADVANCE = f"""
    UPDATE headrace.jobs SET progress_rows = $2, updated_at = now() WHERE id = $1 AND {_UNFINISHED}
    RETURNING cancel_requested
"""  # noqa: S608
_END = f"""
    UPDATE headrace.jobs
    SET state = $2, reason = $3, error = $4, result = $5::jsonb, progress_rows = coalesce($6, progress_rows),
        updated_at = now()
    WHERE id = $1 AND {_UNFINISHED} RETURNING {_COLUMNS}
"""  # noqa: S608
_GET = f"SELECT {_COLUMNS} FROM headrace.jobs WHERE project = $1 AND id = $2"  # noqa: S608
_PAGE = f"""
    SELECT {_COLUMNS} FROM headrace.jobs
    WHERE project = $1 AND ($2 = '' OR kind = $2) AND ($3 = '' OR state = $3) AND ($4 = '' OR subject = $4)
        AND ($5::uuid IS NULL OR id < $5)
    ORDER BY id DESC LIMIT $6
"""  # noqa: S608
_REQUEST_CANCEL = f"""
    UPDATE headrace.jobs SET cancel_requested = true WHERE project = $1 AND id = $2 AND {_UNFINISHED}
"""  # noqa: S608
_ALL_UNFINISHED = f"SELECT {_COLUMNS} FROM headrace.jobs WHERE {_UNFINISHED} ORDER BY id"  # noqa: S608
_FORGET = f"DELETE FROM headrace.jobs WHERE updated_at < now() - interval '30 days' AND NOT ({_UNFINISHED})"  # noqa: S608


async def lock_for_life(connection: Connection, job_id: UUID) -> None:
    """Take a new job's lock; the connection holds it until it ends."""
    await connection.execute(f"SELECT pg_advisory_lock({_LOCK_KEY})", job_id)


async def try_lock(connection: Connection, job_id: UUID) -> bool:
    """Take a job's lock for this transaction, if nobody runs the job."""
    taken: bool = await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})", job_id)
    return taken


@dataclass(frozen=True)
class NewJob:
    """A job that is to be written down; attributes as of Job."""

    id: UUID
    project: str
    kind: str
    subject: str
    total_rows: int | None
    instance: str


@dataclass(frozen=True)
class Choice:
    """Which jobs of a project to list; empty texts choose all."""

    project: str
    kind: str = ""
    state: str = ""
    subject: str = ""


async def insert(connection: Connection, new: NewJob) -> Job:
    """Write a new job, PENDING.

    Raises:
        asyncpg.ForeignKeyViolationError: There is no such project.
    """
    return _job(await connection.fetchrow(_INSERT, *astuple(new)))


async def begin(connection: Connection, job_id: UUID) -> None:
    """Write that a job is under way."""
    await connection.execute(_BEGIN, job_id)


async def advance(connection: Connection, job_id: UUID, progress_rows: int) -> bool:
    """Write how far a job is; returns whether it is to go on."""
    cancel = await connection.fetchval(_ADVANCE, job_id, progress_rows)
    return cancel is False


async def end(connection: Connection, job_id: UUID, ending: Ending, progress_rows: int | None = None) -> Job | None:
    """Write how an unfinished job ends; None when it has ended already."""
    result = None if ending.result is None else json.dumps(ending.result, default=str)
    row = await connection.fetchrow(
        _END, job_id, ending.state.name, ending.reason, ending.error.replace("\0", "\\0"), result, progress_rows
    )
    return _job(row) if row else None


async def load(connection: Connection, project: str, job_id: UUID) -> Job | None:
    """Return one job of the project."""
    row = await connection.fetchrow(_GET, project, job_id)
    return _job(row) if row else None


async def load_page(connection: Connection, choice: Choice, after: UUID | None, limit: int) -> list[Job]:
    """Return up to `limit` jobs older than `after`, newest first."""
    return [_job(row) for row in await connection.fetch(_PAGE, *astuple(choice), after, limit)]


async def request_cancel(connection: Connection, project: str, job_id: UUID) -> None:
    """Write that somebody wants a job to end."""
    await connection.execute(_REQUEST_CANCEL, project, job_id)


async def unfinished(connection: Connection) -> Sequence[Job]:
    """Return every job that has not ended, oldest first."""
    return [_job(row) for row in await connection.fetch(_ALL_UNFINISHED)]


async def forget(connection: Connection) -> None:
    """Forget jobs that ended 30 days ago."""
    await connection.execute(_FORGET)


def _job(row: asyncpg.Record) -> Job:
    result = row["result"]
    return Job(
        **(dict(row) | {"state": JobState[row["state"]], "result": None if result is None else json.loads(result)})
    )
