"""From a rejected row to its dead letter: a one-row Batch in the row form, as bytes.

The row form and not JSON, since jsonb can hold neither NUL nor NaN and a rejected row may be full of both. A letter is
at most 64 KiB; of a larger row its head, size and hash are kept.
"""

import hashlib
from collections.abc import Iterable

import pyarrow as pa

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import DeadLetter, PendingBatch
from headrace_server.batching.verdicts import Refusal
from headrace_server.decoding.decoded import Cells, DecodedRows, JsonText, UnixMicros
from headrace_server.validation.rejections import Rejections

MAX_PAYLOAD_BYTES = 64 * 1024


def letters_of_rejections(batch: batch_pb2.Batch, rows: DecodedRows, rejections: Rejections) -> list[DeadLetter]:
    """Letters for every row that validation refused."""
    refused = rejections.mask().nonzero()[0].tolist()
    if not refused:
        return []
    columns = {name: _only(cells, refused) for name, cells in rows.columns.items()}
    letters = []
    for position, row in enumerate(refused):
        group = rejections.first_of(row)
        payload = one_row_batch(
            batch.kind, batch.model, batch.model_version, {name: cells[position] for name, cells in columns.items()}
        )
        letters.append(_letter(Refusal(row, group.reason, group.message, group.column), payload))
    return letters


def letter_of_batch(batch_bytes: bytes, reason: str, message: str) -> DeadLetter:
    """The letter of a batch that could not be taken apart: all of it, as row -1."""
    return _letter(Refusal(-1, reason, message), batch_bytes)


def letter_of_refusal(batch: PendingBatch, refusal: Refusal) -> DeadLetter:
    """The letter of a good row that the database refused."""
    position = int((batch.places == refusal.row).nonzero()[0][0])
    row = batch.table.slice(position, 1)
    cells = {name: Cells(row.column(name).combine_chunks()).python_values()[0] for name in row.column_names}
    payload = one_row_batch(batch.kind, batch.model, batch.model_version, cells)
    return _letter(refusal, payload)


def one_row_batch(kind: batch_pb2.RecordKind.ValueType, model: str, version: str, cells: dict[str, object]) -> bytes:
    """Serialize a single row's cells, by name, as a Batch that can be sent again."""
    row = batch_pb2.Row()
    for name, value in cells.items():
        if value is None:
            continue
        if name == "event_id":
            row.event_id = _text(value)
        elif name == "event_time" and isinstance(value, UnixMicros):
            row.event_time.seconds, micros = divmod(value, 1_000_000)
            row.event_time.nanos = micros * 1_000
        else:
            _fill(row.values[name], value)
    batch = batch_pb2.Batch(kind=kind, model=model, model_version=version, rows=batch_pb2.RowBatch(rows=[row]))
    return batch.SerializeToString()


def _only(cells: Cells, rows: list[int]) -> list[object]:
    if isinstance(cells.values, pa.Array):
        return Cells(cells.values.take(pa.array(rows)), cells.is_json).python_values()
    return [cells.values[row] for row in rows]


def _letter(refusal: Refusal, payload: bytes) -> DeadLetter:
    return DeadLetter(
        row=refusal.row,
        reason=refusal.reason,
        column=refusal.column,
        message=refusal.message.replace("\0", "\\0"),
        sqlstate=refusal.sqlstate,
        payload=payload[:MAX_PAYLOAD_BYTES],
        payload_bytes=len(payload),
        payload_sha256=hashlib.sha256(payload).digest(),
    )


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _fill(cell: batch_pb2.Value, value: object) -> None:
    """Set the kind that holds the value; bool before int and JsonText before str, since they are those, too."""
    match value:
        case bool():
            cell.bool_value = value
        case UnixMicros():
            cell.timestamp_value.seconds, micros = divmod(value, 1_000_000)
            cell.timestamp_value.nanos = micros * 1_000
        case int() if -(2**63) <= value < 2**63:
            cell.int64_value = value
        case int() | float():
            cell.float64_value = float(value)
        case JsonText():
            cell.json_value = value
        case str() | bytes():
            cell.string_value = _text(value)
        case list() if all(isinstance(item, str) for item in value):
            cell.string_list_value.values.extend(value)
        case list() if all(isinstance(item, int | float) for item in value):
            cell.vector_value.values.extend(_numbers(value))
        case _:
            cell.string_value = repr(value)


def _numbers(values: Iterable[float]) -> Iterable[float]:
    return (float(value) for value in values)
