"""PostgreSQL's settings for one embedded database, written anew at every start.

In: what is at hand and what was chosen. Out: the text of `postgresql.conf` and `pg_hba.conf`. Durability is never
traded for speed here: an ack promises a committed, flushed transaction.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.layout import LOOPBACK, DataDirectory

MIB = 1024 * 1024
LARGEST_SHARED_BUFFERS = 512 * MIB
SMALLEST_SHARED_BUFFERS = 32 * MIB
# Docker gives 64 MB by default, which one parallel hash join can use up.
SMALLEST_SHARED_MEMORY = 256 * MIB
MAX_CONNECTIONS = 100

# Locally the folder's mode decides who reaches the socket; over TCP the password does.
CLIENT_AUTHENTICATION = f"""\
# Written by headrace at every start.
local all         all                trust
local replication all                trust
host  all         all {LOOPBACK}/32 scram-sha-256
"""


def memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or its container's limit."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return memory


def shared_memory_type(folder: Path) -> str:
    """Return what parallel queries share memory through: POSIX, or the cluster's files where containers skimp on it."""
    if sys.platform != "linux":
        return "posix"
    usable = folder.is_dir() and folder.stat().st_mode & 0o002
    return "posix" if usable and shutil.disk_usage(folder).total >= SMALLEST_SHARED_MEMORY else "mmap"


def configuration(
    directory: DataDirectory, installation: Installation, port: int, overrides: Mapping[str, str], memory: int
) -> str:
    """Return the text of `postgresql.conf`.

    Args:
        directory: The data directory.
        installation: What will run; decides on lz4.
        port: The loopback port.
        overrides: Settings that win over ours.
        memory: Bytes of memory to size caches by.
    """
    shared_buffers = max(min(memory // 8, LARGEST_SHARED_BUFFERS), SMALLEST_SHARED_BUFFERS)
    utc = "UTC" if Path("/usr/share/zoneinfo/UTC").exists() else "GMT"  # GMT needs no time zone files
    settings = {
        "data_directory": str(directory.cluster),
        "hba_file": str(directory.client_authentication),
        "cluster_name": "headrace",
        # Doors
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": f'"{directory.socket_folder}"',  # a list; the quotes keep a comma in the name
        "unix_socket_permissions": "0700",
        "max_connections": str(MAX_CONNECTIONS),
        "password_encryption": "scram-sha-256",
        # TimescaleDB; its telemetry would call home
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        "timescaledb.max_background_workers": "8",
        "max_worker_processes": "24",
        # A group of commits may touch 64 chunks, each with its indexes
        "max_locks_per_transaction": "256",
        # Durability
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        # Bulk COPY: few, spread checkpoints, but no more redo than comes back in seconds (1 GB: 10.6 s)
        "max_wal_size": "1GB",
        "min_wal_size": "256MB",
        "wal_buffers": "16MB",
        "wal_compression": "lz4" if installation.lz4 else "pglz",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        # Memory
        "shared_buffers": f"{shared_buffers // MIB}MB",
        "effective_cache_size": f"{memory // 2 // MIB}MB",
        "dynamic_shared_memory_type": shared_memory_type(Path("/dev/shm")),  # noqa: S108 — PostgreSQL's place, not ours
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        # LLVM is left out of the private runtime
        "jit": "off",
        "random_page_cost": "1.1",
        # Logs: seven files, one a weekday, each emptied when its day comes round
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_line_prefix": "%m [%p] %q%a ",
        # Rows are data; they do not belong into logs
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "timezone": utc,
        "log_timezone": utc,
        "lc_messages": "C",
        **overrides,
    }
    lines = (
        f"{name} = '{value.replace(chr(92), chr(92) * 2).replace(chr(39), chr(39) * 2)}'"
        for name, value in settings.items()
    )
    return "# Written by headrace at every start: changes made here are lost.\n" + "\n".join(lines) + "\n"
