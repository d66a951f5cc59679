"""The slow road of casting: one cell at a time, each with a verdict of its own.

Taken for columns of mixed Python values, and for columns in which some cell is not what the bulk cast takes.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from headrace_server.decoding.decoded import JsonText, RawBytes, UnixMicros
from headrace_server.models.column_types import ValueType
from headrace_server.validation.cell_error import CellError, judge_each, shown
from headrace_server.validation.json_documents import document
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field

# The times that RFC 3339, protobuf's Timestamp and Python's datetime have in common: the years 1 to 9999.
EARLIEST_MICROS = -62_135_596_800_000_000
LATEST_MICROS = 253_402_300_799_999_999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SEVENTH_DIGIT = re.compile(r"[.,]\d{6}(\d)")  # of a second's fraction: fromisoformat cuts it off
_NO_SECONDS = 1e18  # since 1970: beyond all times, and a million times as much is a float still
_INT64 = range(-(2**63), 2**63)
_BEYOND_FLOAT32 = 2.0**128 - 2.0**103  # from here on rounding gives infinity
_HEX_DIGITS = frozenset("0123456789abcdef")


def cast_cells(values: list[object], field: Field, name: str, rejections: Rejections) -> pa.Array:
    """Cast Python values one by one; bad ones become null and their rows are refused, as in casting.cast."""
    convert = _uuid if field.is_uuid else _CONVERTERS[field.type]
    good = judge_each(values, lambda value: convert(_decoded(value), field), name, rejections)
    return pa.array(good, field.arrow)


def _wrong(value: object, field: Field) -> CellError:
    return CellError("WRONG_TYPE", f"{shown(value)} is no {field.type.name}")


def _decoded(value: object) -> object:
    """The value, which is plain bytes only where a text was no UTF-8."""
    if isinstance(value, bytes) and not isinstance(value, RawBytes):
        raise CellError("INVALID_UTF8", f"{shown(value)} is not UTF-8")
    return value


def _bool(value: object, field: Field) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, field)
    return value


def _int64(value: object, field: Field) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, UnixMicros):
        raise _wrong(value, field)
    if isinstance(value, float) and not math.isinf(value) and not value.is_integer():
        raise CellError("WRONG_TYPE", f"{value} is no whole number")
    if math.isinf(value) or int(value) not in _INT64:
        raise CellError("VALUE_OUT_OF_RANGE", f"{shown(value)} does not fit 64 bits")
    return int(value)


def _float64(value: object, field: Field) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, UnixMicros):
        raise _wrong(value, field)
    try:
        return float(value)
    except OverflowError:
        raise CellError("VALUE_OUT_OF_RANGE", f"{shown(value)} does not fit a float64") from None


def _text(value: object, field: Field) -> str:
    if not isinstance(value, str) or isinstance(value, JsonText):
        raise _wrong(value, field)
    if "\0" in value:
        raise CellError("NUL_IN_TEXT", f"{shown(value)} holds NUL (U+0000), which PostgreSQL cannot store")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise CellError("INVALID_UTF8", f"{shown(value)} holds a lone surrogate") from error
    if size > field.max_bytes:
        raise CellError(field.too_long, f"{size} bytes; at most {field.max_bytes} are accepted")
    return value


def _timestamp(value: object, field: Field) -> int:
    """Microseconds since 1970 of a point in time, Unix seconds or an RFC 3339 text; without an offset it is UTC."""
    micros = _micros(value, field)
    if not EARLIEST_MICROS <= micros <= LATEST_MICROS:
        raise CellError(field.out_of_range, f"{shown(value)} is not between the years 1 and 9999")
    return micros


def _micros(value: object, field: Field) -> int:
    if isinstance(value, UnixMicros):
        return value
    if isinstance(value, str) and not isinstance(value, JsonText):
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError as error:
            raise CellError("WRONG_TYPE", f"{shown(value)} is no time: {error}") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        beyond = _SEVENTH_DIGIT.search(value)
        return (moment - _EPOCH) // _MICROSECOND + (beyond is not None and beyond[1] >= "5")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isnan(value):
            raise CellError("WRONG_TYPE", "NaN is no time")
        if abs(value) >= _NO_SECONDS:
            raise CellError(field.out_of_range, f"{shown(value)} is no time")
        return round(value * 1_000_000)
    raise _wrong(value, field)


def _vector(value: object, field: Field) -> list[float]:
    if not isinstance(value, list):
        raise _wrong(value, field)
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise CellError("WRONG_TYPE", f"{shown(number)} in a vector is no number")
        if _BEYOND_FLOAT32 <= abs(number) < math.inf:
            raise CellError("VALUE_OUT_OF_RANGE", f"{shown(number)} in a vector does not fit a float32")
    if len(value) != field.dimension:
        raise CellError("VECTOR_DIMENSION", f"dimension {field.dimension}; the vector has {len(value)} numbers")
    return [float(number) for number in value]  # Arrow takes no integer beyond 64 bits for a float


def _string_list(value: object, field: Field) -> list[str]:
    if not isinstance(value, list):
        raise _wrong(value, field)
    return [_text(_decoded(item), field) for item in value]


def _bytes(value: object, field: Field) -> bytes:
    """Bytes as they are, or written as base64."""
    if isinstance(value, str) and not isinstance(value, JsonText):
        try:
            value = RawBytes(base64.b64decode(value, validate=True))
        except ValueError as error:
            raise CellError("MEDIA_INVALID", f"{shown(value)} is no base64: {error}") from error
    if not isinstance(value, RawBytes):
        raise _wrong(value, field)
    if len(value) > field.max_bytes:
        limit = f"at most {field.max_bytes} are taken inline: store them, and send their media_uri"
        raise CellError("MEDIA_INVALID", f"{len(value)} bytes; {limit}")
    return value


def _uuid(value: object, field: Field) -> bytes:
    """A UUID in any of its forms: with or without hyphens, in braces, as a URN."""
    if not isinstance(value, str) or isinstance(value, JsonText):
        raise _wrong(value, field)
    digits = value.lower().removeprefix("urn:uuid:").strip("{}").replace("-", "")
    if len(digits) != 32 or not set(digits) <= _HEX_DIGITS:
        raise CellError("EVENT_ID_INVALID", f"{shown(value)} is no UUID, and the model's ids are")
    return bytes.fromhex(digits)


_CONVERTERS: Mapping[ValueType, Callable[[object, Field], object]] = {
    ValueType.BOOL: _bool,
    ValueType.INT64: _int64,
    ValueType.FLOAT64: _float64,
    ValueType.STRING: _text,
    ValueType.CATEGORY: _text,
    ValueType.TIMESTAMP: _timestamp,
    ValueType.VECTOR: _vector,
    ValueType.STRING_LIST: _string_list,
    ValueType.JSON: document,
    ValueType.BYTES: _bytes,
}
