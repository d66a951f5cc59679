"""publish(validate_only=True): a source → batches → verdicts, one unary call a batch, and nothing is written.

The rows take the way of publish() up to their encoded batches; no session is opened and no counter counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from headrace.connecting.calls import Calls
from headrace.deadline import Deadline
from headrace.encoding.table import Limits, RefusedRow, Table, encode
from headrace.errors import HeadraceError
from headrace.publishing.publish import Run, check_nan
from headrace.results import PublishResult
from headrace.settings import Settings
from headrace.sources.plan import Roles
from headrace.v1 import batch_pb2, ingest_service_pb2, ingest_service_pb2_grpc, result_pb2

if TYPE_CHECKING:
    from headrace.handles.model import Model

_CHUNK_ROWS = 10_000
_BATCH_BYTES = 1024 * 1024  # below the limit of any service but one that was told otherwise; only Opened would say


class Validator:
    """Has the service judge sources without storing them.

    Args:
        calls: The client's unary calls.
        settings: The client's settings.
    """

    def __init__(self, calls: Calls, settings: Settings) -> None:
        self._calls = calls
        rows, size = settings.batch_rows or _CHUNK_ROWS, settings.batch_bytes or _BATCH_BYTES
        self._limits = Limits(min(rows, _CHUNK_ROWS), min(size, _BATCH_BYTES))

    def validate(
        self,
        model: Model,
        source: object,
        roles: Roles,
        *,
        nan: str,
        deadline: Deadline,
        on_progress: Callable[[int], object] | None,
    ) -> PublishResult:
        """Return the verdicts that the rows of `source` would get; as Model.publish."""
        check_nan(nan)
        run = _Validation(self._calls, self._limits, model, roles, deadline=deadline, on_progress=on_progress)
        return run.validate(source, nan)


class _Validation(Run):
    """One validation, from its first row to its last verdict."""

    def __init__(
        self,
        calls: Calls,
        limits: Limits,
        model: Model,
        roles: Roles,
        *,
        deadline: Deadline,
        on_progress: Callable[[int], object] | None,
    ) -> None:
        super().__init__({}, model, roles, deadline=deadline, on_progress=on_progress)
        self._calls = calls
        self._limits = limits

    def validate(self, source: object, nan: str) -> PublishResult:
        """Have all rows judged."""
        self._send(source, nan)
        result = self._result()
        for part in (result, result.labels):
            if part is not None:
                part.validate_only = True
        return result

    def _chunk_rows(self) -> int:
        return self._limits.rows

    def _await_events(self, seq: int) -> None:
        """Nothing to wait for: no event is stored, so labels of this source find only what was there before."""

    def _seal(self, kind: batch_pb2.RecordKind.ValueType, table: Table) -> int:
        """Have the service judge a table, batch by batch."""
        books = self._books[kind]
        for part in encode(table, self._model.header(kind), self._limits):
            if isinstance(part, RefusedRow):
                books.refused(part)
                continue
            if self._deadline.has_passed:
                raise self._timed_out("not all rows are validated")
            books.receipt(part.source_rows)
            result, rows = self._judge(part.body), part.source_rows
            books.settled(len(rows), partial(PublishResult.add, result=result, source_rows=rows))
        return 0

    def _judge(self, body: bytes) -> result_pb2.BatchResult:
        request = ingest_service_pb2.PublishRequest(
            project=self._calls.project,
            batch=batch_pb2.Batch.FromString(body),
            validate_only=True,
        )
        response = self._calls.call(ingest_service_pb2_grpc.IngestServiceStub, lambda stub: stub.Publish, request)
        if not response.validate_only:
            raise HeadraceError("the service is older than validate_only: it has stored the rows")
        result: result_pb2.BatchResult = response.result
        return result
