"""The composition root: the only file that sees every room.

Starts from the floor up (database, registry, copiers, doors) and says SERVING last. Stops from the top down on one
deadline: NOT_SERVING and Drain first, so that clients go elsewhere while what they sent is settled; then the doors, the
copiers, the database. A second signal skips the waiting: what is not acked then, clients send again.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import structlog

from headrace.v1 import (
    batch_pb2,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    dead_letter_service_pb2,
    dead_letter_service_pb2_grpc,
    deletion_service_pb2_grpc,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    key_service_pb2,
    key_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    monitoring_service_pb2_grpc,
    query_service_pb2_grpc,
)
from headrace.version import __version__
from headrace_server.access.certificates import Certificates
from headrace_server.access.entrance import Entrance
from headrace_server.access.key_servicer import KeyServicer
from headrace_server.batching.batch import PendingBatch
from headrace_server.batching.batcher import Batcher
from headrace_server.config import Settings
from headrace_server.copying.chunks import ChunkBook
from headrace_server.copying.copier import Copier
from headrace_server.copying.horizon import LedgerHorizon
from headrace_server.copying.record_kind import RecordKind
from headrace_server.datasets.dataset_servicer import KINDS as DATASET_JOBS
from headrace_server.datasets.dataset_servicer import DatasetJobs, DatasetServicer
from headrace_server.datasets.upload import Shared
from headrace_server.dead_letters.dead_letter_servicer import DeadLetterServicer
from headrace_server.dead_letters.replay import Replay
from headrace_server.dead_letters.shelf import Shelf
from headrace_server.deletion.deletion_servicer import DELETE_EVENTS, DeletesEvents, DeletionServicer
from headrace_server.deletion.deletion_servicer import SERVICE as DELETIONS
from headrace_server.delivery.delivery_servicer import DeliveryServicer
from headrace_server.events.kind import EventsKind
from headrace_server.http.events import Events
from headrace_server.http.models import Models
from headrace_server.http.operations import Operations
from headrace_server.http.publishing import Publishing
from headrace_server.http.routes import http_app
from headrace_server.http.server import HttpServer, ListenError
from headrace_server.intake.access_interceptor import AccessInterceptor
from headrace_server.intake.admission import READING_SHARE, MemoryBudget
from headrace_server.intake.fitting import Fitting
from headrace_server.intake.foreseen_models import ForeseenModels
from headrace_server.intake.grpc_server import make_server
from headrace_server.intake.ingest_servicer import SERVICE as INGEST
from headrace_server.intake.ingest_servicer import IngestServicer
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.intake.limits import Limits
from headrace_server.intake.service import IngestService
from headrace_server.intake.taking_in import TakingIn
from headrace_server.jobs.job import JobKind
from headrace_server.jobs.job_servicer import JobServicer
from headrace_server.jobs.runner import JobRunner
from headrace_server.joining.resolver import Resolver
from headrace_server.kafka.listener import KafkaListener
from headrace_server.late_kinds.kinds import LateKinds
from headrace_server.maintenance.maintenance import Maintenance
from headrace_server.models.ddl_transaction import CHANNEL as MODELS_CHANNEL
from headrace_server.models.model_servicer import ModelServicer
from headrace_server.models.registry import Registry
from headrace_server.ops import reflection
from headrace_server.ops.commit_watch import CommitWatch
from headrace_server.ops.health import Health
from headrace_server.ops.metrics import Metrics
from headrace_server.queries.query_servicer import SERVICE as QUERIES
from headrace_server.queries.query_servicer import QueryServicer
from headrace_server.queries.reader import Reader
from headrace_server.queries.snapshots import Snapshots
from headrace_server.queries.statistics import Statistics
from headrace_server.rollups.monitoring_servicer import SERVICE as MONITORING
from headrace_server.rollups.monitoring_servicer import MonitoringServicer
from headrace_server.stopping import Grace, StopRequest, on_signals
from headrace_server.storage.database import Database, open_database
from headrace_server.storage.listener import Listener

log = structlog.get_logger(__name__)

MODELS = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
KEYS = key_service_pb2.DESCRIPTOR.services_by_name["KeyService"].full_name
DEAD_LETTERS = dead_letter_service_pb2.DESCRIPTOR.services_by_name["DeadLetterService"].full_name
DELIVERY = delivery_service_pb2.DESCRIPTOR.services_by_name["DeliveryService"].full_name
JOBS = job_service_pb2.DESCRIPTOR.services_by_name["JobService"].full_name
DATASETS = dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"].full_name
SERVICES = (INGEST, MODELS, KEYS, QUERIES, DEAD_LETTERS, DELIVERY, MONITORING, JOBS, DATASETS, DELETIONS)
LAST_WORDS_S = 0.2  # for the statuses of streams that had to be ended


@dataclass(frozen=True)
class ServingAddresses:
    """Where the doors are, as host:port."""

    grpc: str
    http: str


async def serve(settings: Settings, *, on_ready: Callable[[ServingAddresses], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: The settings, whole and valid.
        on_ready: Called once the service is ready for calls.

    Raises:
        EmbeddedDatabaseError, UnsuitableDatabaseError, OSError: The database cannot be used; the text says what to do.
        ListenError: A port is taken.
        CertificateError: The certificate cannot be used.
    """
    instance = uuid4().hex[:12]
    with on_signals() as stop:
        async with open_database(settings.database, instance, settings.queries) as database:
            await _serve(settings, database, instance, stop, on_ready)
    log.info("stopped")


async def _serve(
    settings: Settings,
    database: Database,
    instance: str,
    stop: StopRequest,
    on_ready: Callable[[ServingAddresses], None] | None,
) -> None:
    metrics = Metrics(version=__version__, instance=instance)
    health = Health(SERVICES)
    registry = Registry(database.pool, database.connect, infer_models=settings.models.infer)
    maintenance = Maintenance(database.connect, registry)
    watch = CommitWatch(metrics, health.set_ready, database.probe, on_commit=maintenance.wake)
    entrance = Entrance(settings.access, settings.tls, database.pool)
    resolver = Resolver(database.connect, registry)
    late = LateKinds(resolver.wake)
    kinds: dict[int, RecordKind] = {
        batch_pb2.RECORD_KIND_EVENTS: EventsKind(late.after_events),
        **late.by_number,
    }
    batchers = [
        Batcher(settings.batching.group_max_rows, settings.batching.group_max_bytes)
        for _ in range(settings.batching.copiers)
    ]
    chunks = ChunkBook()
    copiers = [Copier(batcher, database.connect, watch, chunks) for batcher in batchers]
    limits = _limits(settings)
    shelf = Shelf(database.pool, settings.dead_letters.project_bytes)
    service = IngestService(
        instance=instance,
        limits=limits,
        budget=MemoryBudget(round(settings.intake.memory_budget_bytes * (1 - READING_SHARE))),
        reading=MemoryBudget(round(settings.intake.memory_budget_bytes * READING_SHARE)),
        taking_in=TakingIn(kinds, registry, limits),
        foreseeing=TakingIn(kinds, ForeseenModels(registry), limits),
        batchers=batchers,
        registry=registry,
        shelf=shelf,
        pool=database.pool,
        metrics=metrics,
        quotas=entrance.quotas,
    )
    jobs = JobRunner(database.connect, database.pool, instance, _job_kinds())
    datasets = DatasetServicer(
        registry,
        jobs,
        database.connect,
        database.pool,
        Shared(limits, service.reading, service.budget, Fitting(registry)),
    )
    _show(metrics, (service.reading, service.budget), copiers, database)
    streams = IngestServicer(service)
    server = make_server(settings.intake, [CallInterceptor(metrics), AccessInterceptor(entrance.gate, entrance.trail)])
    streams.add_to(server)
    snapshots = Snapshots(database.reading_pool)
    _add(
        server,
        (model_service_pb2_grpc.add_ModelServiceServicer_to_server, ModelServicer(registry)),
        (key_service_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(database.pool)),
        (
            query_service_pb2_grpc.add_QueryServiceServicer_to_server,
            QueryServicer(registry, Reader(snapshots), Statistics(snapshots), settings.queries.not_read_timeout_s),
        ),
        (
            dead_letter_service_pb2_grpc.add_DeadLetterServiceServicer_to_server,
            DeadLetterServicer(shelf, Replay(shelf, service.replay)),
        ),
        (
            monitoring_service_pb2_grpc.add_MonitoringServiceServicer_to_server,
            MonitoringServicer(registry, database.pool),
        ),
        (delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server, DeliveryServicer(database.pool)),
        (
            deletion_service_pb2_grpc.add_DeletionServiceServicer_to_server,
            DeletionServicer(registry, jobs, database.connect),
        ),
        (job_service_pb2_grpc.add_JobServiceServicer_to_server, JobServicer(jobs, database.pool)),
        (dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server, datasets),
    )
    await _describe(server, health, settings)
    grpc_address = _bind(server, settings.listen.grpc_host, settings.listen.grpc_port, entrance.certificates)
    http = HttpServer(
        http_app(
            Publishing(service.publish, settings.http, settings.intake.max_batch_bytes),
            Models(registry),
            Events(registry, Reader(snapshots)),
            Operations(metrics, lambda: health.ready, __version__, grpc_address),
            metrics=metrics,
            gate=entrance.gate,
        ),
        host=settings.listen.http_host,
        port=settings.listen.http_port,
        max_connections=settings.http.max_connections,
        grace_s=settings.drain.grace_s,
        tls=entrance.certificates.for_http if entrance.certificates is not None else None,
    )
    addresses = ServingAddresses(grpc_address, http.bind())
    doors: list[HttpServer | KafkaListener] = [http, *_topics(service, settings)]

    followers = {MODELS_CHANNEL: registry.read_announced, **entrance.followers}
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(Listener(database.connect, followers).run()),
            tasks.create_task(entrance.run()),
            tasks.create_task(watch.run()),
            tasks.create_task(LedgerHorizon(database.connect, timedelta(days=settings.dead_letters.kept_days)).run()),
            tasks.create_task(resolver.run()),
            tasks.create_task(maintenance.run()),
            tasks.create_task(jobs.run()),
            *(tasks.create_task(copier.run()) for copier in copiers),
        ]
        if database.embedded is not None:
            background.append(tasks.create_task(database.embedded.supervise()))
        opened = [tasks.create_task(door.run()) for door in doors]
        await server.start()
        await health.set_ready(True)
        log.info("serving", grpc=addresses.grpc, http=addresses.http, version=__version__, instance=instance)
        if on_ready is not None:
            on_ready(addresses)
        await stop.asked.wait()

        grace = Grace(settings.drain.grace_s, stop)
        await health.drain()
        streams.drain(round(settings.drain.grace_s * 1000))
        for door in doors:
            door.stop()
        datasets.drain()
        await _settle_streams(streams, copiers, grace)
        await _settle_jobs(jobs, datasets, grace)
        await server.stop(0)
        await grace.covers(lambda: all(task.done() for task in opened))
        for task in (*opened, *background):
            task.cancel()


async def _settle_streams(streams: IngestServicer, copiers: Sequence[Copier], grace: Grace) -> None:
    """Wait until what streams sent is settled and they are gone; those that stay beyond the grace are ended."""
    if not await grace.covers(lambda: streams.is_quiet and all(copier.idle for copier in copiers)):
        log.warning("streams_ended", streams=len(streams.sessions))
        streams.end_streams()
        await asyncio.sleep(LAST_WORDS_S)


async def _settle_jobs(jobs: JobRunner, datasets: DatasetServicer, grace: Grace) -> None:
    """Wait until jobs have ended; uploads that stay beyond the grace are ended, and their jobs say so."""
    if not await grace.covers(lambda: jobs.is_quiet):
        datasets.end_uploads()
        await asyncio.sleep(LAST_WORDS_S)


def _topics(service: IngestService, settings: Settings) -> list[KafkaListener]:
    """The topics that are read: the one the settings name, or none."""
    return [KafkaListener(service, settings.kafka)] if settings.kafka.brokers else []


def _show(metrics: Metrics, budgets: Sequence[MemoryBudget], copiers: Sequence[Copier], database: Database) -> None:
    """Let the gauges look at what they show whenever somebody asks."""

    def unsettled() -> list[PendingBatch]:
        return [batch for copier in copiers for batch in copier.unsettled]

    def oldest_s() -> float:
        now = datetime.now(UTC)
        return max(((now - batch.received_at).total_seconds() for batch in unsettled()), default=0.0)

    metrics.queue_bytes.set_function(lambda: sum(budget.used_bytes for budget in budgets))
    metrics.inflight_batches.set_function(lambda: len(unsettled()))
    metrics.oldest_unacked_seconds.set_function(oldest_s)
    metrics.db_pool_in_use.set_function(lambda: database.pool.get_size() - database.pool.get_idle_size())


def _bind(server: grpc.aio.Server, host: str, port: int, certificates: Certificates | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    try:
        if certificates is None:
            bound = server.add_insecure_port(f"{shown}:{port}")
        else:
            bound = server.add_secure_port(f"{shown}:{port}", certificates.for_grpc())
    except RuntimeError as error:
        text = f"the gRPC door cannot listen at {shown}:{port}: choose another address with listen.grpc_host and "
        raise ListenError(f"{text}listen.grpc_port") from error
    return f"{shown}:{bound}"


async def _describe(server: grpc.aio.Server, health: Health, settings: Settings) -> None:
    """Let the server say how its services are, and what they are."""
    await health.add_to(server)
    if settings.listen.reflection:
        reflection.enable(server, SERVICES)


def _job_kinds() -> dict[str, JobKind]:
    return {**dict.fromkeys(DATASET_JOBS, DatasetJobs()), DELETE_EVENTS: DeletesEvents()}


def _add(server: grpc.aio.Server, *servicers: tuple[Callable[..., None], object]) -> None:
    """Let the server serve these services, each with the function that adds it."""
    for add, servicer in servicers:
        add(servicer, server)


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_batch_bytes=settings.intake.max_batch_bytes,
        max_batch_rows=settings.intake.max_batch_rows,
        open_timeout_s=settings.intake.open_timeout_s,
        idle_timeout_s=settings.intake.idle_timeout_s,
        acks_timeout_s=settings.intake.acks_timeout_s,
        suggested_batch_rows=settings.suggest.batch_rows,
        suggested_linger_ms=settings.suggest.linger_ms,
    )
