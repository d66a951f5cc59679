"""DatasetService: uploads as jobs, and what there is.

In: requests. Out: datasets as protos. Raises HeadraceError; an interceptor makes a status of it. What can be told
before a job is begun (a name that is taken, a model that is not there) ends the upload's stream with its named error;
all that comes later is told as the job's end.
"""

import asyncio
from typing import Any

import asyncpg
import grpc

from headrace.v1 import dataset_service_pb2 as pb
from headrace.v1.dataset_service_pb2_grpc import DatasetServiceServicer
from headrace_server.access.caller import current_caller
from headrace_server.access.request_project import settle_project
from headrace_server.copying.connection import Connection
from headrace_server.datasets import completing, influences, store, tables, wire
from headrace_server.datasets.dataset import Dataset, checked_name
from headrace_server.datasets.upload import Context, Shared, Upload, Wanted
from headrace_server.errors import (
    DatasetExistsError,
    DatasetIsBaselineError,
    DatasetNotFoundError,
    DrainingError,
    ModelInvalidError,
    OpenExpectedError,
)
from headrace_server.jobs import job_servicer
from headrace_server.jobs import store as jobs
from headrace_server.jobs.job import Job, JobState
from headrace_server.jobs.runner import JobRunner
from headrace_server.models import evolution, names
from headrace_server.models.ddl_transaction import announce, change_model
from headrace_server.models.definition import ModelDefinition
from headrace_server.models.known_models import ACQUIRE_TIMEOUT_S, model_not_found
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ColumnKind, ModelSchema
from headrace_server.models.table_spec import DATASET_SUFFIX
from headrace_server.models.wire import added_columns
from headrace_server.models.wire import to_proto as model_to_proto
from headrace_server.storage.outage import told_as_unavailable
from headrace_server.storage.pool import Connect

DEFAULT_PROJECT = "main"
DEFAULT_PAGE_ROWS = 100
LONGEST_PAGE_ROWS = 1_000
PUBLISH = "PUBLISH_DATASET"
COMPLETE = "COMPLETE_DATASET"
KINDS = (PUBLISH, COMPLETE)


class DatasetJobs:
    """The kinds of jobs that uploads are: what an unfinished one has made are its tables."""

    async def undo(self, connection: Connection, job: Job) -> None:
        """Drop them."""
        await tables.drop(connection, job.project, tables.detached_name(job.id), tables.completed_name(job.id))


class DatasetServicer(DatasetServiceServicer):
    """Serves headrace.v1.DatasetService.

    Args:
        registry: The models.
        runner: The jobs of this replica.
        connect: Opens a connection for a change.
        pool: For reading.
        shared: What all uploads share.
    """

    def __init__(
        self,
        registry: Registry,
        runner: JobRunner,
        connect: Connect,
        pool: "asyncpg.Pool[asyncpg.Record]",
        shared: Shared,
    ) -> None:
        self._registry = registry
        self._runner = runner
        self._connect = connect
        self._pool = pool
        self._shared = shared
        self._uploads: set[asyncio.Task[Any]] = set()
        self._draining = False

    @property
    def is_quiet(self) -> bool:
        """Whether no upload is under way."""
        return not self._uploads

    def drain(self) -> None:
        """Begin no new uploads."""
        self._draining = True

    def end_uploads(self) -> None:
        """End the uploads that are still under way; their jobs say so."""
        for upload in self._uploads:
            upload.cancel()

    async def UploadDataset(self, request_iterator: Any, context: Context) -> None:  # type: ignore[override]  # writes
        """Serve one upload."""
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 -- gRPC runs handlers in tasks
        self._uploads.add(this)
        try:
            await self._upload(context)
        finally:
            self._uploads.discard(this)

    async def _upload(self, context: Context) -> None:
        if self._draining:
            raise DrainingError("this replica is stopping; connect again to reach another")
        wanted = await self._wanted(await self._begin(context))
        model = wanted.model
        subject = f"{model.name}/{wanted.name}" if wanted.has_model else wanted.name
        kind = PUBLISH if wanted.base is None else COMPLETE
        await self._check_alone(model.project, kind, subject)
        run = await self._runner.open(model.project, kind, subject, wanted.expected_rows)
        job = await self._runner.carry_out(run, Upload(wanted, self._shared, context).work)
        ended = pb.UploadEnded(job=job_servicer.to_proto(job))
        if job.state is JobState.SUCCEEDED:
            owner = model.sql_name if wanted.has_model else None
            dataset = await self._load(model.project, owner, wanted.name)
            if dataset is not None:  # dropped in the same moment
                ended.dataset.CopyFrom(wire.to_proto(dataset))
        await context.write(pb.UploadDatasetResponse(ended=ended))

    async def _begin(self, context: Context) -> pb.UploadBegin:
        limit_s = self._shared.limits.open_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                request = await context.read()
        except TimeoutError:
            raise OpenExpectedError(f"no begin came within {limit_s:g} seconds") from None
        if request is grpc.aio.EOF or request.WhichOneof("message") != "begin":
            raise OpenExpectedError("the first message of an upload must be begin")
        settle_project(request, current_caller())
        begin: pb.UploadBegin = request.begin
        return begin

    async def _wanted(self, begin: pb.UploadBegin) -> Wanted:
        name, project = checked_name(begin.dataset), begin.project or DEFAULT_PROJECT
        adds_influences = begin.part == pb.DATASET_PART_INFLUENCES
        completes = adds_influences or begin.part == pb.DATASET_PART_COMPLETION
        model = await self._model(project, begin.model) if begin.model else _stand_in(project, begin)
        if completes and not begin.model:
            raise ModelInvalidError("a completion is of a model: name it", fields={"begin.model": "must be given"})
        own = await self._load(model.project, model.sql_name if begin.model else None, name)
        base = None
        if completes:
            base = own or await self._load(model.project, None, name)
            if base is None:
                raise _not_found(name)
            completing.check_fits(model, base)
            if adds_influences:
                influences.check_none(base)
        elif own is not None:
            raise store.already_there(name)
        return Wanted(
            model=model,
            has_model=bool(begin.model),
            name=name,
            base=base,
            expected_rows=begin.expected_rows if begin.HasField("expected_rows") else None,
            allow_rejected=begin.allow_rejected,
            influences=adds_influences,
        )

    async def _check_alone(self, project: str, kind: str, subject: str) -> None:
        """Refuse a second upload of what is being published; of two at the same moment the commit refuses one."""
        choice = jobs.Choice(project, kind, JobState.RUNNING.name, subject)
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await jobs.load_page(connection, choice, None, 1)
            if found and (await self._runner.end_if_abandoned(found[0])).state is JobState.RUNNING:
                raise DatasetExistsError(
                    f"{subject} is being published by the job {found[0].id}: wait for it, or cancel it",
                    metadata={"job_id": str(found[0].id)},
                )

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.GetDatasetResponse:
        """Return one dataset."""
        return pb.GetDatasetResponse(dataset=wire.to_proto(await self._find(request)))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Context) -> pb.ListDatasetsResponse:
        """Return a page of datasets; its token is the model's and the name of the last."""
        limit = min(request.page_size or DEFAULT_PAGE_ROWS, LONGEST_PAGE_ROWS)
        project = names.fold_project(request.project or DEFAULT_PROJECT)
        model = (await self._model(project, request.model)).sql_name if request.model else None
        after, _, name = request.page_token.replace("\0", "").partition("/")  # no model's name has a slash
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await store.load_page(connection, project, model, (after, name), limit + 1)
        page = found[:limit]
        return pb.ListDatasetsResponse(
            datasets=map(wire.to_proto, page),
            next_page_token=f"{page[-1].model or ''}/{page[-1].name}" if len(found) > limit else "",
        )

    async def DropDataset(self, request: pb.DropDatasetRequest, context: Context) -> pb.DropDatasetResponse:
        """Remove a whole dataset."""
        dataset = await self._find(request)

        async def work(connection: Connection) -> None:
            standing = await store.load(connection, dataset.project, dataset.model, dataset.name)
            if standing is None:
                raise _not_found(dataset.name)
            if standing.is_baseline:
                raise DatasetIsBaselineError(
                    f"{dataset.name!r} is the baseline of {dataset.model_name!r}: name another, or none, first"
                )
            await store.delete(connection, standing.id)
            gone = [name for name in (standing.table_name, standing.influences_table) if name is not None]
            await tables.drop(connection, standing.project, *gone)

        lock = dataset.model or dataset.table_name.removesuffix(DATASET_SUFFIX)
        await change_model(self._connect, dataset.project, lock, work)
        return pb.DropDatasetResponse()

    async def SetBaseline(self, request: pb.SetBaselineRequest, context: Context) -> pb.SetBaselineResponse:
        """Name a model's baseline."""
        project = request.project or DEFAULT_PROJECT
        model = await self._model(project, request.model)
        name = checked_name(request.dataset) if request.dataset else None

        async def work(connection: Connection) -> None:
            if name is not None and await store.load(connection, model.project, model.sql_name, name) is None:
                raise _not_found(name)
            await store.set_baseline(connection, model.project, model.sql_name, name)
            await announce(connection, model.project, model.sql_name)

        await change_model(self._connect, model.project, model.sql_name, work)
        await self._registry.refresh([(model.project, model.sql_name)])
        return pb.SetBaselineResponse(model=model_to_proto(await self._model(project, request.model)))

    async def _find(self, request: pb.GetDatasetRequest | pb.DropDatasetRequest) -> Dataset:
        project = names.fold_project(request.project or DEFAULT_PROJECT)
        model = (await self._model(project, request.model)).sql_name if request.model else None
        dataset = await self._load(project, model, checked_name(request.dataset))
        if dataset is None:
            raise _not_found(request.dataset)
        return dataset

    async def _load(self, project: str, model: str | None, name: str) -> Dataset | None:
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                return await store.load(connection, project, model, name)

    async def _model(self, project: str, name: str) -> ModelSchema:
        model = await self._registry.get(project, name)
        if model is None:
            raise model_not_found(project, name)
        return model


def _stand_in(project: str, begin: pb.UploadBegin) -> ModelSchema:
    """What stands for the model of a dataset that has none: its own columns."""
    columns = added_columns(begin.columns)
    if not columns or any(column.kind is ColumnKind.PREDICTION for column in columns):
        fault = {"begin.columns": "a dataset without a model has columns of its own, and no predictions"}
        raise ModelInvalidError(fault["begin.columns"], fields=fault)
    return evolution.create(names.fold_project(project), ModelDefinition(begin.dataset, tuple(columns)))


def _not_found(name: str) -> DatasetNotFoundError:
    return DatasetNotFoundError(f"there is no dataset {name!r}", metadata={"dataset": name})
