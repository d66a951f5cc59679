"""What all streams and calls of the process share: the ledger's door, the batchers, the unary way in.

A session asks it to open, hands it batches, and forgets about copiers; Publish and the HTTP door are one call here.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from headrace.v1 import batch_pb2, result_pb2
from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.access.caller import current_caller, denial_of
from headrace_server.access.quotas import QuotaBook
from headrace_server.batching.batch import Letter, PendingBatch, Producer, Request
from headrace_server.batching.batcher import Batcher
from headrace_server.copying.connection import DATABASE_ERRORS
from headrace_server.copying.foresight import foresee
from headrace_server.copying.opening import Opening, forget_results, open_session
from headrace_server.dead_letters.shelf import Shelf
from headrace_server.delivery.client_reports import write_report
from headrace_server.errors import (
    BatchTooLargeError,
    DrainingError,
    EmptyBatchError,
    OverloadedError,
    QuotaExceededError,
    RequestIdInvalidError,
)
from headrace_server.intake.admission import MemoryBudget, Reservation
from headrace_server.intake.limits import Limits, weight
from headrace_server.intake.taking_in import TakingIn
from headrace_server.models.registry import Registry
from headrace_server.ops.metrics import Metrics
from headrace_server.storage.outage import told_as_unavailable

log = structlog.get_logger(__name__)

ACQUIRE_TIMEOUT_S = 10.0
CALL_WAITS_S = 1.0  # for memory; then the caller is told to come back


class IngestService:
    """The way in, whichever door it came by."""

    def __init__(
        self,
        *,
        instance: str,
        limits: Limits,
        budget: MemoryBudget,
        reading: MemoryBudget,
        taking_in: TakingIn,
        foreseeing: TakingIn,
        batchers: Sequence[Batcher],
        registry: Registry,
        shelf: Shelf,
        pool: "asyncpg.Pool[asyncpg.Record]",
        metrics: Metrics,
        quotas: QuotaBook,
    ) -> None:
        self.instance = instance
        self.limits = limits
        self.budget = budget
        self.reading = reading
        self.registry = registry
        self.metrics = metrics
        self.quotas = quotas
        self.draining = False
        self._taking_in = taking_in
        self._foreseeing = foreseeing
        self._batchers = batchers
        self._shelf = shelf
        self._pool = pool

    async def open_session(self, producer: Producer, wanted: pb.Open) -> Opening:
        """Begin an epoch for a producer; older sessions of it are fenced from here on.

        Raises:
            DrainingError: This replica is stopping.
            DatabaseUnavailableError: The database does not answer.
        """
        self._check_draining()
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                client = wanted.client[:128].replace("\0", "")
                try:
                    opening = await open_session(connection, producer, wanted.results_through, client)
                except asyncpg.ReadOnlySQLTransactionError:
                    # All of the pool's connections are to a server that has become a standby.
                    await self._pool.expire_connections()
                    raise
        if opening.regressed:
            self.metrics.ledger_regressed.inc()
            log.error(
                "ledger_regressed",
                project=producer.project,
                producer_id=str(producer.id),
                committed_seq=opening.committed_seq,
                client_was_told=opening.last_seq,
            )
        return opening

    async def take_in(
        self,
        producer: Producer,
        epoch: int,
        batch: batch_pb2.Batch,
        size_bytes: int,
        *,
        through_seq: int = 0,
        fault: str = "",
    ) -> PendingBatch:
        """Take a producer's batch in; it waits for its commit from here on.

        Args:
            producer: Whose it is.
            epoch: Epoch of the session.
            batch: The batch.
            size_bytes: Its size on the wire.
            through_seq: Last seq it stands for, where a producer's seqs have gaps; 0: its own alone.
            fault: Why it is known to be unreadable: it goes to the dead letters whole.

        Raises:
            DatabaseUnavailableError: The registry has to be asked about its model, and does not answer.
            QuotaExceededError: There is no room for its dead letters.
        """
        if fault:
            pending = self._taking_in.refuse(producer, batch, size_bytes, fault, epoch=epoch)
        else:
            denial = "" if current_caller().may_send(batch.kind) else denial_of(batch.kind)
            pending = await self._taking_in.take_in(producer, batch, size_bytes, epoch=epoch, denial=denial)
        (await self.quotas.use_of(producer.project)).charge(pending.row_count, size_bytes)
        await self._check_quota(pending)
        pending.through_seq = through_seq
        self._submit(pending)
        return pending

    async def replay(
        self, letter: Letter, batch: batch_pb2.Batch, observed: datetime
    ) -> "asyncio.Future[result_pb2.BatchResult]":
        """Take a dead letter's batch in, as rows first received at that time; returns what will have its result.

        Raises:
            DrainingError, DatabaseUnavailableError: Later, or elsewhere.
        """
        self._check_draining()
        size_bytes = batch.ByteSize()
        reservation = await self.budget.reserve(weight(batch, size_bytes))
        try:
            pending = await self._taking_in.take_in(letter, batch, size_bytes, observed=observed)
        except BaseException:
            reservation.release()
            raise
        pending.settled.add_done_callback(lambda _: reservation.release())
        self._submit(pending)
        return pending.settled

    async def publish(self, request: pb.PublishRequest) -> pb.PublishResponse:
        """Commit one batch and tell what became of its rows; the same request again is answered from the books.

        With validate_only nothing is written, and what is told is what would become of them.

        Raises:
            RequestIdInvalidError: request_id is no UUID.
            EmptyBatchError, BatchTooLargeError: The batch cannot be taken at all.
            ProjectDeniedError, ScopeDeniedError: The caller may not write there, or not such rows.
            RequestIdReusedError: The id stands for other bytes.
            QuotaExceededError: The project sends more than it may; says when to come back.
            OverloadedError, DrainingError, DatabaseUnavailableError: Later, or elsewhere.
        """
        self._check_draining()
        caller = current_caller()
        project = caller.project_for(request.project)
        caller.check_may_send(request.batch.kind)
        if request.validate_only:
            return await self._validate(project, request)
        try:
            request_id = UUID(request.request_id)
        except ValueError:
            text = f"request_id must be a UUID, not {request.request_id[:60]!r}"
            raise RequestIdInvalidError(text, fields={"request_id": "must be a UUID"}) from None
        payload, reservation = await self._admit(project, request)
        try:
            origin = Request(project, request_id)
            payload_hash = hashlib.sha256(payload).digest()
            pending = await self._taking_in.take_in(origin, request.batch, len(payload), payload_hash=payload_hash)
            (await self.quotas.use_of(project)).charge(pending.row_count, len(payload))
            _check_not_empty(pending)
            await self._check_quota(pending)
        except BaseException:
            reservation.release()
            raise
        # From here on the batch is the copier's, and its memory is held until that is done with it: a caller who goes
        # away does not take his batch with him.
        pending.settled.add_done_callback(lambda _: reservation.release())
        self._submit(pending)
        try:
            return pb.PublishResponse(result=await asyncio.shield(pending.settled))
        finally:
            pending.abandoned = True

    async def _validate(self, project: str, request: pb.PublishRequest) -> pb.PublishResponse:
        payload, reservation = await self._admit(project, request)
        try:
            pending = await self._foreseeing.take_in(Request(project, UUID(int=0)), request.batch, len(payload))
            (await self.quotas.use_of(project)).charge(pending.row_count, len(payload))
            _check_not_empty(pending)
            with told_as_unavailable():
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    return pb.PublishResponse(result=await foresee(connection, pending), validate_only=True)
        finally:
            reservation.release()

    async def _admit(self, project: str, request: pb.PublishRequest) -> tuple[bytes, Reservation]:
        """The bytes of a call's batch, and the memory for it."""
        batch = request.batch
        payload = batch.SerializeToString(deterministic=True)
        if len(payload) > self.limits.max_batch_bytes:
            text = (
                f"the batch has {len(payload)} bytes; at most {self.limits.max_batch_bytes} are taken: send it in parts"
            )
            raise BatchTooLargeError(text, fields={"batch": text})
        if batch.WhichOneof("form") is None:
            raise EmptyBatchError("the batch has no rows", fields={"batch": "columns, rows or json must be there"})
        (await self.quotas.use_of(project)).check_rates()
        with told_as_unavailable():
            # Asked each time: a call is told so at once when it would wait for a database that is away.
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                await connection.execute("SELECT 1")
        try:
            async with asyncio.timeout(CALL_WAITS_S):
                reservation = await self.budget.reserve(weight(batch, len(payload)))
        except TimeoutError:
            raise OverloadedError("no memory is free for the batch now; try again, or use the stream") from None
        return payload, reservation

    async def on_report(self, producer: Producer, report: pb.Report, before: pb.Report) -> None:
        """Keep what a client reports, count what it dropped since its last report, forget the results it says it has.

        Housekeeping, so that it ends no stream: the next report or Open says it again.
        """
        for policy, rows in report.dropped_rows.items():
            since = rows - before.dropped_rows[policy]
            if since > 0:
                self.metrics.client_dropped(policy, since)
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                await write_report(connection, producer, report)
                if report.results_through > before.results_through:
                    await forget_results(connection, producer, report.results_through)
        except DATABASE_ERRORS as error:
            log.info("report_not_kept", error=repr(error))

    def _submit(self, pending: PendingBatch) -> None:
        """Hand a batch to the copier of its producer: always the same one, so that its batches commit in order."""
        self.metrics.batch_rows.observe(pending.row_count)
        self.metrics.rows_received.inc(pending.row_count)
        self._batchers[hash(pending.origin) % len(self._batchers)].put(pending)

    async def _check_quota(self, pending: PendingBatch) -> None:
        """Refuse a batch whose bad rows there is no room for: its seq is not consumed, and it may be sent again."""
        if pending.letters and await self._shelf.is_full(pending.origin.project):
            raise QuotaExceededError(
                f"the dead letters of project {pending.origin.project!r} hold all they may"
                " (dead_letters.project_bytes): replay or drop some; good rows beside bad ones wait with them",
                project=pending.origin.project,
                quota="dead_letters.project_bytes",
            )

    def _check_draining(self) -> None:
        if self.draining:
            raise DrainingError("this replica is stopping; connect again to reach another")


def _check_not_empty(pending: PendingBatch) -> None:
    if pending.row_count == 0 and not pending.letters:
        raise EmptyBatchError("the batch has no rows", fields={"batch": "must have rows"})
