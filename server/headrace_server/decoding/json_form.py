"""The universal form: a JSON array of flat objects, parsed once for the whole batch."""

from itertools import chain

import orjson

from headrace.v1 import batch_pb2
from headrace_server.decoding.decoded import MAX_COLUMNS, Cells, DecodedRows, UndecodableError
from headrace_server.decoding.loose_cells import pack


def decode_json(form: batch_pb2.JsonRows) -> DecodedRows:
    """Decode JSON rows; a key that a row leaves out is null there.

    Raises:
        UndecodableError: The bytes are not JSON (NaN and Infinity are not), not an array of objects, or have too many
            different keys.
    """
    try:
        rows = orjson.loads(form.rows)
    except orjson.JSONDecodeError as error:
        raise UndecodableError(f"not JSON: {error}; NaN and Infinity must be sent as null") from error
    if not isinstance(rows, list):
        raise UndecodableError("the JSON must be an array of objects, one a row")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UndecodableError(f"element {index} of the JSON array is not an object")
    names = dict.fromkeys(chain.from_iterable(rows))
    if len(names) > MAX_COLUMNS:
        raise UndecodableError(f"{len(names)} different keys; at most {MAX_COLUMNS} columns are possible")
    columns: dict[str, Cells] = {name: pack([row.get(name) for row in rows]) for name in names}
    return DecodedRows(len(rows), columns)
