"""Dead letters: the row as it was sent, whatever was wrong with it, within bounds."""

import hashlib
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import DeadLetter
from headrace_server.batching.verdicts import Refusal
from headrace_server.dead_letters import letters as letters_module
from headrace_server.dead_letters.letters import letter_of_batch, letter_of_refusal, letters_of_rejections
from headrace_server.decoding.decode import decode
from headrace_server.models.schema import EventIdType
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Moment
from headrace_server.validation.validate import validate
from support.event_schemas import NOW, schema
from support.pending_batches import pending
from support.wire_forms import FORMS, as_columns, as_json, batch, column, texts

EVERY_TYPE: dict[str, tuple[str, list[Any]]] = {
    "event_id": ("string", ["a", "b", None]),
    "event_time": ("timestamp", [1_356_998_400_000_001, None, -1]),
    "n": ("int64", [2**63 - 1, None, -(2**63)]),
    "f": ("float64", [float("-inf"), 0.5, None]),
    "b": ("bool", [True, False, None]),
    "s": ("string", ["", "a\0\u2028✈", None]),
    "c": ("category", ["UA", None, "UA"]),
    "t": ("timestamp", [2**62, None, -(2**62)]),
    "v": ("vector", [[0.5, 1.0], None, [-0.25, 3.0]]),
    "l": ("string_list", [["a\0", ""], [], None]),
    "d": ("json", [{"a": [1, None, "\0"]}, "text", None]),
}


def letters_for(sent: batch_pb2.Batch, *rows: int) -> list[DeadLetter]:
    decoded = decode(sent)
    rejections = Rejections(decoded.row_count)
    rejections.add("WRONG_TYPE", "x", np.isin(np.arange(decoded.row_count), rows or range(decoded.row_count)), "no")
    return letters_of_rejections(sent, decoded, rejections)


def cells_of(sent: batch_pb2.Batch) -> list[dict[str, Any]]:
    """Rows with the cells that have a value."""
    rows = decode(sent)
    columns = {name: cells.python_values() for name, cells in rows.columns.items()}
    return [
        {name: cells[row] for name, cells in columns.items() if cells[row] is not None} for row in range(rows.row_count)
    ]


@pytest.mark.parametrize("form", ["columns", "rows"])
def test_a_letter_gives_back_the_same_cells_of_every_type(form: str) -> None:
    sent = FORMS[form](EVERY_TYPE)
    letters = letters_for(sent)
    assert [letter.row for letter in letters] == [0, 1, 2]
    for letter, row in zip(letters, cells_of(sent), strict=True):
        alone = batch_pb2.Batch.FromString(letter.payload)
        assert alone.WhichOneof("form") == form
        assert cells_of(alone) == [row]


def test_a_letter_of_json_rows_holds_the_object_as_it_was() -> None:
    rows = [
        {"event_id": "a", "n": 2**64 - 1, "x": {"deep": [0.1, None]}, "s": "a\0"},
        {"event_id": None, "x": [0.1, 1e300]},
        {"x": []},
        {"x": orjson.loads("[" * 400 + "]" * 400)},
    ]
    sent = batch(
        json=batch_pb2.JsonRows(rows=orjson.dumps(rows[:3])[:-1] + b',{"x":' + b"[" * 400 + b"]" * 400 + b"}]")
    )
    for letter, row in zip(letters_for(sent), rows, strict=True):
        assert orjson.loads(batch_pb2.Batch.FromString(letter.payload).json.rows) == [row]


def test_bytes_that_are_no_utf8_are_kept_as_they_came() -> None:
    lists = batch_pb2.StringListValues(lengths=[2], items=texts(["a", b"\xff"]))
    sent = batch(
        columns=batch_pb2.ColumnBatch(
            row_count=1,
            columns=[
                batch_pb2.Column(name="event_id", strings=texts([b"\xff\x00a"])),
                batch_pb2.Column(name="raw", json=texts([b'"\xff"'])),
                batch_pb2.Column(name="stops", string_lists=lists),
            ],
        )
    )
    (letter,) = letters_for(sent)
    assert batch_pb2.Batch.FromString(letter.payload) == sent


def test_a_letter_names_kind_model_and_version_but_no_seq() -> None:
    sent = as_json({"event_id": ("string", ["a"])})
    sent.model_version, sent.seq = "v7", 12
    alone = batch_pb2.Batch.FromString(letters_for(sent)[0].payload)
    assert (alone.kind, alone.model, alone.model_version, alone.seq) == (sent.kind, sent.model, "v7", 0)


def test_only_refused_rows_have_letters_and_each_its_first_fault() -> None:
    sent = as_columns({"event_id": ("string", list("abcd"))})
    rejections = Rejections(4)
    rejections.add("NUL_IN_TEXT", "note", np.arange(4) == 3, "holds \0 NUL")
    rejections.add("WRONG_TYPE", "x", np.arange(4) % 2 == 1, "no number")
    letters = letters_of_rejections(sent, decode(sent), rejections)
    told = [(letter.row, letter.reason, letter.column, letter.message, letter.sqlstate) for letter in letters]
    assert told == [(1, "WRONG_TYPE", "x", "no number", ""), (3, "NUL_IN_TEXT", "note", "holds \\0 NUL", "")]
    assert [cells_of(batch_pb2.Batch.FromString(letter.payload)) for letter in letters] == [
        [{"event_id": "b"}],
        [{"event_id": "d"}],
    ]


def test_no_refusal_is_no_letter() -> None:
    sent = as_columns({"event_id": ("string", ["a"])})
    assert letters_of_rejections(sent, decode(sent), Rejections(1)) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_row_of_nulls_is_a_row_all_the_same(form: str) -> None:
    sent = FORMS[form]({"x": ("int64", [1, None])})
    assert decode(batch_pb2.Batch.FromString(letters_for(sent, 1)[0].payload)).row_count == 1


@pytest.mark.parametrize("form", FORMS)
def test_of_a_larger_row_the_head_the_size_and_the_hash_are_kept(form: str) -> None:
    sent = FORMS[form]({"note": ("string", ["a" * 70_000, "b"])})
    large, small = letters_for(sent)
    assert len(large.payload) == 64 * 1024
    assert large.payload_bytes > 70_000
    decoded = decode(sent)
    (whole,) = letters_module.one_row_batches(sent, decoded, [0])
    assert large.payload_sha256 == hashlib.sha256(whole.SerializeToString()).digest()
    assert whole.SerializeToString().startswith(large.payload)
    assert (small.payload_bytes, len(small.payload_sha256)) == (len(small.payload), 32)


def test_all_letters_of_a_batch_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters_module, "MAX_BATCH_PAYLOAD_BYTES", 2_500)
    letters = letters_for(as_columns({"note": ("string", ["a" * 1_000] * 4)}))
    assert sum(len(letter.payload) for letter in letters) == 2_500
    assert [letter.payload_bytes for letter in letters] == [letters[0].payload_bytes] * 4
    assert letters[3].payload == b""


def test_a_batch_that_cannot_be_taken_apart_is_one_letter() -> None:
    letter = letter_of_batch(b"x" * 100_000, "UNDECODABLE", "m" * 5_000)
    assert (letter.row, letter.reason, letter.column) == (-1, "UNDECODABLE", "")
    assert (len(letter.payload), letter.payload_bytes) == (64 * 1024, 100_000)
    assert letter.payload_sha256 == hashlib.sha256(b"x" * 100_000).digest()
    assert len(letter.message) == 500


async def test_a_row_that_the_database_refused_can_be_sent_again() -> None:
    """Its letter holds what validation made of it, and validates to the same row."""
    of = schema(event_id_type=EventIdType.UUID)
    ids = [str(UUID(int=index)) for index in range(4)]
    sent = as_columns(
        {
            "event_id": ("string", ids),
            "event_time": ("timestamp", [1_356_998_400_000_001] * 4),
            "dep_delay": ("float64", [0.5, None, 1.5, float("inf")]),
            "distance": ("int64", [1, 2, 2**62, 4]),
            "carrier": ("category", ["UA"] * 4),
            "diverted": ("bool", [True] * 4),
            "booked_at": ("timestamp", [None, 1, 2, 3]),
            "embedding": ("vector", [[0.5, 1.0, 1.5]] * 4),
            "stops": ("string_list", [["a", ""]] * 4),
            "raw": ("json", [{"a": "é"}] * 4),
            "metadata": ("json", [{"host": "h"}] * 4),
        }
    )
    sent.columns.columns.append(column("prediction", "float64", [0.1] * 4))
    sent.model_version = "v1"
    moment = Moment(NOW, "v1")
    validated = validate(decode(sent), of, moment)
    # Row 0 was refused before: places are not positions.
    kept = pending(
        4, table=validated.table.slice(1), places=np.array([1, 2, 3]), model_version="v1", json_columns=of.json_columns
    )
    letter = letter_of_refusal(kept, Refusal(2, "STORAGE_REJECTED", "numeric overflow", sqlstate="22003"))
    assert (letter.row, letter.reason, letter.sqlstate) == (2, "STORAGE_REJECTED", "22003")
    alone = batch_pb2.Batch.FromString(letter.payload)
    assert (alone.model, alone.model_version, alone.kind) == ("flight_delay", "v1", batch_pb2.RECORD_KIND_EVENTS)
    again = validate(decode(alone), of, moment)
    assert not again.rejections
    names = sorted(validated.table.column_names)
    assert again.table.select(names).equals(validated.table.select(names).slice(2, 1))
