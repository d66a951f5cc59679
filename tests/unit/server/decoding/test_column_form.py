"""The fast form: every type with nulls, and every way in which lengths, offsets and indexes can lie."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from headrace.v1 import batch_pb2
from headrace_server.decoding import column_form
from headrace_server.decoding.column_form import decode_columns
from headrace_server.decoding.decoded import MAX_COLUMNS, MAX_NAME_CHARACTERS, JsonText, UndecodableError
from support.wire_forms import as_columns, column, texts

CELLS: dict[str, Sequence[Any]] = {
    "bool": [True, None, False],
    "int64": [2**63 - 1, None, -(2**63)],
    "float64": [0.5, None, float("-inf")],
    "string": ["", None, "naïve ✈"],
    "category": ["UA", None, "UA"],
    "timestamp": [0, None, -1],
    "vector": [[1.0, 2.5], None, [-0.5, 0.0]],
    "string_list": [["a", "é"], None, []],
    "json": [{"a": [1, None]}, None, "text"],
    "bytes": [b"\0\xff", None, b""],
}


def of(*columns: batch_pb2.Column, rows: int = 3) -> batch_pb2.ColumnBatch:
    return batch_pb2.ColumnBatch(row_count=rows, columns=columns)


@pytest.mark.parametrize("kind", CELLS)
def test_cells_of_every_type_come_out_as_they_went_in(kind: str) -> None:
    decoded = decode_columns(as_columns({"x": (kind, CELLS[kind])}).columns)
    expected = ['{"a":[1,null]}', None, '"text"'] if kind == "json" else list(CELLS[kind])
    assert decoded.row_count == 3
    assert decoded.columns["x"].python_values() == expected
    assert decoded.columns["x"].is_json == (kind == "json")


@pytest.mark.parametrize("kind", CELLS)
def test_a_column_of_no_rows_is_empty(kind: str) -> None:
    decoded = decode_columns(as_columns({"x": (kind, [])}).columns)
    assert (decoded.row_count, decoded.columns["x"].python_values()) == (0, [])


@pytest.mark.parametrize("kind", CELLS)
def test_a_column_may_be_null_in_every_row(kind: str) -> None:
    decoded = decode_columns(as_columns({"x": (kind, [None] * 9)}).columns)
    assert decoded.columns["x"].python_values() == [None] * 9


def test_a_column_without_values_is_null_in_every_row() -> None:
    decoded = decode_columns(of(batch_pb2.Column(name="x"), column("y", "bool", [True] * 3)))
    assert decoded.columns["x"].python_values() == [None] * 3


def test_many_rows_and_long_vectors() -> None:
    count, dimension = 100_000, 16_000
    numbers = decode_columns(as_columns({"x": ("float64", [0.25] * count)}).columns)
    assert pa.compute.sum(numbers.columns["x"].values).as_py() == count / 4
    vectors = decode_columns(as_columns({"x": ("vector", [[1.5] * dimension, [2.5] * dimension])}).columns)
    assert vectors.columns["x"].python_values() == [[1.5] * dimension, [2.5] * dimension]


def test_cells_without_a_value_may_hold_anything() -> None:
    names = column("x", "string", [None, "b", None])
    names.strings.CopyFrom(texts([b"\xff\x00", "b", b"\xc0"]))
    codes = column("y", "category", [None, "b", None])
    codes.categories.indices[:] = [7, 0, 2**32 - 1]
    decoded = decode_columns(of(names, codes))
    assert decoded.columns["x"].python_values() == [None, "b", None]
    assert decoded.columns["y"].python_values() == [None, "b", None]


def test_texts_that_are_not_utf8_leave_the_others_texts() -> None:
    decoded = decode_columns(
        of(
            batch_pb2.Column(name="x", strings=texts(["é", b"\xe9", b"\xed\xa0\x80"])),
            batch_pb2.Column(name="y", json=texts(["1", b"\xff", "{}"])),
            batch_pb2.Column(
                name="z", string_lists=batch_pb2.StringListValues(lengths=[1, 2, 0], items=texts(["a", "b", b"\xff"]))
            ),
        )
    )
    assert decoded.columns["x"].python_values() == ["é", b"\xe9", b"\xed\xa0\x80"]
    documents = decoded.columns["y"].python_values()
    assert documents == ["1", b"\xff", "{}"]
    assert isinstance(documents[2], JsonText)
    assert decoded.columns["z"].python_values() == [["a"], ["b", b"\xff"], []]


def test_a_text_cut_within_a_character_is_not_utf8() -> None:
    halves = batch_pb2.StringValues(lengths=[1, 1], data="é".encode())
    decoded = decode_columns(of(batch_pb2.Column(name="x", strings=halves), rows=2))
    assert decoded.columns["x"].python_values() == [b"\xc3", b"\xa9"]


LIES: dict[str, tuple[str, Callable[[batch_pb2.Column], object]]] = {
    "fewer numbers than rows": ("float64", lambda c: c.float64s.values.pop()),
    "more numbers than rows": ("int64", lambda c: c.int64s.values.append(1)),
    "fewer truth values": ("bool", lambda c: c.bools.values.pop()),
    "fewer times": ("timestamp", lambda c: c.timestamps.unix_micros.pop()),
    "fewer lengths": ("string", lambda c: c.strings.lengths.pop()),
    "lengths beyond the bytes": ("string", lambda c: c.strings.lengths.__setitem__(0, 9)),
    "lengths that run over": ("string", lambda c: c.strings.lengths.__setitem__(0, 2**32 - 1)),
    "bytes beyond the lengths": ("string", lambda c: setattr(c.strings, "data", b"too many bytes of text")),
    "validity too long": ("int64", lambda c: setattr(c, "validity", b"\x01\x00")),
    "fewer indexes": ("category", lambda c: c.categories.indices.pop()),
    "an index beyond the dictionary": ("category", lambda c: c.categories.indices.__setitem__(0, 1)),
    "no dictionary": ("category", lambda c: c.categories.ClearField("dictionary")),
    "a dictionary that lies": ("category", lambda c: c.categories.dictionary.lengths.__setitem__(0, 3)),
    "half a vector": ("vector", lambda c: c.vectors.values.pop()),
    "a dimension of its own": ("vector", lambda c: setattr(c.vectors, "dimension", 3)),
    "a dimension beyond 31 bits": ("vector", lambda c: setattr(c.vectors, "dimension", 2**32 - 1)),
    "fewer list lengths": ("string_list", lambda c: c.string_lists.lengths.pop()),
    "lists beyond their items": ("string_list", lambda c: c.string_lists.lengths.__setitem__(0, 5)),
    "items that lie": ("string_list", lambda c: c.string_lists.items.lengths.__setitem__(0, 9)),
    "documents that lie": ("json", lambda c: c.json.lengths.__setitem__(0, 1)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_column_that_lies_is_told_by_its_name(lie: str) -> None:
    kind, tell = LIES[lie]
    lying = column("x", kind, CELLS[kind])
    tell(lying)
    with pytest.raises(UndecodableError, match=r"^column 'x': ") as caught:
        decode_columns(of(lying))
    assert caught.value.reason == "UNDECODABLE"


@pytest.mark.parametrize("size", [1, 3])
def test_validity_has_a_bit_for_each_row_and_no_byte_more(size: int) -> None:
    lying = column("x", "int64", range(9))
    lying.validity = b"\x01" * size
    with pytest.raises(UndecodableError, match=f"{size} validity bytes where 2 are needed"):
        decode_columns(of(lying, rows=9))


def test_a_vector_of_no_rows_may_claim_any_dimension() -> None:
    empty = batch_pb2.Column(name="x", vectors=batch_pb2.VectorValues(dimension=2**32 - 1))
    assert decode_columns(of(empty, rows=0)).columns["x"].python_values() == []


def test_a_name_that_stands_twice_is_a_repeated_column() -> None:
    with pytest.raises(UndecodableError, match="'x' stands twice") as caught:
        decode_columns(of(column("x", "bool", [True] * 3), column("x", "int64", [1, 2, 3])))
    assert caught.value.reason == "COLUMN_REPEATED"


def test_more_columns_than_a_table_has_are_refused() -> None:
    columns = [column(f"x{index}", "bool", [True]) for index in range(MAX_COLUMNS + 1)]
    assert len(decode_columns(of(*columns[1:], rows=1)).columns) == MAX_COLUMNS
    with pytest.raises(UndecodableError, match="1601 different columns"):
        decode_columns(of(*columns, rows=1))


def test_a_name_longer_than_any_column_is_refused() -> None:
    assert decode_columns(of(column("x" * MAX_NAME_CHARACTERS, "bool", [True]), rows=1)).row_count == 1
    with pytest.raises(UndecodableError, match="longer than 256"):
        decode_columns(of(column("x" * (MAX_NAME_CHARACTERS + 1), "bool", [True]), rows=1))


@pytest.mark.parametrize(
    "columns",
    [[], [batch_pb2.Column(name="x")], [batch_pb2.Column(name="x", vectors=batch_pb2.VectorValues())]],
    ids=["no columns", "no values", "vectors of nothing"],
)
def test_rows_that_nobody_sent_take_no_memory(columns: list[batch_pb2.Column]) -> None:
    with pytest.raises(UndecodableError, match="row_count says 4294967295"):
        decode_columns(of(*columns, rows=2**32 - 1))


def test_a_dictionary_cannot_grow_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_form, "MAX_CATEGORY_BYTES", 1_000)
    long = column("x", "category", ["a" * 90] * 10)
    assert decode_columns(of(long, rows=10)).columns["x"].python_values() == ["a" * 90] * 10
    with pytest.raises(UndecodableError, match="categories of 1080 bytes"):
        decode_columns(of(column("x", "category", ["a" * 90] * 12), rows=12))
    with pytest.raises(UndecodableError, match=r"^column 'y': categories of"):
        decode_columns(of(long, column("y", "category", ["bb"] * 10), rows=10))


def test_a_dictionary_of_long_texts_is_fine_where_few_rows_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_form, "MAX_CATEGORY_BYTES", 1_000)
    cells = ["a" * 500, *["b"] * 10, None]
    assert decode_columns(of(column("x", "category", cells), rows=12)).columns["x"].python_values() == cells
