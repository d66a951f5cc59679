"""What one batch, one stream and one call may ask for; from the settings, told to clients in Opened."""

from dataclasses import dataclass

from headrace.v1 import batch_pb2

# Decoded, encoded and wire bytes of a batch as a multiple of its wire bytes, by form. Measured on the flights.
LIGHTEST = 3
WEIGHT_OF_FORM = {"columns": LIGHTEST, "json": 6, "rows": 12, None: 1}


@dataclass(frozen=True)
class Limits:
    """The limits in force."""

    max_batch_bytes: int
    max_batch_rows: int
    open_timeout_s: float
    idle_timeout_s: float
    acks_timeout_s: float
    heartbeat_s: float
    suggested_batch_rows: int
    suggested_linger_ms: int


def weight(batch: batch_pb2.Batch, size_bytes: int) -> int:
    """Memory a batch takes until it is committed."""
    return size_bytes * WEIGHT_OF_FORM[batch.WhichOneof("form")]
