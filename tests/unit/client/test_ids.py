"""Ids carry their millisecond, never repeat, and content ids are the same in every language."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import InvalidArgumentError, composite_id, content_id, uuid7
from headrace.content_id import canonical_json


@given(st.integers(0, 2**48 - 1))
def test_a_uuid7_is_one_and_carries_its_millisecond(ms: int) -> None:
    made = uuid.UUID(uuid7(ms))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == ms


def test_ids_of_one_millisecond_differ_also_between_threads() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(mine: list[str]) -> None:
        mine.extend(uuid7(1) for _ in range(5_000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in made for one in mine}) == 20_000


def test_ids_made_later_sort_later() -> None:
    assert uuid7(1) < uuid7(2) < uuid7(2**40)


def test_composite_ids_join_their_parts() -> None:
    assert composite_id("AA1", "JFK", 2013) == "AA1-JFK-2013"


@pytest.mark.parametrize("parts", [(), ("",), ("x" * 129,), ("é" * 65,)])
def test_a_composite_id_that_no_service_takes_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 128 bytes"):
        composite_id(*parts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1.25e-6, "0.00000125"),
        (-1.5e-6, "-0.0000015"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (5e-324, "5e-324"),
        (2**53 + 1, "9007199254740993"),
        (1e22, "1" + "0" * 22),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (True, "true"),
        (np.bool_(False), "false"),
        (None, "null"),
        ("e\u0301", '"é"'),
        ('a"\n\x1f', '"a\\"\\n\\u001f"'),
        ([1, "a", [2.5]], '[1,"a",[2.5]]'),
        ({"b": 1, "a": {"d": None, "c": 2}}, '{"a":{"c":2,"d":null},"b":1}'),
        ({"\uff5e": 2, "\U0001f600": 1}, '{"\U0001f600":1,"\uff5e":2}'),  # by UTF-16 units, as RFC 8785 has it
        (datetime(2013, 1, 1, 5, 15, tzinfo=UTC), '"2013-01-01T05:15:00.000000Z"'),
        (datetime(2013, 1, 1, 5, 15), '"2013-01-01T05:15:00.000000Z"'),  # noqa: DTZ001 -- naive is UTC
        (np.array([1.0, 2.5]), "[1,2.5]"),
    ],
)
def test_the_canonical_form(value: object, text: str) -> None:
    assert canonical_json(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_as_the_same_double(number: float) -> None:
    assert float(canonical_json(number)) == number


VECTORS = json.loads((Path(__file__).parents[3] / "docs" / "content-id-vectors.json").read_text("utf-8"))["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["about"] for vector in VECTORS])
def test_vectors_for_other_languages(vector: dict[str, Any]) -> None:
    parts = {name: vector[name] for name in ("entity", "time", "ordinal") if name in vector}
    made = content_id(vector["content"], **parts)
    assert made == vector["id"]
    assert uuid.UUID(made).version == 8
    digest = hashlib.sha256(vector["canonical"].encode()).hexdigest()
    assert made[:13].replace("-", "") == digest[:12]
    if not parts:
        assert canonical_json(vector["content"]) == vector["canonical"]


def test_an_entity_a_time_and_an_ordinal_make_other_events_of_equal_content() -> None:
    moment = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
    made = {
        content_id({"x": 1}),
        content_id({"x": 1}, entity="a"),
        content_id({"x": 1}, entity="b"),
        content_id({"x": 1}, time=moment),
        content_id({"x": 1}, entity="a", time=moment),
        content_id({"x": 1}, entity="a", time=moment, ordinal=1),
    }
    assert len(made) == 6
    assert content_id({"x": 1}, time=moment) == content_id({"x": 1}, time=moment.timestamp())
    with pytest.raises(InvalidArgumentError, match="counts from 0"):
        content_id({"x": 1}, ordinal=-1)


def test_equal_content_has_equal_ids_and_a_bool_is_no_number() -> None:
    assert content_id({"a": 1, "b": 2}) == content_id({"b": 2.0, "a": 1.0})
    assert content_id({"a": 1}) != content_id({"a": True})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(InvalidArgumentError, match="canonical"):
        content_id({"a": bad})


def test_keys_that_are_one_in_nfc_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="NFC"):
        content_id({"é": 1, "e\u0301": 2})


def test_a_value_without_canonical_form_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="object"):
        content_id({"a": object()})
