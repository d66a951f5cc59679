"""UUIDs as texts: all their spellings to 16 bytes, and the time in those of version 7."""

from uuid import UUID, uuid4

import pyarrow as pa
import pytest

from headrace_server.decoding.decoded import Cells
from headrace_server.models.column_types import ValueType
from headrace_server.validation.casting import cast
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field
from headrace_server.validation.uuid_texts import milliseconds_of

FIELD = Field("event_id", ValueType.STRING, max_bytes=128, is_uuid=True)
ONE = UUID("0190a5b2-7c3d-7abc-8def-0123456789ab")


def cast_ids(cells: Cells) -> tuple[list[bytes | None], dict[str, list[int]]]:
    rejections = Rejections(len(cells.values))
    array = cast(cells, FIELD, "event_id", rejections)
    assert array.type == pa.binary(16)
    return array.to_pylist(), {group.reason: group.rows.nonzero()[0].tolist() for group in rejections.groups}


def test_canonical_texts_become_their_bytes() -> None:
    ids = [uuid4() for _ in range(1_000)]
    texts = pa.array([str(each) if index % 7 else None for index, each in enumerate(ids)])
    expected = [each.bytes if index % 7 else None for index, each in enumerate(ids)]
    assert cast_ids(Cells(texts)) == (expected, {})
    assert cast_ids(Cells(texts.slice(100, 50))) == (expected[100:150], {})


@pytest.mark.parametrize("text", [str(ONE), str(ONE).upper(), ONE.hex, f"{{{ONE}}}", ONE.urn, f"{{{ONE.hex.upper()}}}"])
def test_every_spelling_of_a_uuid_is_the_same_id(text: str) -> None:
    assert cast_ids(Cells(pa.array([text, None]))) == ([ONE.bytes, None], {})
    assert cast_ids(Cells([text, 5])) == ([ONE.bytes, None], {"WRONG_TYPE": [1]})


@pytest.mark.parametrize(
    "text", ["", "e1", str(ONE)[:-1], f"{ONE}0", str(ONE).replace("a", "g"), "０" * 32, "_" * 32, " " * 36]
)
def test_what_is_no_uuid_costs_its_own_row_only(text: str) -> None:
    assert cast_ids(Cells(pa.array([str(ONE), text]))) == ([ONE.bytes, None], {"EVENT_ID_INVALID": [1]})


def test_bytes_that_are_no_text_and_numbers_are_no_uuids() -> None:
    assert cast_ids(Cells(pa.array([str(ONE), b"\xff"], pa.binary()))) == ([ONE.bytes, None], {"INVALID_UTF8": [1]})
    assert cast_ids(Cells(pa.array([1, 2]))) == ([None, None], {"WRONG_TYPE": [0, 1]})


def seventh(millisecond: int) -> UUID:
    return UUID(int=millisecond << 80 | 7 << 76 | 2 << 62 | 12_345)


def test_only_version_7_carries_a_time() -> None:
    first_version = UUID(int=ONE.int & ~(0xF << 76) | 1 << 76)
    other_variant = UUID(int=ONE.int & ~(3 << 62))
    ids = [seventh(0), seventh(1_700_000_000_123), seventh(2**48 - 1), uuid4(), first_version, other_variant]
    expected = [0, 1_700_000_000_123, 2**48 - 1, None, None, None, None]
    assert milliseconds_of(pa.array([*map(str, ids), None])).to_pylist() == expected
    assert milliseconds_of(pa.array([*(each.bytes for each in ids), None], pa.binary(16))).to_pylist() == expected


def test_texts_of_any_length_and_alphabet_stand_between_uuids() -> None:
    good = seventh(7)
    texts = ["", "a" * 36, str(good), str(good).upper(), good.hex, f"{good}x", str(good).replace("-", "_"), "é" * 18]
    assert milliseconds_of(pa.array(texts)).to_pylist() == [None, None, 7, 7, None, None, None, None]
    assert milliseconds_of(pa.array(texts).slice(2, 1)).to_pylist() == [7]
    assert milliseconds_of(pa.array([], pa.string())).to_pylist() == []
