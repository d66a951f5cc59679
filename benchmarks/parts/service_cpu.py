"""Where the service's processor time goes, a row: its stages by their own clock, its threads by the kernel's."""

from __future__ import annotations

from pathlib import Path

import psutil

from benchmarks.arena import Arena
from benchmarks.figures import Spread, rounded
from benchmarks.groups import GroupSize
from benchmarks.headrace_paths.wire_stream import WireStream, column_form
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import FLIGHTS, THIRTEEN, Shape
from benchmarks.scale import Scale
from benchmarks.stages import ServiceStages, StageTimes
from benchmarks.tables import make_table
from headrace import Identity

LOOP, SOCKET, WORKERS = "event loop", "sockets", "workers"
STAGES = ("parse", "decode", "validate", "encode")
NOTE = (
    "µs of processor time a row. The first four are the service's own functions, run in this process on the same "
    "batches and clocked by their thread: parse (protobuf), decode (to Arrow), validate, encode (sort, pgpq). The last "
    "four are the running service's threads as the kernel counts them: the event loop (gRPC messages in and out, the "
    "writing of COPY), gRPC's own threads (sockets), the workers (the stages above, and waiting for the lock), all."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure both shapes on APPEND models."""
    outcome = Outcome()
    lines = []
    for shape in (THIRTEEN, FLIGHTS):
        stages, threads = _stages(arena, scale, shape), _threads(arena, scale, shape)
        total = sum(threads.values())
        lines.append([shape.name, *map(rounded, (*stages.values(), *threads.values(), total))])
        prefix = "" if shape is THIRTEEN else f"{shape.name}."
        outcome.figures[f"{prefix}service_cpu_us_per_row.total"] = total
        outcome.figures |= {f"{prefix}service_cpu_us_per_row.{name}": value for name, value in stages.items()}
        outcome.figures |= {
            f"{prefix}service_cpu_us_per_row.{name.replace(' ', '_')}": value for name, value in threads.items()
        }
    heads = ["rows", *STAGES, LOOP, SOCKET, WORKERS, "all"]
    outcome.grids.append(Grid("The service's processor time", heads, lines, NOTE))
    return outcome


def _stages(arena: Arena, scale: Scale, shape: Shape) -> dict[str, float]:
    table = make_table(arena, "stages", shape, Identity.APPEND)
    stages, rows = ServiceStages(arena, table), shape.rows(scale.rows)
    samples: dict[str, list[float]] = {name: [] for name in STAGES}
    for _ in range(scale.rounds + 1):
        times = StageTimes()
        stages.copy_bytes(rows, GroupSize(arena).rows(), times)
        for name in STAGES:
            samples[name].append(1e6 * times.seconds[name] / len(rows))
    return {name: Spread.of(values[1:]).median for name, values in samples.items()}


def _threads(arena: Arena, scale: Scale, shape: Shape) -> dict[str, float]:
    """Send batches made before, and read the service's threads around it."""
    table = make_table(arena, "threads", shape, Identity.APPEND)
    stream = WireStream(arena, "bare columns", table, scale.rows, column_form)
    stream.prepare(shape.rows(scale.rows))
    stream.run()
    samples: dict[str, list[float]] = {LOOP: [], SOCKET: [], WORKERS: []}
    for _ in range(scale.rounds):
        before = _read(arena.service.pid)
        stream.run()
        for name, seconds in _read(arena.service.pid).items():
            samples[name].append(1e6 * (seconds - before[name]) / scale.rows)
    stream.close()
    return {name: Spread.of(values).median for name, values in samples.items()}


def _read(pid: int) -> dict[str, float]:
    totals = {LOOP: 0.0, SOCKET: 0.0, WORKERS: 0.0}
    for thread in psutil.Process(pid).threads():
        name = Path(f"/proc/{pid}/task/{thread.id}/comm").read_text().strip()
        what = LOOP if thread.id == pid else WORKERS if name.startswith("python") else SOCKET
        totals[what] += thread.user_time + thread.system_time
    return totals
