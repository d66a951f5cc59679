"""Unknown columns that go into the rows' metadata, beside what the client put there itself.

Each value becomes a JSON document first, so that what JSON cannot hold is refused under the column's own name.
"""

from collections.abc import Mapping

import orjson
import pyarrow as pa

from headrace_server.decoding.decoded import Cells
from headrace_server.models.column_types import ValueType
from headrace_server.validation.casting import cast
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field

METADATA = "metadata"


def merge_metadata(
    sent: pa.Array | None, extra: Mapping[str, Cells], row_count: int, rejections: Rejections
) -> pa.Array:
    """Put columns' values into the rows' metadata documents.

    Args:
        sent: The documents the client sent, as texts. Their own keys win; a document that is no object is kept under
            the key "metadata".
        extra: The columns, by the client's name.
        row_count: Rows of the batch.
        rejections: Where rows go whose values JSON cannot hold.

    Returns:
        The documents as texts.
    """
    own = [None] * row_count if sent is None else sent.to_pylist()
    values = {
        name: cast(cells, Field(name, ValueType.JSON), name, rejections).to_pylist() for name, cells in extra.items()
    }
    merged = pa.array([_merged(text, {name: of[row] for name, of in values.items()}) for row, text in enumerate(own)])
    return cast(Cells(merged.cast(pa.string()), is_json=True), Field(METADATA, ValueType.JSON), METADATA, rejections)


def _merged(own: str | None, values: Mapping[str, str | None]) -> bytes | None:
    document: dict[str, object] = {name: orjson.Fragment(text) for name, text in values.items() if text is not None}
    parsed = orjson.loads(own) if own is not None else None
    if isinstance(parsed, dict):
        document |= parsed
    elif parsed is not None:
        document[METADATA] = parsed
    return orjson.dumps(document) if document else None
