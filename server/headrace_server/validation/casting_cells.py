"""The slow road of casting: one cell at a time, each with a verdict of its own.

Taken for columns of mixed values, JSON documents, UUIDs, and texts of which some are bad.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa

from headrace_server.decoding.decoded import JsonText, UnixMicros
from headrace_server.models.column_types import ValueType
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field

MAX_JSON_DEPTH = 128
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = range(-(2**63), 2**63)


class CellError(Exception):
    """A cell that does not fit its column."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def cast_cells(values: list[object], field: Field, name: str, rejections: Rejections) -> pa.Array:
    """Cast Python values one by one; bad ones become null and their rows are refused, as in casting.cast."""
    convert = _uuid if field.is_uuid else _CONVERTERS[field.type]
    good: list[object] = [None] * len(values)
    bad: dict[str, tuple[list[int], str]] = {}
    for row, value in enumerate(values):
        if value is None:
            continue
        try:
            good[row] = convert(value, field)
        except CellError as error:
            rows, _ = bad.setdefault(error.reason, ([], f"{name}: {error}"))
            rows.append(row)
    for reason, (rows, message) in bad.items():
        mask = np.zeros(len(values), dtype=np.bool_)
        mask[rows] = True
        rejections.add(reason, name, mask, message)
    return pa.array(good, field.arrow)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _wrong(value: object, field: Field) -> CellError:
    return CellError("WRONG_TYPE", f"{_shown(value)} is no {field.type.name}")


def _bool(value: object, field: Field) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, field)
    return value


def _int64(value: object, field: Field) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, UnixMicros):
        raise _wrong(value, field)
    if isinstance(value, float):
        if not math.isfinite(value) or not value.is_integer():
            raise CellError("WRONG_TYPE", f"{value} is no whole number")
        value = int(value)
    if value not in _INT64:
        raise CellError("VALUE_OUT_OF_RANGE", f"{_shown(value)} does not fit 64 bits")
    return value


def _float64(value: object, field: Field) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, UnixMicros):
        raise _wrong(value, field)
    try:
        return float(value)
    except OverflowError:
        raise CellError("VALUE_OUT_OF_RANGE", f"{_shown(value)} does not fit a float64") from None


def _text(value: object, field: Field) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise CellError("INVALID_UTF8", f"not UTF-8 at byte {error.start}") from error
    if not isinstance(value, str):
        raise _wrong(value, field)
    if "\0" in value:
        raise CellError("NUL_IN_TEXT", f"{_shown(value)} holds NUL (U+0000), which PostgreSQL cannot store")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise CellError("INVALID_UTF8", f"{_shown(value)} holds a lone surrogate") from error
    if size > field.max_bytes:
        raise CellError(field.too_long, f"{size} bytes; at most {field.max_bytes} are accepted")
    return value


def _timestamp(value: object, field: Field) -> datetime:
    try:
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, UnixMicros):
            return _EPOCH + timedelta(microseconds=value)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(microseconds=round(value * 1_000_000))
    except (ValueError, OverflowError) as error:
        raise CellError("WRONG_TYPE", f"{_shown(value)} is no time: {error}") from error
    raise _wrong(value, field)


def _vector(value: object, field: Field) -> list[float]:
    if not isinstance(value, list):
        raise _wrong(value, field)
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise CellError("WRONG_TYPE", f"{_shown(number)} in a vector is no number")
    if len(value) != field.dimension:
        raise CellError("VECTOR_DIMENSION", f"dimension {field.dimension}; the vector has {len(value)} numbers")
    return value


def _string_list(value: object, field: Field) -> list[str]:
    if not isinstance(value, list):
        raise _wrong(value, field)
    return [_text(item, field) for item in value]


def _json(value: object, field: Field) -> str:
    if isinstance(value, bytes):
        raise CellError("INVALID_UTF8", "not UTF-8")
    try:
        if isinstance(value, UnixMicros):
            value = _timestamp(value, field).isoformat()
        text = str(value) if isinstance(value, JsonText) else orjson.dumps(value).decode()
        document = orjson.loads(text) if isinstance(value, JsonText) else value
    except (orjson.JSONEncodeError, orjson.JSONDecodeError) as error:
        raise CellError("INVALID_JSON", f"{_shown(value)} is no JSON document: {error}") from error
    if len(text) > field.max_bytes or len(text.encode()) > field.max_bytes:
        raise CellError("TEXT_TOO_LONG", f"a JSON document of {len(text)} characters; at most {field.max_bytes} bytes")
    _check_document(document)
    return text


def _check_document(document: object) -> None:
    """Walk the document: no NUL in any text, no nesting beyond the limit."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise CellError("INVALID_JSON", f"the JSON document is nested deeper than {MAX_JSON_DEPTH}")
        below: list[object] = []
        for node in level:
            if isinstance(node, str) and "\0" in node:
                raise CellError("NUL_IN_TEXT", "the JSON document holds NUL (U+0000), which PostgreSQL cannot store")
            if isinstance(node, dict):
                below.extend(node)
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = below


def _uuid(value: object, field: Field) -> bytes:
    if not isinstance(value, str):
        raise _wrong(value, field)
    try:
        return UUID(value).bytes
    except ValueError:
        raise CellError("EVENT_ID_INVALID", f"{_shown(value)} is no UUID, and the model's ids are") from None


_CONVERTERS: Mapping[ValueType, Callable[[object, Field], object]] = {
    ValueType.BOOL: _bool,
    ValueType.INT64: _int64,
    ValueType.FLOAT64: _float64,
    ValueType.STRING: _text,
    ValueType.CATEGORY: _text,
    ValueType.TIMESTAMP: _timestamp,
    ValueType.VECTOR: _vector,
    ValueType.STRING_LIST: _string_list,
    ValueType.JSON: _json,
}
