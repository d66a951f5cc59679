"""Documents: what jsonb stores passes unchanged, what it would refuse is refused by name."""

import math
from typing import Any

import orjson
import pyarrow as pa
import pytest

from headrace_server.decoding.decoded import Cells, JsonText, UnixMicros
from headrace_server.models.column_types import ValueType
from headrace_server.validation.casting import cast
from headrace_server.validation.json_documents import MAX_DEPTH
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field

FIELD = Field("raw", ValueType.JSON)


def cast_documents(cells: Cells) -> tuple[list[str | None], dict[str, list[int]]]:
    rejections = Rejections(len(cells.values))
    array = cast(cells, FIELD, "raw", rejections)
    assert array.type == pa.string()
    return array.to_pylist(), {group.reason: group.rows.nonzero()[0].tolist() for group in rejections.groups}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "null",
        "-0.5e3",
        '"text"',
        ' [1, {"a": "é ✈"}] ',
        '{"a":1,"a":2}',
        nested(MAX_DEPTH),
        '"\\\\u0000"',
        f'"{"[" * 500}"',
    ],
)
def test_a_document_is_stored_as_it_was_sent(text: str) -> None:
    assert cast_documents(Cells(pa.array([text, None]), is_json=True)) == ([text, None], {})
    assert cast_documents(Cells([JsonText(text), None])) == ([text, None], {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        ("{'a': 1}", "INVALID_JSON"),
        ("NaN", "INVALID_JSON"),
        ('{"a": Infinity}', "INVALID_JSON"),
        ("1e999", "INVALID_JSON"),
        ("1, 2", "INVALID_JSON"),
        ('"\\ud800"', "INVALID_JSON"),
        ('"a\0"', "INVALID_JSON"),
        (nested(MAX_DEPTH + 1), "INVALID_JSON"),
        (nested(5_000), "INVALID_JSON"),
        ('"a\\u0000"', "NUL_IN_TEXT"),
        ('{"a\\u0000": 1}', "NUL_IN_TEXT"),
        ('[[{"b": ["\\u0000"]}]]', "NUL_IN_TEXT"),
        (f'"{"a" * 65_535}"', "TEXT_TOO_LONG"),
        (f'"{"é" * 32_768}"', "TEXT_TOO_LONG"),
    ],
)
def test_a_bad_document_costs_its_own_row_only(text: str, reason: str) -> None:
    assert cast_documents(Cells(pa.array(["{}", text, "[1]"]), is_json=True)) == (["{}", None, "[1]"], {reason: [1]})
    assert cast_documents(Cells([JsonText("1"), JsonText(text)])) == (["1", None], {reason: [1]})


def test_two_halves_of_a_document_are_no_documents() -> None:
    halves = ['{"a": 1', '"b": 2}', "[1", "2]", '"abc', 'def"', "1],[2"]
    assert cast_documents(Cells(pa.array(halves), is_json=True))[1] == {"INVALID_JSON": list(range(len(halves)))}


def test_bytes_that_are_no_utf8_cost_their_own_row_only() -> None:
    texts = pa.array(["{}", b'"\xff"', "[1]"], pa.binary())
    assert cast_documents(Cells(texts, is_json=True)) == (["{}", None, "[1]"], {"INVALID_UTF8": [1]})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None], "b": {"é": 0.5}}, '{"a":[1,null],"b":{"é":0.5}}'),
        ("text", '"text"'),
        (5, "5"),
        (2**64 - 1, "18446744073709551615"),
        (True, "true"),
        ([0.5, 1], "[0.5,1]"),
        (UnixMicros(1_356_998_400_000_001), '"2013-01-01T00:00:00.000001+00:00"'),
    ],
)
def test_any_value_is_a_document(value: Any, text: str) -> None:
    assert cast_documents(Cells([value, None])) == ([text, None], {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "INVALID_JSON"),
        ([0.5, -math.inf], "INVALID_JSON"),
        (UnixMicros(2**63 - 1), "VALUE_OUT_OF_RANGE"),
        ({"a": "b\0"}, "NUL_IN_TEXT"),
        ({"a\0": 1}, "NUL_IN_TEXT"),
        ({"a": "b" * 65_536}, "TEXT_TOO_LONG"),
        (orjson.loads(nested(MAX_DEPTH + 1)), "INVALID_JSON"),
        ({"a": orjson.loads(nested(MAX_DEPTH))}, "INVALID_JSON"),
        ({"a": orjson.loads(nested(900))}, "INVALID_JSON"),
    ],
)
def test_what_json_or_jsonb_cannot_hold_costs_its_own_row_only(value: Any, reason: str) -> None:
    assert cast_documents(Cells([{"good": 1}, value])) == (['{"good":1}', None], {reason: [1]})


def test_numbers_and_texts_sent_as_arrays_are_documents_too() -> None:
    assert cast_documents(Cells(pa.array([0.5, None, math.nan]))) == (["0.5", None, None], {"INVALID_JSON": [2]})
    assert cast_documents(Cells(pa.array(["{}", None]))) == (['"{}"', None], {})
    assert cast_documents(Cells(pa.array([[0.5], [math.inf]], pa.list_(pa.float32()))))[1] == {"INVALID_JSON": [1]}
