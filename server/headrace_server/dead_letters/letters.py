"""From a rejected row to its dead letter: a Batch of this one row, in the form it was sent in, as bytes.

So what is replayed is what was sent, whatever was wrong with it: NUL, NaN and bytes that are no UTF-8 are kept as they
came. A letter is at most 64 KiB, and all letters of a batch together are bounded, too; of what is larger the head, the
size and the hash are kept.
"""

import hashlib

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import DeadLetter, PendingBatch
from headrace_server.batching.verdicts import Refusal
from headrace_server.dead_letters.one_row import one_row_batches, one_row_columns
from headrace_server.decoding.decoded import Cells, DecodedRows
from headrace_server.models.system_columns import EVENT_COLUMNS, LABEL_COLUMNS
from headrace_server.validation.rejections import Rejections, shortened

MAX_PAYLOAD_BYTES = 64 * 1024
MAX_BATCH_PAYLOAD_BYTES = 32 * 1024 * 1024

_WRITTEN_BY_SERVICE = frozenset(column.name for column in (*EVENT_COLUMNS, *LABEL_COLUMNS) if column.written_by_service)


def letters_of_rejections(batch: batch_pb2.Batch, rows: DecodedRows, rejections: Rejections) -> list[DeadLetter]:
    """Letters for every row that validation refused."""
    refused = rejections.first_groups()
    letters: list[DeadLetter] = []
    room = MAX_BATCH_PAYLOAD_BYTES
    for (row, group), alone in zip(refused, one_row_batches(batch, rows, [row for row, _ in refused]), strict=True):
        refusal = Refusal(row, group.reason, group.message, group.column)
        letters.append(_letter(refusal, alone.SerializeToString(), room))
        room -= len(letters[-1].payload)
    return letters


def letter_of_batch(batch_bytes: bytes, reason: str, message: str) -> DeadLetter:
    """The letter of a batch that could not be taken apart: all of it, as row -1."""
    return _letter(Refusal(-1, reason, shortened(message)), batch_bytes)


def letter_of_refusal(batch: PendingBatch, refusal: Refusal) -> DeadLetter:
    """The letter of a good row that the database refused: as validation left it, without what the service wrote."""
    position = int(batch.places.searchsorted(refusal.row))
    row = batch.table.slice(position, 1)
    columns = {
        name: Cells(row.column(name).combine_chunks(), is_json=name in batch.json_columns)
        for name in row.column_names
        if name not in _WRITTEN_BY_SERVICE
    }
    (cells,) = one_row_columns(columns, [0])
    alone = batch_pb2.Batch(kind=batch.kind, model=batch.model, model_version=batch.model_version, columns=cells)
    return _letter(refusal, alone.SerializeToString())


def _letter(refusal: Refusal, payload: bytes, room: int = MAX_PAYLOAD_BYTES) -> DeadLetter:
    return DeadLetter(
        row=refusal.row,
        reason=refusal.reason,
        column=refusal.column,
        message=refusal.message.replace("\0", "\\0"),
        sqlstate=refusal.sqlstate,
        payload=payload[: min(MAX_PAYLOAD_BYTES, room)],
        payload_bytes=len(payload),
        payload_sha256=hashlib.sha256(payload).digest(),
    )
