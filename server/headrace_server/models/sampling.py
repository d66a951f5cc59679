"""Which events of a model are kept, decided by their ids alone, so that every client, replica and label agrees.

An event is kept when the first 8 bytes of the SHA-256 of its id (UTF-8; UUIDs in lower case with hyphens), read as a
big-endian number, are smaller than rate × 2^64. docs/sampling.md has test vectors; Python clients do the
same in client/headrace/logged/sampling.py. Bytes compare as the numbers do, so nothing is converted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_RATES = 100  # of a model that are remembered
UNTIMED_WITHIN = timedelta(days=7)

_SPAN = 2**64


@dataclass(frozen=True)
class SamplingRate:
    """A rate and when it began.

    Attributes:
        rate: Share of events that is kept, above 0 and at most 1.
    """

    began_at: datetime
    rate: float


def rate_at(rates: Sequence[SamplingRate], moment: datetime) -> float:
    """The rate in force at a moment; before the first that is known everything was kept."""
    return next((each.rate for each in reversed(rates) if each.began_at <= moment), 1.0)


def highest_rate(rates: Sequence[SamplingRate], since: datetime) -> float:
    """The highest rate that was in force since a moment."""
    return max([rate_at(rates, since), *(each.rate for each in rates if each.began_at >= since)])


def kept(ids: pa.Array, rate: float) -> npt.NDArray[np.bool_]:
    """Which of the events with these ids are kept at a rate; an absent id is.

    Args:
        ids: Texts, or UUIDs as 16 bytes.
        rate: Share of events that is kept.
    """
    limit = int(rate * _SPAN)  # exact: a power of two only moves the exponent
    if limit >= _SPAN:
        return np.ones(len(ids), dtype=np.bool_)
    bound = limit.to_bytes(8, "big")
    return np.array([text is None or sha256(text).digest() < bound for text in _texts(ids)], dtype=np.bool_)


def _texts(ids: pa.Array) -> list[bytes | None]:
    if pa.types.is_fixed_size_binary(ids.type):
        return [None if value is None else str(UUID(bytes=value)).encode() for value in ids.to_pylist()]
    texts: list[bytes | None] = ids.cast(pa.binary()).to_pylist()
    return texts
