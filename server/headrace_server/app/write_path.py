"""The path of a batch, put together: kinds of record, intake, batchers, copiers, and what joins late rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.v1 import batch_pb2
from headrace_server.access.quotas import QuotaBook
from headrace_server.batching.batch import PendingBatch
from headrace_server.batching.batcher import Batcher
from headrace_server.config import Settings
from headrace_server.copying.chunks import ChunkBook
from headrace_server.copying.copier import Copier
from headrace_server.copying.record_kind import RecordKind
from headrace_server.dead_letters.shelf import Shelf
from headrace_server.events.kind import EventsKind
from headrace_server.intake.admission import READING_SHARE, MemoryBudget
from headrace_server.intake.foreseen_models import ForeseenModels
from headrace_server.intake.limits import Limits
from headrace_server.intake.service import IngestService
from headrace_server.intake.taking_in import TakingIn
from headrace_server.joining.resolver import Resolver
from headrace_server.late_kinds.kinds import LateKinds
from headrace_server.models.registry import Registry
from headrace_server.ops.commit_watch import CommitWatch
from headrace_server.ops.metrics import Metrics
from headrace_server.storage.database import Database


@dataclass(frozen=True)
class WritePath:
    """What stands between the doors and the tables.

    Attributes:
        service: Takes batches in, for every door.
        copiers: Commit what it took in.
        resolver: Joins late rows with events that a commit has missed.
        shelf: The dead letters.
    """

    service: IngestService
    copiers: Sequence[Copier]
    resolver: Resolver
    shelf: Shelf

    @property
    def unsettled(self) -> list[PendingBatch]:
        """Every batch that waits or is under way."""
        return [batch for copier in self.copiers for batch in copier.unsettled]

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return all(copier.idle for copier in self.copiers)


def make_write_path(
    settings: Settings,
    database: Database,
    registry: Registry,
    *,
    instance: str,
    metrics: Metrics,
    watch: CommitWatch,
    quotas: QuotaBook,
) -> WritePath:
    """Build it from the tables up; nothing runs yet."""
    resolver = Resolver(database.connect, registry)
    late = LateKinds(resolver.wake)
    kinds: dict[int, RecordKind] = {
        batch_pb2.RECORD_KIND_EVENTS: EventsKind(late.after_events),
        **late.by_number,
    }
    batching = settings.batching
    batchers = [Batcher(batching.group_max_rows, batching.group_max_bytes) for _ in range(batching.copiers)]
    chunks = ChunkBook()
    limits = _limits(settings)
    memory_bytes = settings.intake.memory_budget_bytes
    shelf = Shelf(database.pool, settings.dead_letters.project_bytes)
    service = IngestService(
        instance=instance,
        limits=limits,
        budget=MemoryBudget(round(memory_bytes * (1 - READING_SHARE))),
        reading=MemoryBudget(round(memory_bytes * READING_SHARE)),
        taking_in=TakingIn(kinds, registry, limits),
        foreseeing=TakingIn(kinds, ForeseenModels(registry), limits),
        batchers=batchers,
        registry=registry,
        shelf=shelf,
        pool=database.pool,
        metrics=metrics,
        quotas=quotas,
    )
    copiers = [Copier(batcher, database.connect, watch, chunks) for batcher in batchers]
    return WritePath(service, copiers, resolver, shelf)


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_batch_bytes=settings.intake.max_batch_bytes,
        max_batch_rows=settings.intake.max_batch_rows,
        open_timeout_s=settings.intake.open_timeout_s,
        idle_timeout_s=settings.intake.idle_timeout_s,
        acks_timeout_s=settings.intake.acks_timeout_s,
        heartbeat_s=settings.intake.heartbeat_s,
        suggested_batch_rows=settings.suggest.batch_rows,
        suggested_linger_ms=settings.suggest.linger_ms,
    )
