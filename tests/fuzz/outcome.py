"""What must hold of a batch of any bytes: each row has an outcome, or all have one named error; else it is a defect.

The oracle of `make fuzz` (tests/fuzz/__main__.py) and of the tests that replay its corpus.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from headrace.v1 import batch_pb2
from headrace_server.dead_letters.letters import letters_of_rejections
from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import UndecodableError
from headrace_server.models.schema import EventIdType, UnknownColumns
from headrace_server.validation.validate import validate
from support.event_schemas import MOMENT, schema

SCHEMAS = [
    schema(unknown_columns=UnknownColumns.REJECT),
    schema(unknown_columns=UnknownColumns.METADATA, event_id_type=EventIdType.UUID),
]
FORMS = ("columns", "rows", "json")


def batch_of(data: bytes) -> batch_pb2.Batch | None:
    """What an input means: its first byte says which form the rest is; None where protobuf takes no such bytes."""
    batch = batch_pb2.Batch(kind=batch_pb2.RECORD_KIND_EVENTS, model="flight_delay")
    form, rest = FORMS[data[0] % len(FORMS)], data[1:]
    if form == "json":
        batch.json.rows = rest
        return batch
    try:
        getattr(batch, form).ParseFromString(rest)
    except DecodeError:
        return None
    return batch


def check_outcome(data: bytes) -> None:
    """Take an input through decoding, validation and dead letters.

    Raises:
        Exception: It has no outcome.
    """
    batch = batch_of(data) if data else None
    if batch is None:
        return
    try:
        rows = decode(batch)
    except UndecodableError:
        return
    for cells in rows.columns.values():
        assert len(cells.values) == rows.row_count
    for each in SCHEMAS:
        validated = validate(rows, each, MOMENT)
        refused = validated.rejections.mask()
        assert validated.table.num_rows == len(validated.places) == rows.row_count - refused.sum()
        assert not refused[validated.places].any()
        validated.table.validate(full=True)
        letters = letters_of_rejections(batch, rows, validated.rejections)
        assert [letter.row for letter in letters] == refused.nonzero()[0].tolist()
