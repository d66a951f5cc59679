"""Delivery reports: where every row of a producer is, as the service knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.connecting.calls import Calls
from headrace.v1 import delivery_service_pb2
from headrace.v1.delivery_service_pb2_grpc import DeliveryServiceStub


@dataclass(frozen=True, slots=True)
class SeqGap:
    """Batches that had been acknowledged and are gone, since the database went back in time."""

    from_seq: int
    through_seq: int
    noticed_time: datetime


@dataclass(frozen=True, slots=True)
class ProducerDelivery:
    """Where the rows of one producer are.

    The client's counters (`logged` to `retried`) are as old as `report_time`, the others are of now.
    """

    producer_id: str
    client: str
    """What it says it is."""
    last_seq: int
    """Its last batch that is committed."""
    last_seen_time: datetime
    report_time: datetime | None
    """None: its client has not reported yet, and the client's counters are 0."""
    logged: int
    """Rows the client was given."""
    dropped: Mapping[str, int]
    """Rows the client dropped itself, by overflow policy or reason."""
    quarantined: int
    """Rows of batches that were set aside."""
    spooled: int
    """Rows in the client's disk spool."""
    buffered: int
    """Rows in no batch yet."""
    in_flight: int
    """Rows in batches without an ack."""
    retried: int
    """Rows sent more than once."""
    stored: int
    duplicate: int
    conflict: int
    rejected: int
    """Rows that were refused; they are dead letters."""
    skipped: int
    """Rows of events outside their model's sample, that the service did not keep."""
    undecodable_batches: int
    """Batches of which nobody knows how many rows they held."""
    unexplained: int
    """Rows that are nowhere. 0 when all is well."""
    gaps: tuple[SeqGap, ...]


def delivery_reports(calls: Calls, producer_id: str = "") -> Iterator[ProducerDelivery]:
    """Yield the statements of one producer, or of all of the project; as Client.delivery_report."""
    request = delivery_service_pb2.GetDeliveryReportRequest(project=calls.project, producer_id=producer_id)
    while True:
        page = calls.call(DeliveryServiceStub, lambda stub: stub.GetDeliveryReport, request)
        yield from map(_delivery, page.producers)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return


def _delivery(told: delivery_service_pb2.ProducerDelivery) -> ProducerDelivery:
    return ProducerDelivery(
        producer_id=told.producer_id,
        client=told.client,
        last_seq=told.last_seq,
        last_seen_time=told.last_seen_time.ToDatetime(UTC),
        report_time=told.report_time.ToDatetime(UTC) if told.HasField("report_time") else None,
        logged=told.logged,
        dropped=dict(told.dropped),
        quarantined=told.quarantined,
        spooled=told.spooled,
        buffered=told.buffered,
        in_flight=told.in_flight,
        retried=told.retried,
        stored=told.stored,
        duplicate=told.duplicate,
        conflict=told.conflict,
        rejected=told.rejected,
        skipped=told.skipped,
        undecodable_batches=told.undecodable_batches,
        unexplained=told.unexplained,
        gaps=tuple(SeqGap(g.from_seq, g.through_seq, g.noticed_time.ToDatetime(UTC)) for g in told.gaps),
    )
