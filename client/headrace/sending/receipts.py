"""Who is told what became of a batch: the log, by callback or warning, or a publish() that waits."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.encoding.read_back import values_of
from headrace.encoding.table import Header
from headrace.errors import HeadraceError
from headrace.results import BatchOutcome, RowError, reason_name, rows_of
from headrace.sending.notices import Notices
from headrace.sending.window import Receipt, SealedBatch
from headrace.v1 import batch_pb2, result_pb2


class LogReceipt:
    """Tells on_result of a batch of logged rows; without on_result, warns of rows that were refused.

    Args:
        notices: Warnings and callbacks.
        header: Model and kind of the batch.
        event_ids: Event id of each row.
    """

    __slots__ = ("_event_ids", "_header", "_notices")

    is_awaited = False

    def __init__(self, notices: Notices, header: Header, event_ids: Sequence[object]) -> None:
        self._notices = notices
        self._header = header
        self._event_ids = event_ids if notices.on_result is not None else ()

    def settled(self, batch: SealedBatch, result: result_pb2.BatchResult | None) -> None:
        """The batch is acknowledged."""
        if self._notices.on_result is not None:
            self._notices.on_result(outcome(self._header, batch, result, self._event_ids))
        elif result is not None and result.rejected:
            first = result.errors[0] if result.errors else result_pb2.RowErrors()
            self._notices.warn(
                f"rejected {first.reason}",
                f"{self._header.model}: {result.rejected} of {batch.rows} rows rejected, "
                f"{reason_name(first.reason)} {first.column}: {first.message}",
            )

    def failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None:
        """Nothing to add: the session counts such rows and calls on_error."""


class LostReceipt:
    """Tells of a batch that could not be read back from the spool; it stands with the empty one in its place.

    Args:
        notices: Warnings and callbacks.
        error: What is wrong with it.
        rows: Its rows, as far as they are known.
        awaited: The receipt of the batch itself, where somebody waits for it.
    """

    __slots__ = ("_awaited", "_error", "_notices", "_rows")

    is_awaited = True

    def __init__(self, notices: Notices, error: HeadraceError, rows: int, awaited: Receipt | None) -> None:
        self._notices = notices
        self._error = error
        self._rows = rows
        self._awaited = awaited

    def settled(self, batch: SealedBatch, result: result_pb2.BatchResult | None) -> None:
        """The empty batch is acknowledged: there is nothing else to come."""
        self.failed(batch, self._error, set_aside=True)

    def failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None:
        """The damage is told, whatever became of the empty batch."""
        self._notices.error(self._error)
        if self._rows:
            self._notices.dropped(self._error.reason, self._rows, str(self._error))
        if self._awaited is not None:
            lost = SealedBatch(batch.seq, b"", 0, self._rows, self._awaited)
            self._awaited.failed(lost, self._error, set_aside=True)


def receipt_of(batch: bytes, notices: Notices) -> LogReceipt:
    """Return the receipt of a serialized batch of logged rows that has been on disk."""
    parsed = batch_pb2.Batch.FromString(batch)
    ids: Sequence[object] = ()
    if notices.on_result is not None:
        named = (column for column in parsed.columns.columns if column.name == "event_id")
        ids = values_of(next(named, None), parsed.columns.row_count)
    return LogReceipt(notices, Header(parsed.kind, parsed.model, parsed.model_version), ids)


def outcome(
    header: Header, batch: SealedBatch, result: result_pb2.BatchResult | None, event_ids: Sequence[object]
) -> BatchOutcome:
    """Return the outcome of a batch; without a result all rows are stored."""
    if result is None:
        result = result_pb2.BatchResult(seq=batch.seq, rows=batch.rows, stored=batch.rows)
    return BatchOutcome(
        model=header.model,
        version=header.version,
        kind=batch_pb2.RecordKind.Name(header.kind).removeprefix("RECORD_KIND_"),
        seq=batch.seq,
        rows=batch.rows,
        stored=result.stored,
        duplicate=result.duplicate,
        conflict=result.conflict,
        rejected=batch.rows if result.rejected and not result.rows else result.rejected,
        joined=result.joined,
        parked=result.parked,
        pending=result.pending,
        skipped=result.skipped,
        errors=[
            RowError(reason_name(e.reason), e.column, e.message, rows_of(e.rows) or list(range(batch.rows)))
            for e in result.errors
        ],
        duplicate_rows=rows_of(result.duplicate_rows),
        conflict_rows=rows_of(result.conflict_rows),
        replayed=result.replayed,
        result_expired=result.result_expired,
        event_ids=event_ids,
    )
