"""DeliveryService over the view headrace.delivery, which says where every row of a producer is."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
from grpc.aio import ServicerContext

from headrace.v1 import delivery_service_pb2 as pb
from headrace.v1.delivery_service_pb2_grpc import DeliveryServiceServicer
from headrace_server.errors import FilterInvalidError
from headrace_server.storage.outage import told_as_unavailable

DEFAULT_PROJECT = "main"
DEFAULT_PAGE_PRODUCERS = 100
LONGEST_PAGE_PRODUCERS = 1_000
ACQUIRE_TIMEOUT_S = 10.0

# Columns by name: another release may add more.
_COUNTS = (
    *("logged", "quarantined", "spooled", "buffered", "in_flight", "retried", "stored", "duplicate", "conflict"),
    *("rejected", "skipped", "undecodable_batches", "unexplained"),
)
_SELECT = f"""
SELECT producer_id, client, last_seq, last_seen_at, reported_at, dropped::text AS dropped, {", ".join(_COUNTS)}
FROM headrace.delivery
WHERE project = $1 AND ($2::uuid IS NULL OR producer_id = $2) AND ($3::uuid IS NULL OR producer_id > $3)
ORDER BY producer_id LIMIT $4
"""  # noqa: S608 - names of ours
_GAPS = """
SELECT producer_id, from_seq, through_seq, noticed_at FROM headrace.seq_gaps
WHERE project = $1 AND producer_id = ANY($2::uuid[]) ORDER BY producer_id, from_seq
"""

Context = ServicerContext[Any, Any]


class DeliveryServicer(DeliveryServiceServicer):
    """Serves headrace.v1.DeliveryService.

    Args:
        pool: For reading.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def GetDeliveryReport(
        self, request: pb.GetDeliveryReportRequest, context: Context
    ) -> pb.GetDeliveryReportResponse:
        """Return a page of statements; its token is the last producer's id."""
        project = request.project or DEFAULT_PROJECT
        producer, after = _uuid(request.producer_id, "producer_id"), _uuid(request.page_token, "page_token")
        limit = min(request.page_size or DEFAULT_PAGE_PRODUCERS, LONGEST_PAGE_PRODUCERS)
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await connection.fetch(_SELECT, project, producer, after, limit + 1)
                page = {row["producer_id"]: _statement(row) for row in found[:limit]}
                for row in await connection.fetch(_GAPS, project, list(page)):
                    gap = page[row["producer_id"]].gaps.add(from_seq=row["from_seq"], through_seq=row["through_seq"])
                    gap.noticed_time.FromDatetime(row["noticed_at"])
        return pb.GetDeliveryReportResponse(
            producers=page.values(), next_page_token=str(found[limit - 1]["producer_id"]) if len(found) > limit else ""
        )


def _statement(row: Mapping[str, Any]) -> pb.ProducerDelivery:
    statement = pb.ProducerDelivery(
        producer_id=str(row["producer_id"]),
        client=row["client"],
        last_seq=row["last_seq"],
        dropped=json.loads(row["dropped"]),
    )
    for name in _COUNTS:
        setattr(statement, name, row[name])
    statement.last_seen_time.FromDatetime(row["last_seen_at"])
    if row["reported_at"] is not None:
        statement.report_time.FromDatetime(row["reported_at"])
    return statement


def _uuid(text: str, name: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise FilterInvalidError(f"{name} must be a UUID, not {text[:60]!r}", fields={name: "must be a UUID"}) from None
