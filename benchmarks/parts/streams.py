"""A thousand open streams that send batches of 200 rows, against one stream that sends big ones."""

from __future__ import annotations

from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.figures import Spread, ratios
from benchmarks.headrace_paths.stream_clients import StreamClients, stream_clients
from benchmarks.headrace_paths.wire_stream import column_form
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.stages import BATCH_ROWS, encoded_batches
from benchmarks.tables import make_table
from headrace import Identity

STREAMS, SMALL_BATCH = 1_000, 200
NOTE = (
    "The same bare client, batches made before the clock, streams opened before it: 1,000 streams over ten connections "
    "of two client processes, or one stream of one. Clients, service and database share the cores."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Let the two take turns."""
    table = make_table(arena, "streams", THIRTEEN, Identity.APPEND)
    batches = max(1, round(2 * scale.rows / (STREAMS * SMALL_BATCH)))
    rows = STREAMS * SMALL_BATCH * batches
    source = THIRTEEN.rows(BATCH_ROWS)
    small = list(encoded_batches(table, source, SMALL_BATCH))
    big = list(column_form(table, source))
    many, one = [], []
    for number in range(max(1, scale.rounds - 2) + 1):
        with stream_clients(
            arena.service.grpc, arena.folder, big, streams=1, batches=rows // BATCH_ROWS, processes=1
        ) as clients:
            one.append(_timed(clients))
        with stream_clients(
            arena.service.grpc, arena.folder, small, streams=STREAMS, batches=batches, processes=2
        ) as clients:
            many.append(_timed(clients))
        if number == 0:
            one.clear()
            many.clear()
    ratio = ratios(many, one)
    lines = [
        [name, f"{rows / Spread.of(seconds).median:,.0f}", str(Spread.of([1e6 * s / rows for s in seconds]))]
        for name, seconds in ((f"one stream, {BATCH_ROWS:,} rows a batch", one), ("1,000 streams, 200 rows", many))
    ]
    return Outcome(
        figures={"ratio.streams_1000_vs_one": ratio.median},
        spreads={"ratio.streams_1000_vs_one": (ratio.low, ratio.high)},
        grids=[Grid("A thousand streams", ["", "rows/s", "µs/row"], lines, NOTE)],
    )


def _timed(clients: StreamClients) -> float:
    begun = perf_counter()
    clients.begin()
    clients.wait()
    return perf_counter() - begun
