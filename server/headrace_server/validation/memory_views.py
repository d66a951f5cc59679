"""Arrow arrays as numpy sees their memory: for checks that nearly always pass, at a fraction of a kernel's call.

Cells without a value are in memory, too, with whatever was sent there: a check that passes over all of memory passes
over the values; one that does not has to look again, at the values alone.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def text_lengths(texts: pa.Array) -> npt.NDArray[np.int32]:
    """Bytes of each text."""
    offsets = texts.buffers()[1]
    if offsets is None or not len(texts):
        return np.empty(0, dtype=np.int32)
    ends = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    return ends[1:] - ends[:-1]


def micros_within(times: pa.Array, first: int, last: int) -> bool:
    """Whether all times are within two bounds, in microseconds since 1970."""
    if not len(times):
        return True
    micros = np.frombuffer(times.buffers()[1], np.int64, len(times), times.offset * 8)
    if first <= micros.min() and micros.max() <= last:
        return True
    values = micros[times.is_valid().to_numpy(zero_copy_only=False)] if times.null_count else micros
    return not len(values) or bool(first <= values.min() and values.max() <= last)
