"""Datasets of the project: what there is, which is a model's baseline, and dropping one whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.connecting.calls import Calls
from headrace.connecting.channel import Link
from headrace.deadline import Deadline
from headrace.errors import InvalidArgumentError, UnackedError
from headrace.publishing.upload import Upload, UploadJob, Wanted
from headrace.schemas.model_info import ModelInfo
from headrace.schemas.schema import Schema
from headrace.services.jobs import Jobs
from headrace.v1 import dataset_pb2, dataset_service_pb2, model_pb2
from headrace.v1.dataset_service_pb2_grpc import DatasetServiceStub

_CANCELLED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset that is there, whole."""

    project: str
    model: str
    """Its model; empty for one that belongs to no model."""
    name: str
    rows: int
    table: str
    """Where its rows are, quoted as SQL wants it; a model's datasets are told apart by the column `dataset`."""
    schema: Schema
    """Columns of one that belongs to no model; else none: the model's are meant."""
    completed_columns: tuple[str, ...]
    """Columns filled after it was published, by their SQL names."""
    is_baseline: bool
    """Whether its model's drift is measured against it."""
    job_id: str
    """The job that published it."""
    create_time: datetime
    influence_rows: int = 0
    """Rows of influences that were added to it."""
    influences_table: str = ""
    """Table of the model's influences on datasets, quoted as SQL wants it; empty while this dataset has none."""

    @classmethod
    def from_proto(cls, dataset: dataset_pb2.Dataset) -> Dataset:
        """Return what a call answered."""
        return cls(
            project=dataset.project,
            model=dataset.model,
            name=dataset.name,
            rows=dataset.rows,
            table=dataset.table,
            schema=Schema.from_proto(model_pb2.Model(columns=dataset.columns)),
            completed_columns=tuple(dataset.completed_columns),
            is_baseline=dataset.is_baseline,
            job_id=dataset.job_id,
            create_time=dataset.create_time.ToDatetime(UTC),
            influence_rows=dataset.influence_rows,
            influences_table=dataset.influences_table,
        )


class Datasets:
    """Calls DatasetService, and knows the uploads that run in this process.

    Args:
        calls: How calls are made.
        jobs: How uploads' jobs are looked at.
        link: Where the service is.
        begin_timeout_s: How long the service may take to begin an upload, in seconds.
    """

    def __init__(self, calls: Calls, jobs: Jobs, link: Link, begin_timeout_s: float) -> None:
        self._calls = calls
        self._jobs = jobs
        self._link = link
        self._begin_timeout_s = begin_timeout_s
        self._uploads: list[Upload] = []

    def upload(self, wanted: Wanted) -> UploadJob:
        """Begin to publish or to complete a dataset; see Client.publish_dataset."""
        if wanted.nan not in {"null", "keep"}:
            raise InvalidArgumentError(f'nan={wanted.nan!r}: "null" or "keep"')
        self._uploads = [upload for upload in self._uploads if not upload.is_over]
        upload = Upload(self._link, self._calls.project, wanted, self._begin_timeout_s)
        job = upload.start()
        self._uploads.append(upload)
        return UploadJob(self._jobs, upload, job)

    def finish(self, deadline: Deadline) -> None:
        """Let uploads that run in this process end; those that have not when the deadline passes are cancelled.

        Raises:
            UnackedError: Some had to be cancelled.
        """
        uploads, self._uploads = self._uploads, []
        for upload in uploads:
            upload.wait(min(deadline.left_s, threading.TIMEOUT_MAX))
        open_ones = [upload for upload in uploads if not upload.is_over]
        self._end(open_ones)
        if open_ones:
            rows = sum(upload.stored_rows for upload in open_ones)
            message = f"closed with {len(open_ones)} datasets under way: they are cancelled; wait for their jobs first"
            raise UnackedError(message, rows=rows, batches=0)

    def before_fork(self) -> None:
        """Cancel uploads: gRPC bears no fork beside them."""
        uploads, self._uploads = self._uploads, []
        self._end([upload for upload in uploads if not upload.is_over])

    def _end(self, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            upload.cancel()
        for upload in uploads:
            upload.wait(_CANCELLED_WITHIN_S)

    def get(self, name: str, model: str) -> Dataset:
        """Return one dataset; see Client.dataset."""
        request = dataset_service_pb2.GetDatasetRequest(project=self._calls.project, model=model, dataset=name)
        answer: dataset_service_pb2.GetDatasetResponse = self._calls.call(
            DatasetServiceStub, lambda stub: stub.GetDataset, request
        )
        return Dataset.from_proto(answer.dataset)

    def list(self, model: str) -> Iterator[Dataset]:
        """Yield datasets, page by page; see Client.list_datasets."""
        request = dataset_service_pb2.ListDatasetsRequest(project=self._calls.project, model=model)
        while True:
            page: dataset_service_pb2.ListDatasetsResponse = self._calls.call(
                DatasetServiceStub, lambda stub: stub.ListDatasets, request
            )
            yield from map(Dataset.from_proto, page.datasets)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def drop(self, name: str, model: str) -> None:
        """Remove a whole dataset; see Client.drop_dataset."""
        request = dataset_service_pb2.DropDatasetRequest(project=self._calls.project, model=model, dataset=name)
        self._calls.call(DatasetServiceStub, lambda stub: stub.DropDataset, request)

    def set_baseline(self, model: str, name: str | None) -> ModelInfo:
        """Name a model's baseline; see Model.set_baseline."""
        request = dataset_service_pb2.SetBaselineRequest(project=self._calls.project, model=model, dataset=name or "")
        answer: dataset_service_pb2.SetBaselineResponse = self._calls.call(
            DatasetServiceStub, lambda stub: stub.SetBaseline, request
        )
        return ModelInfo.from_proto(answer.model)
