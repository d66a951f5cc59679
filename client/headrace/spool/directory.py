"""The spool directory: a folder for each process, and whoever finds one whose process is gone takes it over.

A process holds a lock (flock) on its folder for as long as it lives, however it ends. A folder is made under a name
that nobody looks at and gets its own once it is locked, so that none is taken over while it is made. A forked child
lets go of its parent's folder without a word and makes its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from headrace.spool.store import DAMAGED

_LOCK = "lock"


class SpoolFolder:
    """A locked folder: files of the producers of one process.

    Args:
        path: The folder.
        lock: Descriptor that holds the lock.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def file_of(self, lane: str) -> Path:
        """Where the batches of a lane are."""
        return self.path / f"{lane}.db"

    def files(self) -> list[Path]:
        """The files that hold batches."""
        return sorted(self.path.glob("*.db"))

    def release(self) -> None:
        """Let go of the folder; it is removed when no batches are left in it."""
        if not self.files():
            shutil.rmtree(self.path, ignore_errors=True)
        self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Close the descriptor alone: of a forked child's, the parent's lock stays."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


class SpoolDirectory:
    """A directory of spools, shared by any number of processes of one machine.

    Args:
        path: The directory; made when it is not there, for this user alone.

    Raises:
        OSError: It cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def new_folder(self) -> SpoolFolder:
        """Make this process's folder.

        Raises:
            OSError: It cannot be made.
        """
        name = uuid.uuid4().hex
        unseen = self.path / f".{name}"
        unseen.mkdir(mode=0o700)
        lock = _locked(unseen)
        assert lock is not None  # noqa: S101 -- nobody else knows the folder
        path = unseen.rename(self.path / name)
        return SpoolFolder(path, lock)

    def abandoned(self) -> Iterator[SpoolFolder]:
        """Yield the folders whose process is gone, each locked by now."""
        for path in sorted(self.path.iterdir()):
            if path.name.startswith(".") or path.name == DAMAGED or not path.is_dir():
                continue
            with contextlib.suppress(FileNotFoundError):  # another process has finished with it just now
                lock = _locked(path)
                if lock is not None:
                    yield SpoolFolder(path, lock)


def _locked(folder: Path) -> int | None:
    """Lock a folder; None when somebody holds it."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
