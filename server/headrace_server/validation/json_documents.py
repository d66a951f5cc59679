"""JSON documents on their way to jsonb: what PostgreSQL would refuse is refused here, by name.

orjson reads stricter than jsonb does (no NaN, no number beyond a float64, no half of a surrogate pair); what is left to
ask is size, nesting, and NUL, which JSON can write and PostgreSQL cannot store. (Numbers with more than 16,383 digits
after the point are left to PostgreSQL to refuse: nobody writes them, and to look for them would cost everybody.) Whole
columns are checked without walking through their documents; a column with a suspect document is taken cell by cell.
"""

from datetime import UTC, datetime, timedelta
from math import isfinite

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.decoding.decoded import Cells, JsonText, UnixMicros
from headrace_server.validation.cell_error import CellError, shown
from headrace_server.validation.row_schema import Field

MAX_DEPTH = 128
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cast_documents(cells: Cells, field: Field) -> pa.Array | None:
    """A column of documents as texts; None where some cell needs a look of its own."""
    texts = _parsed(cells) if cells.is_json else _dumped(cells)
    if texts is None or (pc.max(pc.binary_length(texts)).as_py() or 0) > field.max_bytes:
        return None
    # Brackets within strings are counted, too: then a harmless document is walked through, and found harmless.
    brackets = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{"))
    if (pc.max(brackets).as_py() or 0) > MAX_DEPTH or pc.any(pc.match_substring(texts, "\\u0000")).as_py():
        return None
    return texts


def _parsed(cells: Cells) -> pa.Array | None:
    """Texts that were sent as documents, each of them one."""
    if not isinstance(cells.values, pa.Array) or cells.holds_bad_text:
        return None
    loads = orjson.loads
    try:
        for text in cells.values.to_pylist():
            if text is not None:
                loads(text)
    except orjson.JSONDecodeError:
        return None
    return cells.values


def _dumped(cells: Cells) -> pa.Array | None:
    """Objects of JSON rows, written as texts again."""
    if isinstance(cells.values, pa.Array) or not all(value is None or type(value) is dict for value in cells.values):
        return None
    try:
        return pa.array([None if value is None else orjson.dumps(value) for value in cells.values]).cast(pa.string())
    except orjson.JSONEncodeError:
        return None


def document(value: object, field: Field) -> str:
    """One cell as the text of a document.

    Raises:
        CellError: It is none, or none that PostgreSQL stores.
    """
    try:
        if isinstance(value, UnixMicros):
            value = (_EPOCH + timedelta(microseconds=value)).isoformat()
        text = str(value) if isinstance(value, JsonText) else orjson.dumps(value).decode()
        parsed = orjson.loads(text) if isinstance(value, JsonText) else value
    except (orjson.JSONEncodeError, orjson.JSONDecodeError) as error:
        raise CellError("INVALID_JSON", f"{shown(value)} is no JSON document: {error}") from error
    except OverflowError as error:
        raise CellError("VALUE_OUT_OF_RANGE", "the time is not between the years 1 and 9999") from error
    size = len(text.encode())
    if size > field.max_bytes:
        raise CellError("TEXT_TOO_LONG", f"a JSON document of {size} bytes; at most {field.max_bytes} are accepted")
    _check(parsed)
    return text


def _check(parsed: object) -> None:
    """Walk through the document, level by level."""
    level, depth = [parsed], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise CellError("INVALID_JSON", f"the JSON document is nested deeper than {MAX_DEPTH}")
        below: list[object] = []
        for node in level:
            if isinstance(node, str) and "\0" in node:
                raise CellError("NUL_IN_TEXT", "the JSON document holds NUL (U+0000), which PostgreSQL cannot store")
            if isinstance(node, float) and not isfinite(node):
                raise CellError("INVALID_JSON", f"{node} is not JSON: send null")
            if isinstance(node, dict):
                below.extend(node)
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = below
