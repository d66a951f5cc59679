"""Times in ids: exactly those of UUIDv7, whatever else a column holds."""

from __future__ import annotations

from uuid import UUID, uuid4

import pyarrow as pa
import pytest

from headrace_server.joining.tables import NO_TIME
from headrace_server.joining.uuid7 import carried_times

RFC_EXAMPLE = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"  # RFC 9562, appendix A.6: 2022-02-22T19:22:22Z
RFC_MICROS = 0x017F22E279B0 * 1000


def test_the_example_of_the_rfc() -> None:
    times = carried_times(pa.array([RFC_EXAMPLE, RFC_EXAMPLE.lower()]))
    assert times.tolist() == [RFC_MICROS, RFC_MICROS]
    assert carried_times(pa.array([UUID(RFC_EXAMPLE).bytes], pa.binary(16))).tolist() == [RFC_MICROS]


@pytest.mark.parametrize(
    "other",
    [
        "",
        "flight",
        "147d7c5f-0463-453f-b655-6e7d0e1b2a68",
        RFC_EXAMPLE.replace("-", ""),
        RFC_EXAMPLE.replace("-", "_"),
        RFC_EXAMPLE.replace("7CC3", "8CC3"),
        RFC_EXAMPLE.replace("98C4", "18C4"),
        RFC_EXAMPLE.replace("017F", "01ZF"),
        "é" * 18,
        "FFFFFFFF-FFFF-7CC3-98C4-DC0C0C07398F",
    ],
)
def test_any_other_id_carries_none(other: str) -> None:
    assert carried_times(pa.array([other, RFC_EXAMPLE])).tolist() == [NO_TIME, RFC_MICROS]


def test_uuids_of_other_versions_carry_none() -> None:
    ids = [uuid4().bytes, UUID(int=0).bytes, UUID(RFC_EXAMPLE).bytes]
    assert carried_times(pa.array(ids, pa.binary(16))).tolist() == [NO_TIME, NO_TIME, RFC_MICROS]


def test_a_slice_of_a_column_is_read_from_its_own_beginning() -> None:
    ids = pa.array(["a", RFC_EXAMPLE, "b", RFC_EXAMPLE])
    assert carried_times(ids.slice(1, 2)).tolist() == [RFC_MICROS, NO_TIME]
    binary = pa.array([uuid4().bytes, UUID(RFC_EXAMPLE).bytes], pa.binary(16))
    assert carried_times(binary.slice(1)).tolist() == [RFC_MICROS]


def test_an_empty_column_has_no_times() -> None:
    assert carried_times(pa.array([], pa.string())).tolist() == []
    assert carried_times(pa.array([], pa.binary(16))).tolist() == []
