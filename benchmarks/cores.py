"""What more cores would give: a small model, from what a row costs here, that says which limit is met first.

A row costs the service and the database processor time, and the database bytes of its write-ahead log. On a machine of
some cores the rows a second are then bounded by four things, of which the least holds:

- the cores, together: the time of a row, divided among so many; less what they lose to each other (`contention`, the
  first term of Gunther's Universal Scalability Law, which is Amdahl's serial share: 0 loses nothing),
- the workers: each has one interpreter lock, so that it takes one core at most,
- the backends that write: each is one process of PostgreSQL, so that it takes one core at most,
- the disk of the write-ahead log.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

BACKENDS_A_WORKER = 2  # a copier's, which commit in turn


@dataclass(frozen=True)
class Costs:
    """What a row costs.

    Attributes:
        service_us: Processor time of the service, µs.
        database_us: Processor time of the database, µs.
        wal_bytes: Bytes of write-ahead log.
    """

    service_us: float
    database_us: float
    wal_bytes: float


@dataclass(frozen=True)
class Limit:
    """The tightest bound.

    Attributes:
        rows_per_s: The bound.
        of: What is met: cores, workers, backends or disk.
    """

    rows_per_s: float
    of: str


def useful_cores(cores: int, contention: float) -> float:
    """Return as how many cores work that lose nothing to each other."""
    return cores / (1 + contention * (cores - 1))


def contention_seen(cores: int, busy_cores: float) -> float:
    """Return the contention that would leave this much of the cores at work.

    An upper bound: a core that waits for the disk, or for a client, is counted as one that waits for another core.

    Args:
        cores: How many there are; at least 2.
        busy_cores: How many were at work for rows, on average.
    """
    return max(0.0, (cores / busy_cores - 1) / (cores - 1))


def best_workers(costs: Costs, cores: int) -> int:
    """Return the fewest workers that are not the limit on so many cores, neither themselves nor their backends."""
    rows_a_us = cores / (costs.service_us + costs.database_us)
    return max(1, ceil(rows_a_us * costs.service_us), ceil(rows_a_us * costs.database_us / BACKENDS_A_WORKER))


def limit(costs: Costs, *, cores: int, workers: int, contention: float, disk_bytes_per_s: float) -> Limit:
    """Return what so many workers give on so many cores, the clients being elsewhere.

    Args:
        costs: What a row costs.
        cores: Cores that service and database share.
        workers: Workers of the service.
        contention: The share of a core's time that each further core takes from it, 0 … 1.
        disk_bytes_per_s: What the disk of the write-ahead log takes.
    """
    bounds = {
        "cores": 1e6 * useful_cores(cores, contention) / (costs.service_us + costs.database_us),
        "workers": 1e6 * workers / costs.service_us,
        "backends": 1e6 * workers * BACKENDS_A_WORKER / costs.database_us,
        "disk": disk_bytes_per_s / costs.wal_bytes,
    }
    name = min(bounds, key=lambda each: bounds[each])
    return Limit(bounds[name], name)
