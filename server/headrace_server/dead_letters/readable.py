"""What a dead letter holds, for people: its rows as JSON, whatever is wrong with them.

Texts that are no UTF-8 show the replacement character, NaN and infinities their names, times RFC 3339, bytes base64.
"""

import base64
import math
from datetime import UTC, datetime, timedelta

import orjson

from headrace.v1 import batch_pb2
from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import JsonText, RawBytes, UndecodableError, UnixMicros

MOST_ROWS = 1_000  # of a batch that was refused as a whole
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_json(batch: batch_pb2.Batch) -> str:
    """Return the rows of a batch as a JSON array of objects without nulls; empty where they cannot be decoded."""
    try:
        decoded = decode(batch)
    except UndecodableError:
        return ""
    rows: list[dict[str, object]] = [{} for _ in range(min(decoded.row_count, MOST_ROWS))]
    for name, cells in decoded.columns.items():
        for row, value in zip(rows, cells.python_values(), strict=False):
            if value is not None:
                row[name] = _readable(value)
    return orjson.dumps(rows, option=orjson.OPT_NON_STR_KEYS).decode()


def _readable(value: object) -> object:  # noqa: PLR0911 - a table in words
    match value:
        case UnixMicros():
            return _time(value)
        case JsonText():
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                return str(value)
        case RawBytes():
            return base64.b64encode(value).decode()
        case bytes():
            return value.decode(errors="replace")
        case float() if not math.isfinite(value):
            return str(value)
        case int() if not isinstance(value, bool):
            return value if -(2**63) <= value < 2**64 else str(value)
        case str() | bool() | float():
            return value
        case list():
            return [_readable(item) for item in value]
        case dict():
            return {str(key): _readable(item) for key, item in value.items()}
        case _:
            return str(value)


def _time(micros: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{micros} µs since 1970"
