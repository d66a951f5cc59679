"""The universal form: a JSON array of flat objects, parsed once for the whole batch."""

from itertools import chain

import orjson

from headrace.v1 import batch_pb2
from headrace_server.decoding.decoded import Cells, DecodedRows, UndecodableError, check_names, check_size
from headrace_server.decoding.loose_cells import pack


def decode_json(form: batch_pb2.JsonRows) -> DecodedRows:
    """Decode JSON rows; a key that a row leaves out is null there, of a key that stands twice the last counts.

    Raises:
        UndecodableError: The bytes are not JSON (NaN and Infinity are not), not an array of objects, or have more
            different keys than a table could have.
    """
    rows = parse_rows(form)
    names = dict.fromkeys(chain.from_iterable(rows))
    check_size(len(rows), len(names))
    check_names(names)
    columns: dict[str, Cells] = {name: pack([row.get(name) for row in rows]) for name in names}
    return DecodedRows(len(rows), columns)


def parse_rows(form: batch_pb2.JsonRows) -> list[dict[str, object]]:
    """Parse JSON rows as they were sent.

    Raises:
        UndecodableError: The bytes are not a JSON array of objects.
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
    return rows
