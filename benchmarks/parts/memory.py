"""The service's resident memory where it is hardest to bound: many streams, the dear form, a database that stalls."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil

from benchmarks.arena import Arena
from benchmarks.headrace_paths.stream_clients import stream_clients
from benchmarks.headrace_paths.wire_stream import json_form
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.service import Service, serving
from benchmarks.stages import encoded_batches
from benchmarks.tables import make_table
from headrace import Identity

STREAMS = 1_000
STALL_S = 6.0
MIB = 1024 * 1024
NOTE = (
    "A service of its own with default budgets; VmHWM, the kernel's own peak of resident memory, after each step. The "
    "database stalls by SIGSTOP of all its processes for six seconds, while every stream goes on sending JSON; "
    "afterwards everything is acknowledged."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Go from the easy to the hard; a peak never falls, so the last is the worst."""
    table = make_table(arena, "memory", THIRTEEN, Identity.APPEND)
    small = list(encoded_batches(table, THIRTEEN.rows(10_000), 200))
    json = list(json_form(table, THIRTEEN.rows(5_000)))
    batches = max(1, round(scale.rows / (STREAMS * 200)))
    peaks: dict[str, float] = {}
    log = arena.folder / "memory.log"
    with serving(log, HEADRACE_DATABASE_URL=arena.database_url) as service:
        peaks["started, idle"] = _peak(service)
        with stream_clients(service.grpc, arena.folder, small, streams=STREAMS, batches=0, processes=2):
            peaks["1,000 streams, open and idle"] = _peak(service)
        _send(arena, service, small, STREAMS, batches)
        peaks["1,000 streams, batches of 200 rows"] = _peak(service)
        _send(arena, service, json, 20, max(1, scale.rows // 100_000))
        peaks["20 streams, batches of 5,000 rows as JSON"] = _peak(service)
        _send(arena, service, list(json_form(table, THIRTEEN.rows(200))), STREAMS, 5, stall=True)
        peaks["1,000 streams, batches of 200 rows as JSON, the database stalled"] = _peak(service)
        _send(arena, service, list(json_form(table, THIRTEEN.rows(1_000))), STREAMS, 1, stall=True)
        peaks["1,000 streams, batches of 1,000 rows as JSON, the database stalled"] = _peak(service)
    lines = [[name, f"{peak:.0f}"] for name, peak in peaks.items()]
    figures = {"server.rss_peak_mb": max(peaks.values()), "server.rss_idle_mb": peaks["started, idle"]}
    return Outcome(figures=figures, grids=[Grid("Resident memory of the service", ["", "peak MB"], lines, NOTE)])


def _send(
    arena: Arena, service: Service, bodies: list[bytes], streams: int, batches: int, *, stall: bool = False
) -> None:
    with stream_clients(service.grpc, arena.folder, bodies, streams=streams, batches=batches, processes=2) as clients:
        if not stall:
            clients.begin()
        else:
            _signal(arena, signal.SIGSTOP)
            try:
                clients.begin()
                time.sleep(STALL_S)
            finally:
                _signal(arena, signal.SIGCONT)
        clients.wait()


def _signal(arena: Arena, number: signal.Signals) -> None:
    """Signal every process of the database, the postmaster first when it is to stop."""
    for process in (arena.postmaster, *arena.postmaster.children(recursive=True)):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _peak(service: Service) -> float:
    """Return the peak of resident memory so far, in MB."""
    for line in Path(f"/proc/{service.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / MIB
    raise LookupError("the kernel does not tell VmHWM")
