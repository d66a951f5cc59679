"""A body to a batch: a JSON array of rows as it stands, or an object that holds it beside the model's version."""

import orjson

from headrace.v1 import batch_pb2
from headrace_server.errors import MessageUnreadableError

WHITESPACE = b" \t\r\n"
SHAPE = 'send a JSON array of rows, or an object {"rows": [...], "model_version": "..."}'


def to_batch(body: bytes, *, kind: batch_pb2.RecordKind.ValueType, model: str, model_version: str) -> batch_pb2.Batch:
    """Return the batch that a body holds.

    An array goes on unparsed: its faults are told by decoding, as for every JSON batch.

    Args:
        body: Of the request.
        kind: What the rows are.
        model: As the path names it.
        model_version: As the query names it; the body's own wins.

    Raises:
        MessageUnreadableError: It is neither of the two.
    """
    batch = batch_pb2.Batch(kind=kind, model=model, model_version=model_version)
    if body.lstrip(WHITESPACE)[:1] == b"[":
        batch.json.rows = body
        return batch
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MessageUnreadableError(f"the body is not JSON ({error}): {SHAPE}") from None
    if not isinstance(envelope, dict) or not isinstance(envelope.get("rows"), list):
        raise MessageUnreadableError(f"the body holds no rows: {SHAPE}")
    if unknown := sorted(envelope.keys() - {"rows", "model_version"}):
        raise MessageUnreadableError(f"the body has {unknown[0]!r} beside its rows: {SHAPE}")
    version = envelope.get("model_version", model_version)
    if not isinstance(version, str):
        raise MessageUnreadableError(f"model_version is no text: {SHAPE}")
    batch.model_version = version
    try:
        batch.json.rows = orjson.dumps(envelope["rows"])
    except orjson.JSONEncodeError as error:
        # What is read may be nested deeper than what is written.
        raise MessageUnreadableError(f"the rows are nested too deeply ({error}); send them as a plain array") from None
    return batch
