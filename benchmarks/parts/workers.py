"""A service of one process against one of several, and what a machine of more cores would make of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import perf_counter

import psutil

from benchmarks.arena import Arena
from benchmarks.cores import Costs, best_workers, contention_seen, limit
from benchmarks.cpu import Cpu
from benchmarks.figures import Spread, ratios, rounded
from benchmarks.headrace_paths.stream_clients import StreamClients, stream_clients
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.service import Service, serving
from benchmarks.stages import encoded_batches
from benchmarks.tables import Table, make_table
from headrace import Identity

CLIENTS, STREAMS, BATCH = 4, 32, 5_000
LARGER = (1, 2, 4, 8, 16, 32)
MIB = 1024 * 1024
DISK_MIB = 256
NOTE = (
    f"APPEND, 13 columns, batches of {BATCH:,} rows made before the clock; {STREAMS} streams, each on a connection of "
    f"its own, of {CLIENTS} client processes. Clients, services and database share the machine's cores. Services take "
    "turns, each started for its turn and warmed up. The kernel spreads connections by chance, so that workers have "
    "more or fewer of them from turn to turn."
)
MODEL_NOTE = (
    "Not measured: benchmarks/cores.py says how it is reckoned. Clients are elsewhere. Rows a second without any loss "
    "between cores, and with the loss that would explain all that the cores here did not work: the truth is between "
    "the two, and the limit behind each says what is met first. The log's disk is taken to be the one here."
)


@dataclass(frozen=True)
class _Load:
    """What every service is sent.

    Attributes:
        table: Where to.
        bodies: Batches, which the streams take in turns.
        batches: How many each stream sends.
    """

    table: Table
    bodies: Sequence[bytes]
    batches: int

    @property
    def rows(self) -> int:
        """Rows of all streams."""
        return STREAMS * self.batches * BATCH

    def clients(self, arena: Arena, service: Service, batches: int) -> AbstractContextManager[StreamClients]:
        """Return clients that will send so many batches on each stream."""
        return stream_clients(
            service.grpc,
            arena.folder,
            self.bodies,
            streams=STREAMS,
            batches=batches,
            processes=CLIENTS,
            streams_a_connection=1,
        )


@dataclass
class _Turns:
    """One service's turns.

    Attributes:
        us: Clock time a row, µs.
        cpu: Processor time a row, µs.
        wal_bytes: Bytes of write-ahead log a row.
    """

    us: list[float] = field(default_factory=list)
    cpu: list[Cpu] = field(default_factory=list)
    wal_bytes: list[float] = field(default_factory=list)

    def forget(self) -> None:
        """Leave the first round out: it warms up."""
        for values in (self.us, self.cpu, self.wal_bytes):
            values.clear()

    def median(self, who: str) -> float:
        """Return the median of somebody's processor time."""
        return Spread.of([getattr(each, who) for each in self.cpu]).median


def run(arena: Arena, scale: Scale) -> Outcome:
    """Let services of 1, 2, 4 … workers take turns, up to the machine's cores."""
    cores = os.cpu_count() or 1
    counts = [count for count in LARGER if count <= max(2, cores)]
    turns = {count: _Turns() for count in counts}
    table = make_table(arena, "workers", THIRTEEN, Identity.APPEND)
    bodies = list(encoded_batches(table, THIRTEEN.rows(8 * BATCH), BATCH))
    load = _Load(table, bodies, max(1, round(2 * scale.rows / (STREAMS * BATCH))))
    for number in range(scale.rounds + 1):
        for count, each in turns.items():
            _turn(arena, count, load, each)
        if number == 0:
            for each in turns.values():
                each.forget()
    return _outcome(turns, cores, _disk_bytes_per_s(arena))


def _turn(arena: Arena, workers: int, load: _Load, turns: _Turns) -> None:
    """Start a service, let it warm up, and send; idle ones would hold connections that a larger one needs."""
    log = arena.folder / f"workers-{workers}.log"
    with serving(log, "--workers", str(workers), HEADRACE_DATABASE_URL=arena.database_url) as service:
        with load.clients(arena, service, 1) as clients:
            clients.begin()
            clients.wait()
        before_rows = load.table.count(arena)
        with load.clients(arena, service, load.batches) as clients:
            wal, cpu = _wal_bytes(arena), _read(arena, service, clients.pids)
            begun = perf_counter()
            clients.begin()
            clients.wait()
            turns.us.append(1e6 * (perf_counter() - begun) / load.rows)
            turns.cpu.append(_read(arena, service, clients.pids).since(cpu).us_a_row(load.rows))
            turns.wal_bytes.append((_wal_bytes(arena) - wal) / load.rows)
    if (stored := load.table.count(arena) - before_rows) != load.rows:
        raise RuntimeError(f"{load.rows} rows were acknowledged, {stored} are stored")


def _read(arena: Arena, service: Service, client_pids: Sequence[int]) -> Cpu:
    times = [psutil.Process(pid).cpu_times() for pid in client_pids]
    read = arena.meter.read(service.pid)
    return Cpu(sum(each.user + each.system for each in times), read.service, read.database)


def _wal_bytes(arena: Arena) -> int:
    return int(arena.query("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))


def _disk_bytes_per_s(arena: Arena) -> float:
    """Write a file as the log is written, one piece after the other, and count what the disk took a second."""
    path, piece = arena.folder / "disk", os.urandom(8 * MIB)
    begun = perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(DISK_MIB * MIB // len(piece)):
            file.write(piece)
            os.fdatasync(file.fileno())
    took_s = perf_counter() - begun
    path.unlink()
    return DISK_MIB * MIB / took_s


def _outcome(turns: dict[int, _Turns], cores: int, disk_bytes_per_s: float) -> Outcome:
    one, outcome, lines = turns[1], Outcome(), []
    for count, each in turns.items():
        rate = ratios(each.us, one.us)
        outcome.figures[f"rows_per_s.workers_{count}"] = 1e6 / Spread.of(each.us).median
        if count > 1:
            outcome.figures[f"ratio.workers_{count}_vs_one"] = rate.median
            outcome.spreads[f"ratio.workers_{count}_vs_one"] = (rate.low, rate.high)
        spent = [each.median(who) for who in ("client", "service", "database")]
        wal = Spread.of(each.wal_bytes).median
        lines.append(
            [
                str(count),
                f"{1e6 / Spread.of(each.us).median:,.0f}",
                str(Spread.of(each.us)),
                "1" if count == 1 else str(rate),
                *map(rounded, (*spent, sum(spent) / Spread.of(each.us).median, wal)),
            ]
        )
    heads = [
        "workers",
        "rows/s",
        "µs/row",
        "times one",
        "client µs",
        "service µs",
        "database µs",
        "cores busy",
        "WAL bytes",
    ]
    outcome.grids += [Grid("Workers", heads, lines, NOTE), _reckoned(turns, cores, disk_bytes_per_s, outcome)]
    return outcome


def _reckoned(turns: dict[int, _Turns], cores: int, disk_bytes_per_s: float, outcome: Outcome) -> Grid:
    """Reckon what larger machines give, from the turns of the service that kept the most cores at work."""
    fastest = min(turns.values(), key=lambda each: Spread.of(each.us).median)
    costs = Costs(fastest.median("service"), fastest.median("database"), Spread.of(fastest.wal_bytes).median)
    busy = sum(fastest.median(who) for who in ("client", "service", "database")) / Spread.of(fastest.us).median
    contention = contention_seen(max(2, cores), busy)
    lines = []
    for larger in LARGER:
        workers = best_workers(costs, larger)
        bounds = [
            limit(costs, cores=larger, workers=workers, contention=loss, disk_bytes_per_s=disk_bytes_per_s)
            for loss in (0.0, contention)
        ]
        outcome.figures[f"reckoned.rows_per_s.cores_{larger}"] = bounds[0].rows_per_s
        outcome.figures[f"reckoned.rows_per_s.cores_{larger}_at_worst"] = bounds[1].rows_per_s
        told = [f"{each.rows_per_s:,.0f} ({each.of})" for each in bounds]
        log = bounds[0].rows_per_s * costs.wal_bytes / MIB
        lines.append([str(larger), str(workers), *told, f"{log:,.0f}"])
    title = f"Reckoned: more cores ({rounded(costs.service_us)} + {rounded(costs.database_us)} µs a row)"
    note = f"{MODEL_NOTE} It took {disk_bytes_per_s / MIB:,.0f} MB a second; contention at worst {contention:.3f}."
    return Grid(title, ["cores", "workers", "rows/s without loss", "rows/s at worst", "log MB/s"], lines, note)
