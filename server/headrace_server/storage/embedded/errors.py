"""What can go wrong with the embedded database, in words that say what to do.

Every error the room raises derives from `EmbeddedDatabaseError`; its text is meant for the person at the terminal,
so it names the folder, the program or the port, and the next step.
"""

from __future__ import annotations

from pathlib import Path

INSTEAD = (
    "Either install PostgreSQL 15 or later with TimescaleDB, or run a container,\n"
    "  docker run -d -p 127.0.0.1:5432:5432 -e POSTGRES_PASSWORD=headrace timescale/timescaledb:latest-pg17\n"
    "and set HEADRACE_DATABASE_URL=postgresql://postgres:headrace@127.0.0.1:5432/postgres"
)


class EmbeddedDatabaseError(Exception):
    """Root of the tree: the embedded database cannot do what was asked."""


class CommandError(EmbeddedDatabaseError):
    """A program that we ran failed, was missing, or outlived its deadline.

    Attributes:
        program: Name of the program.
        output: What it printed, both streams, shortened to its end.
    """

    def __init__(self, program: str, what: str, output: str = "") -> None:
        self.program = program
        self.output = output[-4000:].strip()
        super().__init__(f"{program} {what}" + (f":\n{self.output}" if self.output else ""))


class RuntimeUnavailableError(EmbeddedDatabaseError):
    """No PostgreSQL with TimescaleDB is here, and none could be made."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no PostgreSQL with TimescaleDB for the embedded database: {why}\n{INSTEAD}")


class DataDirectoryError(EmbeddedDatabaseError):
    """The data directory cannot be used as it is."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another headrace service owns the data directory.

    Attributes:
        folder: The data directory.
        pid: The owner's process id; None when it could not be read.
    """

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.folder = folder
        self.pid = pid
        super().__init__(
            f"the data directory {folder} is in use by another headrace service"
            f" (process {pid if pid is not None else 'unknown'}):"
            f" stop that one, or give this one its own data directory"
        )


class WrongMajorVersionError(DataDirectoryError):
    """The data directory was made by another major version of PostgreSQL than any that is at hand."""

    def __init__(self, folder: Path, made_by: int, at_hand: str) -> None:
        super().__init__(
            f"the data in {folder} was made by PostgreSQL {made_by}, but {at_hand}: install PostgreSQL {made_by}"
            f" with TimescaleDB beside it, or upgrade the data with pg_upgrade, or use another data directory"
        )


class PortInUseError(EmbeddedDatabaseError):
    """The port asked for by name is taken."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is taken: free it, ask for another, or leave the port out to have one chosen"
        )


class StartFailedError(EmbeddedDatabaseError):
    """The database was started and did not come up."""


class SurvivorsError(StartFailedError):
    """Processes of the database that was killed still run; a moment later a start may succeed."""


class StopFailedError(EmbeddedDatabaseError):
    """The database did not end, not even when it was killed."""
