"""JSON rows: what is JSON and an array of objects becomes columns, everything else is told what it is not."""

import json

import orjson
import pytest

from headrace.v1 import batch_pb2
from headrace_server.decoding import decoded as bounds
from headrace_server.decoding.decoded import DecodedRows, UndecodableError
from headrace_server.decoding.json_form import decode_json


def decode(text: str | bytes) -> DecodedRows:
    return decode_json(batch_pb2.JsonRows(rows=text.encode() if isinstance(text, str) else text))


def test_keys_become_columns_and_a_missing_key_is_null() -> None:
    decoded = decode('[{"a": 1, "b": "x"}, {}, {"b": null, "c": [1.5]}]')
    assert decoded.row_count == 3
    assert {name: cells.python_values() for name, cells in decoded.columns.items()} == {
        "a": [1, None, None],
        "b": ["x", None, None],
        "c": [None, None, [1.5]],
    }


def test_no_rows_are_no_rows() -> None:
    assert decode("[]").row_count == 0
    assert decode("[{},{}]").columns == {}


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert decode('[{"a": 1, "a": 2}]').columns["a"].python_values() == [2]


def test_nul_and_every_other_character_of_a_text_are_kept() -> None:
    text = "a\0\x1f\u2028✈"
    assert decode(orjson.dumps([{text: text}])).columns[text].python_values() == [text]


def test_numbers_keep_their_value_as_far_as_there_are_types_for_it() -> None:
    values = decode('[{"x": 9223372036854775807}, {"x": 18446744073709551615}, {"x": 1e300}]').columns["x"]
    assert values.python_values() == [2**63 - 1, 2**64 - 1, 1e300]
    assert decode('[{"x": 18446744073709551616}]').columns["x"].python_values() == [2.0**64]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[{}", "not JSON"),
        ('[{"x": NaN}]', "NaN and Infinity must be sent as null"),
        ('[{"x": -Infinity}]', "NaN and Infinity must be sent as null"),
        ('[{"x": 1e999}]', "not JSON"),
        ('[{"x": "\\ud800"}]', "not JSON"),
        (b'[{"x": "\xff"}]', "not JSON"),
        ("\ufeff[]", "not JSON"),
        ("[{}] []", "not JSON"),
        ("[" * 2_000 + "]" * 2_000, "not JSON"),
        ('{"a": 1}', "must be an array of objects"),
        ("null", "must be an array of objects"),
        ('"text"', "must be an array of objects"),
        ("[{}, 5]", "element 1 of the JSON array is not an object"),
        ("[[]]", "element 0 of the JSON array is not an object"),
        (json.dumps([{"x" * 257: 1}]), "longer than 256"),
    ],
)
def test_what_is_no_array_of_objects_is_told_so(text: str | bytes, said: str) -> None:
    with pytest.raises(UndecodableError, match=said):
        decode(text)


def test_documents_within_rows_may_be_deep() -> None:
    deep = '{"a":' * 500 + "1" + "}" * 500
    assert decode(f'[{{"x": {deep}}}]').row_count == 1
    lists = "[" * 900 + "]" * 900
    assert decode(f'[{{"x": {lists}}}]').row_count == 1


def test_rows_that_share_no_key_do_not_make_a_table_of_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_CELLS", 100)
    assert decode(json.dumps([{f"x{row}": 1} for row in range(10)])).row_count == 10
    with pytest.raises(UndecodableError, match="11 rows × 11 columns; at most 100 cells"):
        decode(json.dumps([{f"x{row}": 1} for row in range(11)]))


def test_more_keys_than_a_table_has_columns_are_refused() -> None:
    with pytest.raises(UndecodableError, match="1601 different columns"):
        decode(json.dumps([{f"x{index}": 1 for index in range(1_601)}]))
