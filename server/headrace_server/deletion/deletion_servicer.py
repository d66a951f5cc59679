"""DeletionService: checks what a delete means, then leaves it to a job."""

from typing import Any

from grpc.aio import ServicerContext

from headrace.v1 import deletion_service_pb2 as pb
from headrace.v1.deletion_service_pb2_grpc import DeletionServiceServicer
from headrace_server.copying.connection import Connection
from headrace_server.deletion.wanted import Window, check_something_stays, wanted_of
from headrace_server.deletion.work import Deletion
from headrace_server.jobs.job import Job
from headrace_server.jobs.job_servicer import to_proto
from headrace_server.jobs.run import JobRun
from headrace_server.jobs.runner import JobRunner
from headrace_server.models.known_models import model_not_found
from headrace_server.models.registry import Registry
from headrace_server.storage.outage import told_as_unavailable
from headrace_server.storage.pool import Connect

DEFAULT_PROJECT = "main"
SERVICE = pb.DESCRIPTOR.services_by_name["DeletionService"].full_name
DELETE_EVENTS = "DELETE_EVENTS"

Context = ServicerContext[Any, Any]


class DeletesEvents:
    """The kind of job that deletes events."""

    async def undo(self, connection: Connection, job: Job) -> None:
        """Undo nothing: what is deleted stays so, and the same call again deletes the rest."""


class DeletionServicer(DeletionServiceServicer):
    """Serves headrace.v1.DeletionService.

    Args:
        registry: The models.
        jobs: Runs the jobs.
        connect: Opens a connection for the checks.
    """

    def __init__(self, registry: Registry, jobs: JobRunner, connect: Connect) -> None:
        self._registry = registry
        self._jobs = jobs
        self._connect = connect

    async def DeleteEvents(self, request: pb.DeleteEventsRequest, context: Context) -> pb.DeleteEventsResponse:
        """Begin a delete."""
        project = request.project or DEFAULT_PROJECT
        schema = await self._registry.get(project, request.model)
        if schema is None:
            raise model_not_found(project, request.model)
        wanted = wanted_of(request, schema)
        if isinstance(wanted, Window):
            with told_as_unavailable():
                connection = await self._connect()
                try:
                    await check_something_stays(connection, schema, wanted)
                finally:
                    connection.terminate()

        async def work(run: JobRun) -> dict[str, Any]:
            return await Deletion(run.connection, schema, wanted, run.advance).run()

        job = await self._jobs.start(schema.project, DELETE_EVENTS, schema.sql_name, work)
        return pb.DeleteEventsResponse(job=to_proto(job))
