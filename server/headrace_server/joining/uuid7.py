"""The millisecond that UUIDv7 ids carry (RFC 9562, section 5.7), for whole columns at a time.

For a late row it is a hint and no more: the ids that the SDK makes carry their event's time, but a caller may give such
an id to an event of another time. So the event is looked for there first, and then elsewhere.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.joining.tables import NO_TIME, Micros, Places

_TEXT_BYTES = 36
_HYPHENS = (8, 13, 18, 23)
_HEX = np.full(256, 255, dtype=np.uint8)
for _digit in range(16):
    _HEX[ord(f"{_digit:x}")] = _HEX[ord(f"{_digit:X}")] = _digit
_LAST_MS = 7_258_118_400_000  # the year 2200: what is later is no time of an event


def carried_times(ids: pa.Array) -> Micros:
    """For each id the time it carries; NO_TIME where it is no UUIDv7.

    Args:
        ids: Texts, or UUIDs as 16 bytes; no nulls.
    """
    times = np.full(len(ids), NO_TIME, dtype=np.int64)
    if pa.types.is_fixed_size_binary(ids.type):
        octets = _matrix(ids.cast(pa.binary()), 16)
        seventh = (octets[:, 6] >> 4 == 7) & (octets[:, 8] >> 6 == 2)
        of_length: Places = np.arange(len(ids))
    else:
        of_length = np.flatnonzero(pc.equal(pc.binary_length(ids), _TEXT_BYTES).to_numpy(zero_copy_only=False))
        texts = _matrix(ids.take(pa.array(of_length)), _TEXT_BYTES)
        digits = _HEX[np.delete(texts, _HYPHENS, axis=1)]
        octets = digits[:, ::2] * np.uint8(16) + digits[:, 1::2]
        seventh = (texts[:, _HYPHENS] == ord("-")).all(axis=1) & (digits < 16).all(axis=1)
        seventh &= (digits[:, 12] == 7) & (digits[:, 16] >> 2 == 2)
    millis = octets[:, :6].astype(np.int64) @ (256 ** np.arange(5, -1, -1, dtype=np.int64))
    seventh &= millis <= _LAST_MS
    times[of_length[seventh]] = millis[seventh] * 1000
    return times


def _matrix(values: pa.Array, width: int) -> npt.NDArray[np.uint8]:
    """The bytes of values of one length, a row each."""
    if not len(values):
        return np.empty((0, width), dtype=np.uint8)
    joined = pa.concat_arrays([values])  # a copy that begins at its first value
    offsets = np.frombuffer(joined.buffers()[1], dtype=np.int32)
    data = np.frombuffer(joined.buffers()[2], dtype=np.uint8)
    start = int(offsets[joined.offset])
    return data[start : start + len(values) * width].reshape(-1, width)
