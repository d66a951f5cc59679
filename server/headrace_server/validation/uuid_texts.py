"""UUIDs written as texts, a column at a time: to their 16 bytes, and to the time that a UUIDv7 carries.

Only the canonical form of 36 characters is read here; casting_cells.py takes the others one by one.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Octets = npt.NDArray[np.uint8]

_TEXT_BYTES = 36
_HYPHENS = (8, 13, 18, 23)
_DIGITS = np.delete(np.arange(_TEXT_BYTES), _HYPHENS)
_NO_DIGIT = 255
_VALUE_OF = np.full(256, _NO_DIGIT, dtype=np.uint8)
for _value in range(16):
    _VALUE_OF[ord(f"{_value:x}")] = _VALUE_OF[ord(f"{_value:X}")] = _value


def octets_of(ids: pa.Array) -> tuple[npt.NDArray[np.int64], Octets]:
    """The rows whose id is a UUID, and the 16 bytes of each.

    Args:
        ids: Texts, or UUIDs as 16 bytes; nulls are none.
    """
    if pa.types.is_fixed_size_binary(ids.type):
        rows = np.flatnonzero(_mask(ids.is_valid()))
        return rows, _matrix(ids.take(pa.array(rows)).cast(pa.binary()), 16)
    rows = np.flatnonzero(_mask(pc.equal(pc.binary_length(ids), _TEXT_BYTES)))
    texts = _matrix(ids.take(pa.array(rows)), _TEXT_BYTES)
    values = _VALUE_OF[texts[:, _DIGITS]]
    canonical = (values != _NO_DIGIT).all(axis=1) & (texts[:, _HYPHENS] == ord("-")).all(axis=1)
    values = values[canonical]
    return rows[canonical], values[:, ::2] << 4 | values[:, 1::2]


def milliseconds_of(ids: pa.Array) -> pa.Array:
    """The Unix milliseconds that UUIDv7 ids carry (RFC 9562, section 5.7); null for every other id."""
    rows, octets = octets_of(ids)
    seventh = (octets[:, 6] >> 4 == 7) & (octets[:, 8] >> 6 == 2)
    millis = np.zeros(len(ids), dtype=np.int64)
    missing = np.ones(len(ids), dtype=np.bool_)
    missing[rows[seventh]] = False
    millis[rows[seventh]] = octets[seventh, :6].astype(np.int64) @ (256 ** np.arange(5, -1, -1, dtype=np.int64))
    return pa.array(millis, mask=missing)


def _matrix(values: pa.Array, width: int) -> Octets:
    """The bytes of values that all have this width, a row each; the values come from `take`, so they begin at 0."""
    if not len(values):
        return np.empty((0, width), dtype=np.uint8)
    return np.frombuffer(values.buffers()[2], dtype=np.uint8, count=len(values) * width).reshape(-1, width)


def _mask(condition: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.fill_null(condition, fill_value=False).to_numpy(zero_copy_only=False)
    return mask
