"""One upload on its stream: begin, rows, commit; answered by begun, progress and ended.

The stream is the job: whatever ends it before its commit ends the job, and the job's end undoes the table. Memory is
bounded as for every other stream: the next message is read once memory for it is reserved, and a batch is let go of
when its COPY is done. A client that wants to know more than the last message says asks JobService.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from headrace.v1 import dataset_service_pb2 as pb
from headrace_server.datasets import completing, influences, publishing, tables
from headrace_server.datasets.dataset import Dataset
from headrace_server.datasets.filling import Filling
from headrace_server.datasets.row_errors import RowErrors
from headrace_server.datasets.row_kind import CompletingRows, DatasetRows, UploadedRows
from headrace_server.errors import (
    AcksNotReadError,
    BatchTooLargeError,
    DatasetRowCountError,
    DatasetRowsRejectedError,
    InternalDefectError,
    JobAbandonedError,
    MessageUnexpectedError,
    StreamIdleError,
)
from headrace_server.intake.admission import MemoryBudget, ReadAllowance, Reservation
from headrace_server.intake.fitting import Fitting
from headrace_server.intake.limits import Limits, weight
from headrace_server.jobs.job_servicer import to_proto
from headrace_server.jobs.run import JobRun
from headrace_server.models.schema import ModelSchema
from headrace_server.models.system_columns import EVENT_ID
from headrace_server.models.table_spec import TableSpec

MOST_REJECTED = 1_000  # of an upload that allows none: enough faults to mend before the next try
PROGRESS_EVERY_S = 0.25

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Shared:
    """What all uploads of the process share.

    Attributes:
        limits: What a message may hold, and how long silence may last.
        reading: Memory for messages that are read.
        budget: Memory for what is made of them.
        fitting: Lets models grow where they may.
    """

    limits: Limits
    reading: MemoryBudget
    budget: MemoryBudget
    fitting: Fitting


@dataclass(frozen=True)
class Wanted:
    """What an upload is to become.

    Attributes:
        model: The model; for a dataset without one, what stands for it.
        has_model: Whether it is one.
        name: Name of the dataset.
        base: The dataset that is to be completed; None for a new one.
        expected_rows: Rows that must come; None for any number.
        allow_rejected: Go on without the rows that are refused.
        influences: The rows are influences on the base.
    """

    model: ModelSchema
    has_model: bool
    name: str
    base: Dataset | None
    expected_rows: int | None
    allow_rejected: bool
    influences: bool

    @property
    def rows(self) -> UploadedRows:
        """What its rows may look like."""
        if self.influences:
            return influences.InfluenceRows()
        return DatasetRows() if self.base is None else CompletingRows()


class Upload:
    """The work of one upload's job."""

    def __init__(self, wanted: Wanted, shared: Shared, context: Context) -> None:
        self._wanted = wanted
        self._shared = shared
        self._context = context
        self._allowance = ReadAllowance(shared.reading)
        self._errors = RowErrors()
        self._told_at = 0.0

    async def work(self, run: JobRun) -> None:
        """Fill a table from the stream and make it visible.

        Raises:
            HeadraceError: Why there will be no such dataset.
        """
        limits, wanted = self._shared.limits, self._wanted
        begun = pb.UploadBegun(
            job=to_proto(run.job),
            max_batch_bytes=limits.max_batch_bytes,
            max_batch_rows=limits.max_batch_rows,
            suggested_batch_rows=limits.suggested_batch_rows,
        )
        await self._write(pb.UploadDatasetResponse(begun=begun))
        filling = self._filling(run)
        await tables.make(run.connection, filling.spec, f"Rows of an upload under way: {run.job.subject}")
        try:
            await self._read(run, filling)
            await filling.settle()
            run.advance(filling.stored - run.rows)
        finally:
            await filling.abandon()
            run.result |= {"rows": filling.stored, "rejected": self._errors.rejected, "errors": self._errors.told()}
        self._check(filling)
        key = influences.KEY if wanted.influences else (EVENT_ID.name,)
        rows = await publishing.counted(run.connection, filling.spec, key)
        if rows != filling.stored:
            raise InternalDefectError(f"{filling.stored} rows were copied and {rows} are there")
        if wanted.influences and wanted.base is not None:
            await influences.publish(run, filling.model, filling.spec, wanted.base, rows)
        elif wanted.base is None:
            await publishing.publish(run, filling.model, wanted.name, rows, has_model=wanted.has_model)
        else:
            await completing.complete(run, filling.model, filling.spec, wanted.base)

    def _filling(self, run: JobRun) -> Filling:
        wanted, name = self._wanted, tables.detached_name(run.job.id)

        def spec_of(model: ModelSchema) -> TableSpec:
            if wanted.influences:
                return influences.part_table(model, name, wanted.name)
            if wanted.base is not None:
                return completing.part_table(model, name)
            if wanted.has_model:
                return tables.detached_table(model, name, wanted.name)
            return tables.standalone_table(model, name)

        return Filling(
            run.connection,
            wanted.model,
            kind=wanted.rows,
            spec_of=spec_of,
            fitting=self._shared.fitting if wanted.has_model else None,
            errors=self._errors,
        )

    async def _read(self, run: JobRun, filling: Filling) -> None:
        """Read until the commit. The next read is posted only once memory for it is reserved."""
        while True:
            request, reservation = await self._next()
            kind = request.WhichOneof("message")
            if kind == "commit":
                reservation.release()
                return
            if kind != "rows":
                reservation.release()
                raise MessageUnexpectedError(f"after begin an upload takes rows and a commit, not {kind}")
            await filling.add(request.rows.batch, _places(request.rows), reservation.release)
            run.advance(filling.stored - run.rows)
            await self._tell(filling)
            if self._errors.rejected > MOST_REJECTED and not self._wanted.allow_rejected:
                raise self._refused()

    async def _next(self) -> tuple[pb.UploadDatasetRequest, Reservation]:
        limits = self._shared.limits
        posted = await self._allowance.before_read()
        try:
            async with asyncio.timeout(limits.idle_timeout_s):
                request = await self._context.read()
            if request is grpc.aio.EOF:
                raise JobAbandonedError("the client ended the upload before its commit; nothing of it is kept")
            size_bytes = request.ByteSize()
            posted.arrived(size_bytes)
            self._allowance.learn(size_bytes)
            batch = request.rows.batch
            if size_bytes > limits.max_batch_bytes:
                text = f"a message has {size_bytes} bytes; at most {limits.max_batch_bytes} are taken: send it in parts"
                raise BatchTooLargeError(text)
            return request, await self._shared.budget.reserve(weight(batch, size_bytes))
        except TimeoutError:
            raise StreamIdleError(f"nothing was sent for {limits.idle_timeout_s:g} seconds") from None
        finally:
            posted.arrived(0)

    def _check(self, filling: Filling) -> None:
        expected = self._wanted.expected_rows
        if expected is not None and filling.received != expected:
            raise DatasetRowCountError(
                f"{expected} rows were expected and {filling.received} came",
                metadata={"expected_rows": str(expected), "received_rows": str(filling.received)},
            )
        if self._errors.rejected and not self._wanted.allow_rejected:
            raise self._refused()

    def _refused(self) -> DatasetRowsRejectedError:
        text = f"{self._errors.rejected} rows were refused: {self._errors.summary()}"
        return DatasetRowsRejectedError(f"{text}. Mend them, or allow rejected rows")

    async def _tell(self, filling: Filling) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = now
            progress = pb.UploadProgress(stored_rows=filling.stored, rejected_rows=self._errors.rejected)
            await self._write(pb.UploadDatasetResponse(progress=progress))

    async def _write(self, message: pb.UploadDatasetResponse) -> None:
        limit = self._shared.limits.acks_timeout_s
        try:
            async with asyncio.timeout(limit):
                await self._context.write(message)
        except TimeoutError:
            raise AcksNotReadError(f"the client did not read for {limit:g} seconds") from None


def _places(rows: pb.UploadRows) -> Sequence[int] | None:
    """The places that the caller names, one a row; None where it names none."""
    if not rows.HasField("source_rows"):
        return None
    runs = zip(rows.source_rows.starts, rows.source_rows.lengths, strict=False)
    return [row for start, length in runs for row in range(start, start + length)]
