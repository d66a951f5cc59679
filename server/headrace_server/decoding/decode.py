"""From a batch's form to decoded rows, whichever form it has."""

from headrace.v1 import batch_pb2
from headrace_server.decoding.column_form import decode_columns
from headrace_server.decoding.decoded import DecodedRows, UndecodableError
from headrace_server.decoding.json_form import decode_json
from headrace_server.decoding.row_form import decode_rows


def decode(batch: batch_pb2.Batch) -> DecodedRows:
    """Decode a batch's rows; a batch without a form has none.

    Raises:
        UndecodableError: The form does not hold together.
    """
    match batch.WhichOneof("form"):
        case "columns":
            return decode_columns(batch.columns)
        case "rows":
            return decode_rows(batch.rows)
        case "json":
            return decode_json(batch.json)
        case None:
            return DecodedRows(0, {})
        case unknown:
            raise UndecodableError(f"the form {unknown!r} is not known to this service")
