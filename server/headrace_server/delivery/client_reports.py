"""The counters that clients report, kept beside the ledger: the last of each producer.

What a client says is bounded before it is written: numbers to what a bigint holds, reasons in number and length.
"""

import json
from typing import TypeAlias

import asyncpg

from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.batching.batch import Producer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

MOST_REASONS = 64
MOST_REASON_CHARACTERS = 64
LARGEST_COUNT = 2**53  # as a JSON number, too; the sums of a statement stay far below a bigint's limit

_WRITE = """
INSERT INTO headrace.producer_reports AS r
    (project, producer_id, logged, dropped, quarantined, spooled, buffered, in_flight, retried)
VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9)
ON CONFLICT (project, producer_id) DO UPDATE
SET reported_at = now(), logged = $3, dropped = $4::jsonb, quarantined = $5, spooled = $6, buffered = $7,
    in_flight = $8, retried = $9
"""


async def write_report(connection: Connection, producer: Producer, report: pb.Report) -> None:
    """Keep what a producer's client has reported."""
    await connection.execute(
        _WRITE,
        producer.project,
        producer.id,
        _count(report.logged_rows),
        json.dumps(dropped_rows(report)),
        _count(report.quarantined_rows),
        _count(report.spooled_rows),
        _count(report.buffered_rows),
        _count(report.in_flight_rows),
        _count(report.retried_rows),
    )


def dropped_rows(report: pb.Report) -> dict[str, int]:
    """Rows by policy or reason; of too many reasons the rest is gathered under "other"."""
    dropped: dict[str, int] = {}
    for name, rows in sorted(report.dropped_rows.items()):
        kept = name[:MOST_REASON_CHARACTERS].replace("\0", "\\0").encode("utf-8", "replace").decode()
        reason = kept if len(dropped) < MOST_REASONS else "other"
        dropped[reason] = _count(dropped.get(reason, 0) + rows)
    return dropped


def _count(value: int) -> int:
    return min(value, LARGEST_COUNT)
