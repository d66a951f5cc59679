"""What the twins write, the stubs read: the same bytes on the wire."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from headrace.encoding import wire
from headrace.v1 import batch_pb2, ingest_service_pb2

uint32s = st.lists(st.integers(0, 2**32 - 1))


@given(uint32s)
def test_packed_varints_are_what_protobuf_writes(numbers: list[int]) -> None:
    strings = wire.Batch()
    strings.columns.columns.add().strings.lengths = wire.packed_varints(numbers)
    read = batch_pb2.Batch.FromString(strings.SerializeToString())
    assert list(read.columns.columns[0].strings.lengths) == numbers


@given(st.lists(st.floats(allow_nan=False)))
def test_an_array_of_doubles_is_a_packed_field(numbers: list[float]) -> None:
    batch = wire.Batch()
    batch.columns.columns.add().float64s.values = wire.little_endian(array("d", numbers))
    read = batch_pb2.Batch.FromString(batch.SerializeToString())
    assert list(read.columns.columns[0].float64s.values) == numbers


def test_the_twin_writes_the_bytes_the_stubs_write() -> None:
    twin = wire.Batch(model="m", kind=1)
    twin.columns.row_count = 2
    column = twin.columns.columns.add(name="x", validity=b"\x03")
    column.bools.values = bytes([True, False])
    plain = batch_pb2.Batch(model="m", kind=batch_pb2.RECORD_KIND_EVENTS)
    plain.columns.row_count = 2
    plain.columns.columns.add(name="x", validity=b"\x03").bools.values.extend([True, False])
    assert twin.SerializeToString() == plain.SerializeToString()


def test_every_field_of_the_twin_has_the_number_it_has_in_the_contract() -> None:
    twin = wire.Batch.DESCRIPTOR.file
    for name, message in batch_pb2.DESCRIPTOR.message_types_by_name.items():
        numbers = {field.name: field.number for field in message.fields}
        assert {field.name: field.number for field in twin.message_types_by_name[name].fields} == numbers


def test_a_body_with_its_seq_in_an_envelope_is_an_ingest_request() -> None:
    body = wire.Batch(model="m").SerializeToString()
    request = ingest_service_pb2.IngestRequest.FromString(wire.enveloped(wire.with_seq(body, 2**40)))
    assert (request.batch.model, request.batch.seq) == ("m", 2**40)
