"""Every gRPC service, made of its rooms and added to the server."""

from dataclasses import dataclass

import grpc

from headrace.v1 import (
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
from headrace_server.access.key_servicer import KeyServicer
from headrace_server.app.write_path import WritePath
from headrace_server.config import Settings
from headrace_server.datasets.dataset_servicer import KINDS as DATASET_JOBS
from headrace_server.datasets.dataset_servicer import DatasetJobs, DatasetServicer
from headrace_server.dead_letters.dead_letter_servicer import DeadLetterServicer
from headrace_server.dead_letters.replay import Replay
from headrace_server.deletion.deletion_servicer import DELETE_EVENTS, DeletesEvents, DeletionServicer
from headrace_server.deletion.deletion_servicer import SERVICE as DELETIONS
from headrace_server.delivery.delivery_servicer import DeliveryServicer
from headrace_server.intake.ingest_servicer import SERVICE as INGEST
from headrace_server.intake.ingest_servicer import IngestServicer
from headrace_server.jobs.job import JobKind
from headrace_server.jobs.job_servicer import JobServicer
from headrace_server.jobs.runner import JobRunner
from headrace_server.models.model_servicer import ModelServicer
from headrace_server.models.registry import Registry
from headrace_server.ops import reflection
from headrace_server.ops.health import Health
from headrace_server.queries.query_servicer import SERVICE as QUERIES
from headrace_server.queries.query_servicer import QueryServicer
from headrace_server.queries.reader import Reader
from headrace_server.queries.snapshots import Snapshots
from headrace_server.queries.statistics import Statistics
from headrace_server.rollups.monitoring_servicer import SERVICE as MONITORING
from headrace_server.rollups.monitoring_servicer import MonitoringServicer
from headrace_server.storage.database import Database

MODELS = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
KEYS = key_service_pb2.DESCRIPTOR.services_by_name["KeyService"].full_name
DEAD_LETTERS = dead_letter_service_pb2.DESCRIPTOR.services_by_name["DeadLetterService"].full_name
DELIVERY = delivery_service_pb2.DESCRIPTOR.services_by_name["DeliveryService"].full_name
JOBS = job_service_pb2.DESCRIPTOR.services_by_name["JobService"].full_name
DATASETS = dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"].full_name
SERVICES = (INGEST, MODELS, KEYS, QUERIES, DEAD_LETTERS, DELIVERY, MONITORING, JOBS, DATASETS, DELETIONS)


@dataclass(frozen=True)
class Rooms:
    """What the services are made of.

    Attributes:
        write_path: Takes in rows, and letters that are tried again.
        snapshots: Reads.
        jobs: Runs what takes long.
        streams: IngestService.
        datasets: DatasetService.
    """

    settings: Settings
    database: Database
    registry: Registry
    write_path: WritePath
    snapshots: Snapshots
    jobs: JobRunner
    streams: IngestServicer
    datasets: DatasetServicer


def make_jobs(database: Database, instance: str) -> JobRunner:
    """Return the runner of every kind of job there is."""
    kinds: dict[str, JobKind] = {**dict.fromkeys(DATASET_JOBS, DatasetJobs()), DELETE_EVENTS: DeletesEvents()}
    return JobRunner(database.connect, database.pool, instance, kinds)


async def add_services(server: grpc.aio.Server, rooms: Rooms, health: Health) -> None:
    """Let the server serve everything, and say how it is and what it offers."""
    pool, registry = rooms.database.pool, rooms.registry
    reader, statistics = Reader(rooms.snapshots), Statistics(rooms.snapshots)
    shelf = rooms.write_path.shelf
    rooms.streams.add_to(server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(registry), server)
    key_service_pb2_grpc.add_KeyServiceServicer_to_server(KeyServicer(pool), server)
    query_service_pb2_grpc.add_QueryServiceServicer_to_server(
        QueryServicer(registry, reader, statistics, rooms.settings.queries.not_read_timeout_s), server
    )
    dead_letter_service_pb2_grpc.add_DeadLetterServiceServicer_to_server(
        DeadLetterServicer(shelf, Replay(shelf, rooms.write_path.service.replay)), server
    )
    monitoring_service_pb2_grpc.add_MonitoringServiceServicer_to_server(MonitoringServicer(registry, pool), server)
    delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(DeliveryServicer(pool), server)
    deletion_service_pb2_grpc.add_DeletionServiceServicer_to_server(
        DeletionServicer(registry, rooms.jobs, rooms.database.connect), server
    )
    job_service_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(rooms.jobs, pool), server)
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(rooms.datasets, server)
    await health.add_to(server)
    if rooms.settings.listen.reflection:
        reflection.enable(server, SERVICES)
