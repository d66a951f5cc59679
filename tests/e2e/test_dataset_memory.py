"""A large file as a dataset, in little memory: the client and the service, each measured above what imports take.

A small file here; `make dataset-memory` does the same with 2 GB.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import psutil

import headrace
from support.service import running_service

MIB = 1024 * 1024
SIZE_BYTES = int(os.environ.get("HEADRACE_TEST_DATASET_MB", "60")) * 1_000_000
MOST_BYTES = 300 * MIB
COLUMNS = 30
BLOCK_ROWS = 2_000

CLIENT = """
import pathlib, re, sys
import headrace, headrace.sources.frames, pyarrow.csv

def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024

imported = status("VmRSS")
with headrace.connect(sys.argv[1]) as client:
    job = client.model("wide").publish_dataset(sys.argv[2], name="large", expected_rows=int(sys.argv[3]))
    job.wait()
    print(status("VmHWM") - imported, job.result["rows"])
"""


def written(path: Path) -> int:
    """Write a CSV of the size; returns its rows."""
    names = [f"x{number}" for number in range(COLUMNS)]
    rows = [
        ",".join(f"{(row * 31 + column * 17) % 9973 / 9973:.6f}" for column in range(COLUMNS))
        for row in range(BLOCK_ROWS)
    ]
    block = ("\n".join(rows) + "\n").encode()
    count = 0
    with path.open("wb") as file:
        file.write((",".join(names) + "\n").encode())
        while file.tell() < SIZE_BYTES:
            file.write(block)
            count += BLOCK_ROWS
    return count


async def test_a_large_csv_in_little_memory(database_url: str, database: asyncpg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    rows = await asyncio.to_thread(written, file)
    async with running_service(database_url) as service:
        client = headrace.connect(service.grpc)
        schema = headrace.Schema(features={f"x{number}": "float64" for number in range(COLUMNS)})
        await asyncio.to_thread(client.register, schema, name="wide")
        client.close()
        before = psutil.Process(service.process.pid).memory_info().rss
        command = (sys.executable, "-c", CLIENT, service.grpc, str(file), str(rows))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        told = (await process.stdout.read()).decode().split()
        assert await process.wait() == 0
        client_bytes, stored = map(int, told)
        service_bytes = peak(service.process.pid) - before
    file.unlink()
    assert stored == rows == await database.fetchval("SELECT rows FROM headrace.datasets")
    print(f"{SIZE_BYTES / 1e6:.0f} MB, {rows:,} rows: client +{client_bytes / MIB:.0f} MiB", end=", ")
    print(f"service +{service_bytes / MIB:.0f} MiB")
    assert client_bytes < MOST_BYTES
    assert service_bytes < MOST_BYTES


def peak(pid: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
