"""Wire-identical twins of the batch messages that take whole columns as bytes.

A packed repeated field and a bytes field look the same on the wire: tag, length, payload. So the twin of batch.proto
declares its packed numbers as `bytes`, in a descriptor pool of its own, and a column is written by one memory copy
(`array.tobytes()`) with protobuf's own codec instead of one Python object a cell. What comes out is read by the stubs
of every language; tests/unit/client/encoding/test_wire.py holds both against each other.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from headrace.v1 import batch_pb2, dataset_service_pb2, ingest_service_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_PACKED_TYPES = frozenset(
    {_Field.TYPE_DOUBLE, _Field.TYPE_FLOAT, _Field.TYPE_SFIXED64, _Field.TYPE_BOOL, _Field.TYPE_UINT32}
)


def _twin_file() -> descriptor_pb2.FileDescriptorProto:
    """Return batch.proto with packed numbers as bytes, and what carries batches with its batch as bytes."""
    file = descriptor_pb2.FileDescriptorProto()
    file.ParseFromString(batch_pb2.DESCRIPTOR.serialized_pb)
    for message in file.message_type:
        for field in message.field:
            if field.label == _Field.LABEL_REPEATED and field.type in _PACKED_TYPES:
                field.label = _Field.LABEL_OPTIONAL
                field.type = _Field.TYPE_BYTES
    envelope = file.message_type.add(name="BatchEnvelope")
    envelope.field.add(
        name="batch",
        number=ingest_service_pb2.IngestRequest.BATCH_FIELD_NUMBER,
        type=_Field.TYPE_BYTES,
        label=_Field.LABEL_OPTIONAL,
    )
    rows = file.message_type.add(name="UploadRowsEnvelope")
    for name, number in (
        ("batch", dataset_service_pb2.UploadRows.BATCH_FIELD_NUMBER),
        ("source_rows", dataset_service_pb2.UploadRows.SOURCE_ROWS_FIELD_NUMBER),
    ):
        rows.field.add(name=name, number=number, type=_Field.TYPE_BYTES, label=_Field.LABEL_OPTIONAL)
    upload = file.message_type.add(name="UploadEnvelope")
    upload.field.add(
        name="rows",
        number=dataset_service_pb2.UploadDatasetRequest.ROWS_FIELD_NUMBER,
        type=_Field.TYPE_MESSAGE,
        type_name=".headrace.v1.UploadRowsEnvelope",
        label=_Field.LABEL_OPTIONAL,
    )
    return file


# Any: protobuf makes these classes at run time; their fields are batch.proto's, with bytes where numbers are packed.
_pool: Any = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
_pool.AddSerializedFile(_twin_file().SerializeToString())


def _twin(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"headrace.v1.{name}"))


Batch: Any = _twin("Batch")
"""Twin of headrace.v1.Batch."""
ColumnBatch: Any = _twin("ColumnBatch")
"""Twin of headrace.v1.ColumnBatch."""
_BatchEnvelope: Any = _twin("BatchEnvelope")
_UploadEnvelope: Any = _twin("UploadEnvelope")


def with_seq(body: bytes, seq: int) -> bytes:
    """Return `body`, a serialized Batch without seq, with its seq: serialized messages merge by concatenation."""
    return batch_pb2.Batch(seq=seq).SerializeToString() + body


def enveloped(batch: bytes) -> bytes:
    """Return a serialized IngestRequest that carries the serialized `batch`."""
    frame: bytes = _BatchEnvelope(batch=batch).SerializeToString()
    return frame


def upload_rows(batch: bytes, source_rows: bytes) -> bytes:
    """Return a serialized UploadDatasetRequest that carries a serialized Batch, and RowRanges unless they are empty."""
    envelope = _UploadEnvelope()
    envelope.rows.batch = batch
    if source_rows:
        envelope.rows.source_rows = source_rows
    frame: bytes = envelope.SerializeToString()
    return frame


class _VarintTable(dict[int, bytes]):
    """Varints by number, made when first asked for."""

    def __missing__(self, number: int) -> bytes:
        rest, out = number, bytearray()
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
        encoded = bytes(out)
        if number <= 0xFFFF:  # keeps the table bounded: lengths beyond 64 KiB are rare and refused anyway
            self[number] = encoded
        return encoded


_VARINTS = _VarintTable()


def packed_varints(numbers: Sequence[int]) -> bytes:
    """Return `numbers` (not negative) as a packed varint field; small ones, the usual case, are one byte each."""
    if not numbers or max(numbers) < 0x80:
        return bytes(numbers)
    return b"".join(map(_VARINTS.__getitem__, numbers))


def little_endian(numbers: array[Any]) -> bytes:
    """Return the array's memory in the byte order of the wire."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
