"""A disk that is small enough to be filled: a tmpfs, where the machine lets us mount one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_MB = 1_024


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """Mount one for the length of the block; None where that is not allowed."""
    with tempfile.TemporaryDirectory(prefix="headrace-disk-") as folder:
        Path(folder).chmod(0o711)
        options = f"size={SIZE_MB}m,mode=0711"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
