"""Rows on their way into an upload's table: checked, encoded, copied, one batch while the next is made ready.

In: batches as they come, in order. Out: rows in the detached table, and every refused row counted by its fault. The
checks are those of events (decoding, validation), the bytes those of every other COPY. There is neither ledger nor dead
letter: an upload that does not become whole leaves nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from headrace.v1 import batch_pb2
from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.copying.target import copy
from headrace_server.datasets import tables
from headrace_server.datasets.row_errors import RowErrors
from headrace_server.datasets.row_kind import UploadedRows
from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import DecodedRows, UndecodableError
from headrace_server.errors import DatasetRowsRejectedError
from headrace_server.intake.fitting import Fitting
from headrace_server.models.evolution import MAX_VERSION_BYTES
from headrace_server.models.schema import ModelSchema
from headrace_server.models.table_spec import TableSpec
from headrace_server.validation.row_schema import Moment, RowSchema
from headrace_server.validation.validate import validate


class Filling:
    """Fills one table.

    Args:
        connection: Whose COPYs; used by nobody else meanwhile.
        model: The model, or what stands for one.
        kind: What the rows may look like.
        spec_of: The table, as a revision of the model wants it.
        fitting: Lets the model grow where it may; None where the model stands for a dataset without one.
        errors: Where refused rows are counted.

    Attributes:
        model: The model as the last batch found it, or made it.
        stored: Rows that are copied.
        received: Rows that came.
    """

    def __init__(
        self,
        connection: Connection,
        model: ModelSchema,
        *,
        kind: UploadedRows,
        spec_of: Callable[[ModelSchema], TableSpec],
        fitting: Fitting | None,
        errors: RowErrors,
    ) -> None:
        self.model = model
        self.stored = 0
        self.received = 0
        self._connection = connection
        self._kind = kind
        self._spec_of = spec_of
        self._standing = {column.name for column in spec_of(model).columns}
        self._fitting = fitting
        self._errors = errors
        self._copying: asyncio.Task[int] | None = None

    @property
    def spec(self) -> TableSpec:
        """The table as it is now."""
        return self._spec_of(self.model)

    async def add(self, batch: batch_pb2.Batch, source_rows: Sequence[int] | None, release: Callable[[], None]) -> None:
        """Check and encode a batch while the one before is copied, then begin to copy it.

        Args:
            batch: The rows.
            source_rows: Place of each in the caller's source; None: they are counted as they come.
            release: Called once nothing of the batch is in memory any more.

        Raises:
            DatasetRowsRejectedError: The batch cannot be decoded at all.
            DatabaseUnavailableError: The model had to be asked about, and the database does not answer.
            asyncpg.PostgresError, OSError: The batch before could not be copied.
        """
        try:
            data, columns, rows = await self._encoded(batch, source_rows)
            await self.settle()
            if not self._standing.issuperset(columns):
                await tables.widen(self._connection, self.spec, self._standing)
                self._standing = {column.name for column in self.spec.columns}
        except BaseException:
            release()
            raise
        self._copying = asyncio.create_task(self._copy(data, columns, rows))
        self._copying.add_done_callback(lambda _: release())

    async def settle(self) -> None:
        """Wait until everything that was added is in the table.

        Raises:
            asyncpg.PostgresError, OSError: It could not be copied.
        """
        if self._copying is not None:
            copying, self._copying = self._copying, None
            self.stored += await copying

    async def abandon(self) -> None:
        """End the copy that is under way."""
        if self._copying is not None:
            self._copying.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._copying
            self._copying = None

    async def _encoded(
        self, batch: batch_pb2.Batch, source_rows: Sequence[int] | None
    ) -> tuple[memoryview, list[str], int]:
        rows = await asyncio.to_thread(_decoded, batch)
        schema = await self._fit(rows)
        moment = Moment(datetime.now(UTC), batch.model_version)
        validated = await asyncio.to_thread(validate, rows, schema, moment)
        places = source_rows if source_rows is not None else range(self.received, self.received + rows.row_count)
        self.received += rows.row_count
        self._errors.add(validated.rejections, places)
        if not len(validated.places):
            return memoryview(b""), [], 0
        data = await asyncio.to_thread(encode, validated.table, schema.json_columns)
        return data, validated.table.column_names, len(validated.places)

    async def _fit(self, rows: DecodedRows) -> RowSchema:
        fitted = None
        if self._fitting is not None:
            fitted = await self._fitting.fit(self._kind, self.model, rows)
        if fitted is None:
            return self._kind.row_schema(self.model)
        self.model, schema = fitted
        return schema

    async def _copy(self, data: memoryview, columns: list[str], rows: int) -> int:
        if rows:
            spec = self.spec
            await copy(self._connection, spec.schema, spec.name, columns, data)
        return rows


def _decoded(batch: batch_pb2.Batch) -> DecodedRows:
    version = batch.model_version
    if len(version.encode("utf-8", "replace")) > MAX_VERSION_BYTES or "\0" in version:
        raise DatasetRowsRejectedError(f"model_version is longer than {MAX_VERSION_BYTES} bytes, or holds NUL")
    try:
        return decode(batch)
    except UndecodableError as error:
        raise DatasetRowsRejectedError(f"{error.reason}: {error}") from error
