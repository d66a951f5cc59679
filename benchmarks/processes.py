"""A peer's server as a process of its own, which says on its standard output when it listens."""

from __future__ import annotations

import subprocess
import sys


class PeerProcess:
    """A module, run until it is ended."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            raise RuntimeError(f"{module} did not start")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
