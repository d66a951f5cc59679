"""The bytes of a COPY, taken apart again by the description in PostgreSQL's manual."""

import struct
from datetime import UTC, datetime
from uuid import UUID

import pyarrow as pa

from headrace_server.copying.encoding import SLICE_ROWS, encode

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
Y2K_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def tuples(data: memoryview) -> list[list[bytes | None]]:
    """The fields of each tuple; fails where the bytes are not what PostgreSQL expects."""
    assert data[:11] == SIGNATURE
    assert struct.unpack_from("!ii", data, 11) == (0, 0)
    at, rows = 19, []
    while (count := struct.unpack_from("!h", data, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", data, at)
            at += 4
            row.append(None if length < 0 else bytes(data[at : at + length]))
            at += max(length, 0)
        rows.append(row)
    assert at + 2 == len(data)
    return rows


def test_every_type_has_postgresqls_own_bytes() -> None:
    moment = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
    table = pa.table(
        {
            "flag": pa.array([True]),
            "count": pa.array([-7], pa.int64()),
            "ratio": pa.array([0.5]),
            "note": pa.array(["Zürich"]),
            "time": pa.array([moment], pa.timestamp("us", "UTC")),
            "id": pa.array([UUID(int=5).bytes], pa.binary(16)),
            "raw": pa.array(['{"a":1}']),
        }
    )
    ((flag, count, ratio, note, time, uuid, raw),) = tuples(encode(table, {"raw"}))
    assert flag == b"\1"
    assert count == struct.pack("!q", -7)
    assert ratio == struct.pack("!d", 0.5)
    assert note == "Zürich".encode()
    assert time == struct.pack("!q", int(moment.timestamp()) * 1_000_000 - Y2K_US)
    assert uuid == UUID(int=5).bytes
    assert raw == b'\1{"a":1}'  # jsonb's version goes before the text


def test_lists_are_arrays_of_one_dimension() -> None:
    table = pa.table({"v": pa.array([[1.0, 2.0]], pa.list_(pa.float32())), "s": pa.array([["a", "b"]])})
    ((vector, texts),) = tuples(encode(table))
    assert vector is not None
    assert texts is not None
    float4, text = 700, 25
    assert struct.unpack_from("!iiiii", vector) == (1, 0, float4, 2, 1)
    assert struct.unpack_from("!if", vector, 20) == (4, 1.0)
    assert struct.unpack_from("!iiiii", texts) == (1, 0, text, 2, 1)


def test_null_is_no_value_in_any_column() -> None:
    table = pa.table({"a": pa.array([None], pa.float64()), "b": pa.array([None], pa.string())})
    assert tuples(encode(table)) == [[None, None]]


def test_rows_are_the_same_over_many_slices_as_in_one() -> None:
    table = pa.table({"number": pa.array(range(2 * SLICE_ROWS + 1), pa.int64())})
    rows = tuples(encode(table))
    assert [struct.unpack("!q", row[0] or b"")[0] for row in rows] == list(range(2 * SLICE_ROWS + 1))


def test_a_table_of_many_chunks_loses_none() -> None:
    table = pa.concat_tables([pa.table({"n": pa.array([number], pa.int64())}) for number in range(3)])
    assert len(tuples(encode(table))) == 3
