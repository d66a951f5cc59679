"""The service as a whole: made, run, and stopped.

Starts from the floor up (database, registry, copiers, doors) and says SERVING last. Stops from the top down on one
deadline: NOT_SERVING and Drain first, so that clients go elsewhere while what they sent is settled; then the doors, the
copiers, the database. A second signal skips the waiting: what is not acked then, clients send again.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import grpc
import structlog

from headrace.version import __version__
from headrace_server.access.certificates import Certificates
from headrace_server.access.entrance import Entrance
from headrace_server.app.gauges import show
from headrace_server.app.grpc_services import SERVICES, Rooms, add_services, make_jobs
from headrace_server.app.write_path import WritePath, make_write_path
from headrace_server.config import Settings
from headrace_server.copying.horizon import LedgerHorizon
from headrace_server.datasets.dataset_servicer import DatasetServicer
from headrace_server.datasets.upload import Shared
from headrace_server.http.events import Events
from headrace_server.http.models import Models
from headrace_server.http.operations import Operations
from headrace_server.http.publishing import Publishing
from headrace_server.http.routes import http_app
from headrace_server.http.server import HttpServer, ListenError
from headrace_server.intake.access_interceptor import AccessInterceptor
from headrace_server.intake.fitting import Fitting
from headrace_server.intake.grpc_server import make_server
from headrace_server.intake.ingest_servicer import IngestServicer
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.intake.service import IngestService
from headrace_server.jobs.runner import JobRunner
from headrace_server.kafka.listener import KafkaListener
from headrace_server.maintenance.maintenance import Maintenance
from headrace_server.models.ddl_transaction import CHANNEL as MODELS_CHANNEL
from headrace_server.models.registry import Registry
from headrace_server.ops.allocator import give_back_when_idle
from headrace_server.ops.commit_watch import CommitWatch
from headrace_server.ops.health import Health
from headrace_server.ops.metrics import Metrics
from headrace_server.ops.neighbours import Neighbours, Seat
from headrace_server.queries.reader import Reader
from headrace_server.queries.snapshots import Snapshots
from headrace_server.stopping import Grace, StopRequest, on_signals
from headrace_server.storage.database import Database, open_database
from headrace_server.storage.listener import Listener

log = structlog.get_logger(__name__)

LAST_WORDS_S = 0.2  # for the statuses of streams that had to be ended


@dataclass(frozen=True)
class ServingAddresses:
    """Where the doors are, as host:port."""

    grpc: str
    http: str


async def serve(
    settings: Settings, *, on_ready: Callable[[ServingAddresses], None] | None = None, seat: Seat | None = None
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: The settings, whole and valid.
        on_ready: Called once the service is ready for calls.
        seat: This worker's place among those that serve at the same ports. Default: it is the only process.

    Raises:
        EmbeddedDatabaseError, UnsuitableDatabaseError, OSError: The database cannot be used; the text says what to do.
        ListenError: A port is taken.
        CertificateError: The certificate cannot be used.
    """
    instance = uuid4().hex[:12]
    with on_signals() as stop:
        async with open_database(settings.database, instance, settings.queries) as database:
            await _serve(settings, database, instance, stop, on_ready=on_ready, seat=seat)
    log.info("stopped")


async def _serve(
    settings: Settings,
    database: Database,
    instance: str,
    stop: StopRequest,
    *,
    on_ready: Callable[[ServingAddresses], None] | None,
    seat: Seat | None,
) -> None:
    metrics = Metrics(version=__version__, instance=instance)
    health = Health(SERVICES)
    registry = Registry(database.pool, database.connect, infer_models=settings.models.infer)
    maintenance = Maintenance(database.connect, registry)
    registry.subscribe(lambda _: maintenance.wake())  # a model that has changed is measured otherwise from now on
    watch = CommitWatch(metrics, health.set_ready, database.probe, on_commit=maintenance.wake)
    entrance = Entrance(settings.access, settings.tls, database.pool)
    path = make_write_path(
        settings, database, registry, instance=instance, metrics=metrics, watch=watch, quotas=entrance.quotas
    )
    service = path.service
    show(metrics, path, database)
    jobs, snapshots, streams = make_jobs(database, instance), Snapshots(database.reading_pool), IngestServicer(service)
    uploads = Shared(service.limits, service.reading, service.budget, Fitting(registry))
    datasets = DatasetServicer(registry, jobs, database.connect, database.pool, uploads)
    interceptors = [CallInterceptor(metrics), AccessInterceptor(entrance.gate, entrance.trail)]
    server = make_server(settings.intake, interceptors, shares_port=seat is not None)
    neighbours = Neighbours(seat, metrics) if seat is not None else None
    rooms = Rooms(settings, database, registry, path, snapshots, jobs, streams, datasets)
    await add_services(server, rooms, health)
    grpc_address = _bind(server, settings.listen.grpc_host, settings.listen.grpc_port, entrance.certificates)
    http = HttpServer(
        http_app(
            Publishing(service.publish, settings.http, settings.intake.max_batch_bytes),
            Models(registry),
            Events(registry, Reader(snapshots)),
            Operations(
                metrics,
                lambda: health.ready,
                __version__,
                grpc_address,
                render_all=neighbours.render if neighbours is not None else None,
            ),
            metrics=metrics,
            gate=entrance.gate,
        ),
        host=settings.listen.http_host,
        port=settings.listen.http_port,
        max_connections=settings.http.max_connections,
        grace_s=settings.drain.grace_s,
        shares_port=seat is not None,
        tls=entrance.certificates.for_http if entrance.certificates is not None else None,
    )
    addresses = ServingAddresses(grpc_address, http.bind())
    doors: list[HttpServer | KafkaListener] = [http, *_topics(service, settings)]

    followers = {MODELS_CHANNEL: registry.read_announced, **entrance.followers}
    async with AsyncExitStack() as answering, asyncio.TaskGroup() as tasks:
        if neighbours is not None:
            await answering.enter_async_context(neighbours.answered())
        background = [
            tasks.create_task(Listener(database.connect, followers).run()),
            tasks.create_task(entrance.run()),
            tasks.create_task(watch.run()),
            tasks.create_task(LedgerHorizon(database.connect, timedelta(days=settings.dead_letters.kept_days)).run()),
            tasks.create_task(path.resolver.run()),
            tasks.create_task(maintenance.run()),
            tasks.create_task(give_back_when_idle(lambda: path.is_idle)),
            tasks.create_task(jobs.run()),
            *(tasks.create_task(copier.run()) for copier in path.copiers),
        ]
        if database.embedded is not None:
            background.append(tasks.create_task(database.embedded.supervise()))
        opened = [tasks.create_task(door.run()) for door in doors]
        await server.start()
        await health.set_ready(True)
        # Of a service with workers it is the parent that says "serving", once all of them do.
        event = "serving" if seat is None else "worker_serving"
        log.info(event, grpc=addresses.grpc, http=addresses.http, version=__version__, instance=instance)
        if on_ready is not None:
            on_ready(addresses)
        await stop.asked.wait()

        grace = Grace(settings.drain.grace_s, stop)
        await health.drain()
        streams.drain(round(settings.drain.grace_s * 1000))
        for door in doors:
            door.stop()
        datasets.drain()
        await _settle_streams(streams, path, grace)
        await _settle_jobs(jobs, datasets, grace)
        await server.stop(0)
        await grace.covers(lambda: all(task.done() for task in opened))
        for task in (*opened, *background):
            task.cancel()


async def _settle_streams(streams: IngestServicer, path: WritePath, grace: Grace) -> None:
    """Wait until what streams sent is settled and they are gone; those that stay beyond the grace are ended."""
    if not await grace.covers(lambda: streams.is_quiet and path.is_idle):
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
