"""headrace beside what a team would write in its place, from the same dicts, batch size swept."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.arena import Arena
from benchmarks.contest import Results, Subject, contest
from benchmarks.headrace_paths.publish import Publish, as_dicts
from benchmarks.outcome import Outcome
from benchmarks.peers.adbc_ingest import AdbcIngest
from benchmarks.peers.asyncpg_copy import AsyncpgCopy
from benchmarks.peers.asyncpg_insert import AsyncpgExecutemany, AsyncpgUnnest
from benchmarks.peers.json_client import JsonService
from benchmarks.peers.naive_grpc import NaiveGrpc
from benchmarks.peers.psycopg_copy import PsycopgCopy
from benchmarks.rows import THIRTEEN
from benchmarks.scale import NORMAL, Scale
from benchmarks.tables import Table, make_table
from headrace import Identity

SIZES = (1_000, 4_000, 20_000, 100_000)
DICTS = "headrace_dicts"
Peer = Callable[[Arena, str, Table, int, int], Subject]
# Each with the share of a turn's rows it gets: the slow ones would take the whole time.
PEERS: dict[str, tuple[Peer, float]] = {
    "asyncpg COPY": (AsyncpgCopy, 1.0),
    "psycopg COPY": (PsycopgCopy, 1.0),
    "ADBC ingest": (AdbcIngest, 0.7),
    "asyncpg UNNEST": (AsyncpgUnnest, 0.1),
    "asyncpg executemany": (AsyncpgExecutemany, 0.04),
    "JSON service": (JsonService, 0.2),
}


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure the peers on an APPEND model's table, and those who COPY on a UNIQUE one's too."""
    append = _contest(arena, scale, Identity.APPEND, list(PEERS))
    unique = _contest(arena, scale, Identity.UNIQUE, ["asyncpg COPY", "psycopg COPY"])
    note = (
        "Rows a call in the name. Each peer writes the same dicts to the same table, committed call by call; "
        "making its records, arrays, Arrow or JSON of them is inside the clock, as headrace's encoding is. The "
        "slow ones get fewer rows, so their largest calls are measured by bench-full alone."
    )
    outcome = Outcome(
        grids=[
            append.grid("Peers, 13 columns, a table without unique index (APPEND)", DICTS, note),
            unique.grid("Peers, 13 columns, unique (event_id, event_time)", DICTS),
        ]
    )
    figures = outcome.figures
    for what, results in (("append", append), ("unique", unique)):
        figures[f"ratio.columns_{what}_vs_asyncpg_best"] = _against_best(results, "asyncpg COPY")
        figures[f"ratio.columns_{what}_vs_psycopg_best"] = _against_best(results, "psycopg COPY")
    figures["ratio.columns_vs_asyncpg_1000"] = append.ratio(DICTS, "asyncpg COPY 1,000").median
    figures["ratio.columns_vs_executemany"] = _against_best(append, "asyncpg executemany")
    figures["ratio.columns_vs_unnest"] = _against_best(append, "asyncpg UNNEST")
    figures["ratio.columns_vs_adbc"] = _against_best(append, "ADBC ingest")
    figures["ratio.columns_vs_json_service"] = _against_best(append, "JSON service")
    figures["ratio.columns_vs_naive_grpc"] = append.ratio(DICTS, "naive gRPC").median
    return outcome


def _contest(arena: Arena, scale: Scale, identity: Identity, names: list[str]) -> Results:
    def table(stem: str) -> Table:
        return make_table(arena, stem, THIRTEEN, identity)

    subjects: list[Subject] = [Publish(arena, DICTS, table("dicts"), scale.rows, as_dicts)]
    for name in names:
        peer, share = PEERS[name]
        rows = scale.share(share)
        for size in SIZES:
            if size <= rows or scale.rows > NORMAL.rows:
                label, stem = f"{name} {size:,}", name.lower().replace(" ", "_")
                subjects.append(peer(arena, label, table(f"{stem}_{size}"), max(rows, size), size))
    if identity is Identity.APPEND:
        subjects.append(NaiveGrpc(arena, "naive gRPC", table("naive"), scale.share(0.02)))
    return contest(arena, subjects, max(1, scale.rounds - 2))


def _against_best(results: Results, peer: str) -> float:
    """Return headrace's speed against the peer at the batch size that suits it best."""
    return min(results.ratio(DICTS, name).median for name in results.turns if name.startswith(f"{peer} "))
