"""Client processes that hold many streams between them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class StreamClients:
    """The processes, all streams open."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [process.pid for process in self._processes]

    def begin(self) -> None:
        """Have them send."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def wait(self) -> None:
        """Wait until everything is acknowledged.

        Raises:
            RuntimeError: A client has failed.
        """
        for process in self._processes:
            _expect(process, "done")


def _expect(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    if (said := process.stdout.readline().strip()) != word:
        raise RuntimeError(f"a client said {said!r} in place of {word!r}")


@contextmanager
def stream_clients(
    address: str,
    folder: Path,
    bodies: Sequence[bytes],
    *,
    streams: int,
    batches: int,
    processes: int,
    streams_a_connection: int = 100,
) -> Iterator[StreamClients]:
    """Start clients that share so many streams, each of which will send so many batches."""
    file = folder / "batches"
    file.write_bytes(pickle.dumps(list(bodies)))
    module = "benchmarks.headrace_paths.many_streams"
    numbers = map(str, (streams // processes, batches, streams_a_connection))
    command = [sys.executable, "-m", module, address, str(file), *numbers]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    try:
        for process in started:
            _expect(process, "ready")
        yield StreamClients(started)
    finally:
        for process in started:
            process.kill()
            process.wait()
