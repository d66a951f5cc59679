"""Uploads: a source → the rows of a dataset, on a stream of its own; the job that the caller waits for.

Two threads serve an upload beside the caller's: gRPC's writer, on which the source is read and encoded chunk by chunk
as fast as the service reads, and the upload's own, which hears what the service answers. So a source of any size takes
the memory of a few chunks. Whatever ends the stream before its commit ends the job, and nothing of the dataset is seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import grpc

from headrace.connecting.channel import Link
from headrace.connecting.retry import service_error
from headrace.deadline import Deadline
from headrace.encoding import wire
from headrace.encoding.table import Header, Limits, RefusedRow, encode
from headrace.errors import HeadraceError, JobTimeout, ServiceError
from headrace.ids import uuid7
from headrace.logged.rows import SYSTEM_COLUMNS
from headrace.schemas.column import ColumnKind
from headrace.schemas.model_info import ModelInfo
from headrace.schemas.schema import Schema
from headrace.services.jobs import Job, Jobs
from headrace.sources.plan import Plan, Roles
from headrace.sources.source import Chunk, chunks, first_chunk
from headrace.v1 import batch_pb2, dataset_service_pb2, job_pb2
from headrace.v1.result_pb2 import RowRanges

_METHOD = "/headrace.v1.DatasetService/UploadDataset"
_CHUNK_ROWS = 10_000
_TICK_S = 0.5


PARTS = {
    "columns": dataset_service_pb2.DATASET_PART_COMPLETION,
    "influences": dataset_service_pb2.DATASET_PART_INFLUENCES,
}
"""What a dataset's rows may be completed with, by the user's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A dataset that is to be published, or completed.

    Attributes:
        source: As for Model.publish.
        name: Name of the dataset.
        model: Name of its model; empty: none.
        version: Version of the model, stored with each row that names none.
        roles: What the columns are.
        info: The model as registered, where that is known.
        schema: Columns of a dataset without a model.
        expected_rows: Rows there must be; None: any number.
        allow_rejected: Whether rows may be refused.
        part: What the rows are to the dataset.
        nan: "null" or "keep".
    """

    source: object
    name: str
    roles: Roles
    model: str = ""
    version: str = ""
    info: ModelInfo | None = None
    schema: Schema | None = None
    expected_rows: int | None = None
    allow_rejected: bool = False
    part: dataset_service_pb2.DatasetPart.ValueType = dataset_service_pb2.DATASET_PART_ROWS
    nan: str = "null"

    def begin(self, project: str) -> dataset_service_pb2.UploadDatasetRequest:
        """Return the first message."""
        return dataset_service_pb2.UploadDatasetRequest(
            begin=dataset_service_pb2.UploadBegin(
                project=project,
                model=self.model,
                dataset=self.name,
                expected_rows=self.expected_rows,
                allow_rejected=self.allow_rejected,
                columns=self.schema.to_proto().columns if self.schema is not None else (),
                part=self.part,
            )
        )

    @property
    def labels(self) -> list[str] | None:
        """Labels that are known to be some."""
        schema = self.info.schema if self.info is not None else self.schema
        return schema.names(ColumnKind.LABEL) if schema is not None else None


class UploadJob(Job):
    """The job of an upload that runs in this process; `wait` raises what went wrong with the source, too."""

    def __init__(self, jobs: Jobs, upload: Upload, job: job_pb2.Job) -> None:
        super().__init__(jobs, job)
        self._upload = upload

    @property
    def progress_rows(self) -> int:
        """Rows in the database, not visible yet."""
        return max(self._upload.stored_rows, super().progress_rows)

    def refresh(self) -> Job:
        """Look again: while the upload runs it knows, afterwards the service is asked."""
        if self._upload.ended is not None:
            self._proto = self._upload.ended
        elif self._upload.is_over:
            super().refresh()
        return self

    def wait(
        self, timeout: float | Deadline | None = None, *, on_progress: Callable[[Job], object] | None = None
    ) -> Job:
        """Wait until the dataset is there, as Job.wait; and raise what the source raised while it was read."""
        deadline = Deadline.of(timeout)
        while not self._upload.is_over:
            if deadline.has_passed:
                raise JobTimeout(f"{self!r} has not ended yet; it goes on", job=self)
            self._upload.wait(min(_TICK_S, deadline.left_s))
            if on_progress is not None:
                on_progress(self)
        if self._upload.failure is not None:
            raise self._upload.failure
        self.refresh()
        return super().wait(deadline, on_progress=on_progress)

    def _pause(self, seconds: float) -> None:
        self._upload.wait(seconds) if not self._upload.is_over else super()._pause(seconds)


class Upload:
    """One upload while it runs.

    Args:
        link: Where the service is.
        project: Project of the dataset; empty: the credential's.
        wanted: What is to be uploaded.
        begin_timeout_s: How long the service may take to begin, in seconds.

    Attributes:
        stored_rows: Rows the service says it has.
        ended: The job as it ended, once the service has said so.
        failure: What the source raised while it was read.
    """

    def __init__(self, link: Link, project: str, wanted: Wanted, begin_timeout_s: float) -> None:
        self._link = link
        self._project = project
        self._wanted = wanted
        self._begin_timeout_s = begin_timeout_s
        self._begun: dataset_service_pb2.UploadBegun | None = None
        self._may_send = threading.Event()
        self._news = threading.Event()
        self._over = threading.Event()
        self._call: grpc.Call | None = None
        self._error: ServiceError | None = None
        self.stored_rows = 0
        self.ended: job_pb2.Job | None = None
        self.failure: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended."""
        return self._over.is_set()

    def start(self) -> job_pb2.Job:
        """Begin, and return the job as soon as the service has taken it on.

        Raises:
            ServiceError: It does not (DATASET_EXISTS, MODEL_NOT_FOUND …), or is away.
        """
        threading.Thread(target=self._run, name="headrace-upload", daemon=True).start()
        self._news.wait(self._begin_timeout_s)
        if self._begun is not None:
            return self._begun.job
        self.cancel()
        self._over.wait(self._begin_timeout_s)
        if self._error is not None:
            raise self._error
        raise ServiceError(
            "the service did not begin the upload in time",
            code=None,
            reason="DEADLINE_EXCEEDED",
            retryable=True,
        )

    def cancel(self) -> None:
        """End the stream: the job ends with it."""
        self._may_send.set()
        if self._call is not None:
            self._call.cancel()

    def wait(self, seconds: float) -> None:
        """Wait until the stream has ended, so many seconds at most."""
        self._over.wait(seconds)

    def _run(self) -> None:
        """Hear what the service answers."""
        channel = self._link.route().connect()
        try:
            stream: grpc.StreamStreamMultiCallable[bytes, dataset_service_pb2.UploadDatasetResponse] = (
                channel.stream_stream(
                    _METHOD,
                    request_serializer=bytes,
                    response_deserializer=dataset_service_pb2.UploadDatasetResponse.FromString,
                )
            )
            answers = stream(self._requests(), metadata=self._link.metadata)
            self._call = answers
            for answer in answers:
                self._hear(answer)
        except grpc.RpcError as error:
            self._error = service_error(error)
        finally:
            self._over.set()
            self._may_send.set()
            self._news.set()
            channel.close()

    def _hear(self, answer: dataset_service_pb2.UploadDatasetResponse) -> None:
        kind = answer.WhichOneof("message")
        if kind == "begun":
            self._begun = answer.begun
            self._may_send.set()
            self._news.set()
        elif kind == "progress":
            self.stored_rows = answer.progress.stored_rows
        elif kind == "ended":
            self.ended = answer.ended.job

    def _requests(self) -> Iterator[bytes]:
        """Yield the messages of the stream; runs on gRPC's writer thread."""
        yield self._wanted.begin(self._project).SerializeToString()
        self._may_send.wait()
        if self._begun is None:
            return
        limits = Limits(self._begun.max_batch_rows, self._begun.max_batch_bytes - _ENVELOPE_BYTES)
        try:
            yield from self._rows(limits, self._begun.suggested_batch_rows or _CHUNK_ROWS)
        except Exception as error:  # noqa: BLE001 -- raised again by wait(); gRPC would print it
            self.failure = error
            return
        yield dataset_service_pb2.UploadDatasetRequest(commit=dataset_service_pb2.UploadCommit()).SerializeToString()

    def _rows(self, limits: Limits, chunk_rows: int) -> Iterator[bytes]:
        wanted = self._wanted
        header = Header(batch_pb2.RECORD_KIND_EVENTS, wanted.model, wanted.version)
        plan: Plan | None = None
        start = 0
        for chunk in chunks(wanted.source, chunk_rows, nan=wanted.nan):
            if self._over.is_set():
                return
            if plan is None:
                plan = Plan.of(chunk.names, wanted.roles, wanted.labels)
            rows = range(start, start + len(chunk))
            start += len(chunk)
            table = chunk.table(rows, _columns(chunk, plan), event_ids=_made_ids(chunk, plan))
            expected = rows.start
            for part in encode(table, header, limits):
                if isinstance(part, RefusedRow):
                    raise _refused(part)
                places = part.source_rows
                in_order = isinstance(places, range) and places.start == expected
                expected = places[-1] + 1
                yield wire.upload_rows(part.body, b"" if in_order else _ranges(places))


_ENVELOPE_BYTES = 64 * 1024  # what stands around the rows, their places included


def inferred_schema(source: object, keys: Sequence[str | None], labels: Sequence[str] | None) -> Schema:
    """Return the columns of a dataset without a model, by its first rows.

    Args:
        source: The source.
        keys: Columns of ids and times.
        labels: Columns that are labels.

    Raises:
        InvalidArgumentError: A column has no type that can be told, or the source can be read only once.
    """
    names = first_chunk(source).names
    taken = {*keys, *(labels or ()), *SYSTEM_COLUMNS}
    return Schema.infer(source, features=[name for name in names if name not in taken], labels=labels)


def _columns(chunk: Chunk, plan: Plan) -> Mapping[str, str]:
    """Return source name → wire name; labels travel beside the other columns, as label_<name>."""
    if plan.roles.late is not None:
        return plan.late_columns(chunk.names)
    columns = dict(plan.event_columns(chunk.names))
    return columns | {name: f"label_{name}" for name in plan.label_names(chunk.names)}


def _made_ids(chunk: Chunk, plan: Plan) -> list[str]:
    """Return new ids where the source has none; each carries its row's time, or else this moment."""
    if plan.event_id is not None:
        return []
    now = time.time_ns() // 1_000_000
    times = chunk.millis(plan.event_time) if plan.event_time is not None else [now] * len(chunk)
    return [uuid7(now if millis is None else millis) for millis in times]


def _ranges(places: Sequence[int]) -> bytes:
    ranges = RowRanges()
    for place in places:
        if ranges.starts and ranges.starts[-1] + ranges.lengths[-1] == place:
            ranges.lengths[-1] += 1
        else:
            ranges.starts.append(place)
            ranges.lengths.append(1)
    return ranges.SerializeToString()


def _refused(row: RefusedRow) -> HeadraceError:
    error = HeadraceError(f"row {row.source_row} cannot be sent: {row.message}")
    error.reason = row.reason
    return error
