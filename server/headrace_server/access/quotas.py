"""What each project may take: rows and bytes a second, streams at a time; asked by intake, set by the operator.

In: a project's line in headrace.projects, remembered and read again when it is changed. Out: how long a stream has to
wait before its next read, or the error for a unary call or one stream too many. These are quotas of one replica (a
worker is one): a project that is served by three may take three times as much. Its numbers of models and columns are
the registry's to hold (models/counts.py), over all replicas.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace_server.access.pace import Pace
from headrace_server.errors import ProjectDeniedError, QuotaExceededError
from headrace_server.storage.outage import told_as_unavailable

if TYPE_CHECKING:
    import asyncpg

CHANNEL = "headrace_projects"
ACQUIRE_TIMEOUT_S = 10.0
STREAMS_RETRY_S = 5.0

_LOAD = "SELECT name, max_rows_per_s, max_bytes_per_s, max_streams FROM headrace.projects WHERE name = ANY ($1)"


class ProjectUse:
    """What one project takes of this replica, and how much of it is left."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._rows = Pace()
        self._bytes = Pace()
        self._streams = 0
        self._most_streams: int | None = None

    def adopt(self, row: "asyncpg.Record") -> None:
        """Take the quotas from the project's line."""
        self._rows.limit(row["max_rows_per_s"])
        self._bytes.limit(row["max_bytes_per_s"])
        self._most_streams = row["max_streams"]

    @property
    def wait_s(self) -> float:
        """Seconds until the project may send more."""
        return max(self._rows.wait_s, self._bytes.wait_s)

    def charge(self, rows: int, size_bytes: int) -> None:
        """Note what the project has sent."""
        self._rows.charge(rows)
        self._bytes.charge(size_bytes)

    def check_rates(self) -> None:
        """Let pass a call of a project that may send more now.

        Raises:
            QuotaExceededError: It may not; says when.
        """
        for name, pace in (("rows_per_s", self._rows), ("bytes_per_s", self._bytes)):
            if pace.wait_s > 0:
                text = f"the project sends more than its quota {name}, {pace.per_s:g}"
                raise QuotaExceededError(text, project=self._project, quota=name, retry_after_s=pace.wait_s)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Hold one of the project's streams.

        Raises:
            QuotaExceededError: All are open.
        """
        if self._most_streams is not None and self._streams >= self._most_streams:
            text = f"the project has {self._streams} streams open here, its quota"
            raise QuotaExceededError(text, project=self._project, quota="streams", retry_after_s=STREAMS_RETRY_S)
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1


class QuotaBook:
    """The use of all projects that this replica has heard of; as many as there are.

    Args:
        pool: For reading their quotas.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._uses: dict[str, ProjectUse] = {}

    async def use_of(self, project: str) -> ProjectUse:
        """Return the use of a project.

        Raises:
            ProjectDeniedError: There is none such.
            DatabaseUnavailableError: It has to be read, and the database does not answer.
        """
        if project not in self._uses:
            await self._read([project])
        use = self._uses.get(project)
        if use is None:
            raise ProjectDeniedError(f"project {project!r} is not yours")
        return use

    async def read_again(self, projects: Sequence[str] | None) -> None:
        """Read the quotas again of the projects named, or with None of all that are known.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """
        await self._read([name for name in (self._uses if projects is None else projects) if name in self._uses])

    async def _read(self, projects: Sequence[str]) -> None:
        storable = [project for project in projects if "\0" not in project]
        if not storable:
            return
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                rows = await connection.fetch(_LOAD, storable)
        for row in rows:
            self._uses.setdefault(row["name"], ProjectUse(row["name"])).adopt(row)
