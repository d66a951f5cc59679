"""The spool of one process: its folder in the directory, a store for each of its producers."""

from __future__ import annotations

import errno
import uuid
from pathlib import Path

from headrace.errors import InvalidArgumentError
from headrace.settings import Settings
from headrace.spool.directory import SpoolDirectory, SpoolFolder
from headrace.spool.store import SpoolFullError, SpoolStore


class Spool:
    """The spool of one client.

    Args:
        settings: The client's settings, with a spool_dir.
        project: Project the client's rows go to; empty: the credential's.

    Raises:
        InvalidArgumentError: Nothing can be written in the directory.
        SpoolFullError: There is no room for a new spool.
    """

    def __init__(self, settings: Settings, project: str) -> None:
        assert settings.spool_dir is not None  # noqa: S101 -- the caller has looked
        self._settings = settings
        self._project = project
        try:
            self.directory = SpoolDirectory(Path(settings.spool_dir))
            self._folder: SpoolFolder | None = self.directory.new_folder()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFullError(f"no spool can be made in {settings.spool_dir}: {error}") from error
            raise InvalidArgumentError(f"settings: spool_dir={str(settings.spool_dir)!r}: {error}") from error

    def store(self, lane: str) -> SpoolStore:
        """Make the store of a new producer.

        Raises:
            SpoolFullError: There is no room for it.
        """
        if self._folder is None:
            raise SpoolFullError(f"no spool could be made in {self.directory.path} after a fork")
        return self.open(self._folder.file_of(lane))

    def open(self, path: Path) -> SpoolStore:
        """Open a store that is there, or make one.

        Raises:
            SpoolDamagedError, SpoolFullError: As SpoolStore.
        """
        return SpoolStore(
            path,
            producer_id=str(uuid.uuid4()),
            project=self._project,
            max_bytes=self._settings.spool_bytes,
            durability=self._settings.spool_durability,
        )

    def close(self) -> None:
        """Let go of this process's folder, once its stores are closed; what they still hold is anybody's now."""
        if self._folder is not None:
            self._folder.release()

    def after_fork_in_child(self) -> None:
        """Leave the parent's folder to it, and have one of one's own, if the disk has room for it."""
        if self._folder is not None:
            self._folder.leave_to_parent()
        try:
            self._folder = self.directory.new_folder()
        except OSError:  # a fork must not fail for it: `store` says so
            self._folder = None
