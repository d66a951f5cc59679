"""A copy of the project, in which mutants are tried: nobody else's files change, and nobody else's tests see them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ROOTS = ("client", "server", "tests", "pyproject.toml")
_ONE_TEST_S = 20  # then it hangs on the mutant; the slowest takes three


class Copy:
    """A copy of the project.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in _ROOTS:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)
        # Before the paths of the installed project, and inherited by the processes that tests start.
        paths = os.pathsep.join(str(folder / name) for name in ("client", "server"))
        self._environment = {**os.environ, "PYTHONPATH": paths}
        self._writes = 0

    def write(self, file: str, text: str) -> None:
        """Give a file another text."""
        path = self._folder / file
        path.write_text(text)
        # Python takes what it has compiled for fresh when second and size are the same.
        self._writes += 1
        later = path.stat().st_mtime + 10 * self._writes
        os.utime(path, (later, later))

    def passes(self, tests: Sequence[str], within_s: float) -> bool:
        """Whether the tests pass in this time. What they started is ended with them."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", f"timeout={_ONE_TEST_S}"]
        process = subprocess.Popen(
            [*command, *tests],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(within_s) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):  # nothing is left of it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
