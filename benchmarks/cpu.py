"""Processor time of the very processes: the client (this process), the service, and the database's backends."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cpu:
    """Processor seconds by who spent them."""

    client: float = 0.0
    service: float = 0.0
    database: float = 0.0

    def since(self, before: Cpu) -> Cpu:
        """Return what was spent between two readings."""
        return Cpu(self.client - before.client, self.service - before.service, self.database - before.database)

    def and_also(self, other: Cpu) -> Cpu:
        """Return both together."""
        return Cpu(self.client + other.client, self.service + other.service, self.database + other.database)

    def us_a_row(self, rows: int) -> Cpu:
        """Return microseconds a row."""
        return Cpu(*(1e6 * seconds / rows for seconds in (self.client, self.service, self.database)))


class CpuMeter:
    """Reads processor time; the database is the postmaster with its children, those that have ended included."""

    def __init__(self, postmaster_pid: int) -> None:
        self._client = psutil.Process()
        self._postmaster = psutil.Process(postmaster_pid)

    def read(self, service_pid: int | None) -> Cpu:
        """Return the totals so far; `service_pid` is whatever stands between the client and the database."""
        database = self._postmaster.cpu_times()
        total = database.user + database.system + database.children_user + database.children_system
        for child in self._postmaster.children(recursive=True):
            try:
                total += _own(child)
            except psutil.NoSuchProcess:
                continue  # its time is the postmaster's children's now, from the next reading on
        service = 0.0 if service_pid is None else self._of_service(psutil.Process(service_pid))
        return Cpu(_own(self._client), service, total)

    def _of_service(self, service: psutil.Process) -> float:
        """A service's time with that of its workers, but without the database, which headrace starts as its child."""
        workers = [child for child in service.children() if child != self._postmaster]
        return sum(map(_own, [service, *workers]))


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
