"""The service under measurement: `headrace serve` as its users start it, a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 120.0
STOP_S = 60.0


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        grpc: Address of its gRPC door.
        http: Address of its HTTP door.
        pid: Its process.
    """

    grpc: str
    http: str
    pid: int

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels, now."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].partition("{")[0] == name)


@contextmanager
def serving(log: Path, *arguments: str, launcher: str = "headrace_server", **environment: str) -> Iterator[Service]:
    """Start a service on free ports and stop it, with what it owns, when the block ends.

    Args:
        log: File for what it says.
        arguments: More flags of `headrace serve`.
        launcher: Module that is run in its place and takes the same arguments.
        environment: More variables.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")} | environment
    ports = ("--grpc-port", "0", "--http-port", "0", "--log-format", "json")
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", launcher, "serve", *ports, *arguments], stderr=said, env=variables
        )
    try:
        facts = _serving_facts(log, process)
        yield Service(facts["grpc"], facts["http"], process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serving_facts(log: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                facts: dict[str, str] = json.loads(line)
                return facts
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start:\n{log.read_text()[-2000:]}")
