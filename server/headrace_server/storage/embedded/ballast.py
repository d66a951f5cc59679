"""A file of known size that is given up when the disk is full, so that the database can come back by itself.

PostgreSQL ends when it cannot write its log of changes, and needs room to recover. The ballast is that room. It is put
back once the disk has space for it and as much again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Two segments of the write-ahead log: less than this, and recovery cannot finish.
FULL_BELOW_BYTES = 32 * 1024 * 1024


class Ballast:
    """The file of one data directory.

    Args:
        path: Where it lies: on the file system that is to be saved.
        size_bytes: How much it holds; 0 for no ballast at all.
        full_below_bytes: The disk counts as full when less than this is free.
    """

    def __init__(self, path: Path, size_bytes: int, full_below_bytes: int = FULL_BELOW_BYTES) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._full_below_bytes = full_below_bytes

    @property
    def held(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def put_back(self) -> bool:
        """Make the file when it is missing and there is room for twice its size; return whether it was made."""
        if self.held or self._size_bytes == 0:
            return False
        if self._free_bytes() < 2 * self._size_bytes + self._full_below_bytes:
            return False
        making = self._path.with_name(self._path.name + ".making")
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
        except (OSError, AttributeError):  # macOS has no posix_fallocate, and so no ballast
            making.unlink()
            return False
        finally:
            os.close(descriptor)
        making.rename(self._path)
        return True

    def give_up_if_full(self) -> bool:
        """Remove the file when the disk is full; return whether that made room."""
        if not self.held or self._free_bytes() >= self._full_below_bytes:
            return False
        self._path.unlink()
        return True

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._path.parent).free
