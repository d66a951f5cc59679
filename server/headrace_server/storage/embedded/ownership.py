"""The service's claim on a data directory: an flock that the kernel gives up with the process, however it ends.

The database itself does not hold it (the descriptor is not inherited), so after kill -9 of the service the next one
gets the lock, finds the database alive, and adopts it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from headrace_server.storage.embedded.errors import DataDirectoryError, DataDirectoryInUseError


class Ownership:
    """Holds the lock from `take` to `release`."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock and write our process id into it; never waits.

        Raises:
            DataDirectoryInUseError: Another process has it.
            DataDirectoryError: The file cannot be opened.
        """
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise DataDirectoryError(f"{self._lock} cannot be opened: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DataDirectoryInUseError(self._lock.parent, owner(self._lock)) from None
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock up; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def owner(lock: Path) -> int | None:
    """Return the process that says it owns the directory; None when nobody does or it cannot be read."""
    try:
        pid = int(lock.read_text())
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, ValueError):
        return None
    return pid
