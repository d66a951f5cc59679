"""The fake service in a process of its own, for tests in which the client's process forks or ends.

python -m support.fake_service_process       prints its address, then, when stdin closes, its rows as JSON lines
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.testing import FakeService

_TESTS = Path(__file__).parent.parent


class FakeServiceProcess:
    """A running fake service; `rows` stops it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.address = process.stdout.readline().strip()

    def rows(self) -> list[dict[str, Any]]:
        """Stop the service and return what it stored: producer_id and cells of each row."""
        out, _ = self._process.communicate(timeout=30)
        return [json.loads(line) for line in out.splitlines()]


@contextmanager
def fake_service_process() -> Iterator[FakeServiceProcess]:
    """Run a fake service in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.fake_service_process"],
        cwd=_TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield FakeServiceProcess(process)
    finally:
        if process.poll() is None:
            process.communicate(timeout=30)


def _serve() -> None:
    with FakeService() as service:
        print(service.address, flush=True)
        sys.stdin.read()
        for row in service.ledger.rows:
            print(json.dumps({"producer_id": row.producer_id, "cells": row.cells}, default=str))


if __name__ == "__main__":
    _serve()
