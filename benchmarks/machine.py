"""What the figures were measured on: facts of the machine, and the versions of what took part."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.arena import Arena

PACKAGES = (
    *("headrace", "grpcio", "protobuf", "asyncpg", "pgpq", "pyarrow", "numpy", "uvloop", "orjson"),
    *("psycopg", "adbc-driver-postgresql", "fastapi", "granian", "confluent-kafka", "opentelemetry-sdk"),
)


def facts(arena: Arena) -> dict[str, object]:
    """Return what somebody needs who wants to measure the same again."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": arena.query("SHOW server_version"),
        "timescaledb": arena.query("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"),
        "fsync": arena.query("SHOW fsync"),
        "commit": _commit(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
