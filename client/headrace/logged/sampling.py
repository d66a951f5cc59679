"""Which events of a sampled model are kept, decided by their ids alone: every client and the service agree.

An event is kept when the first 8 bytes of the SHA-256 of its id (UTF-8), read as a big-endian number, are smaller than
rate × 2^64; docs/sampling.md has test vectors. Bytes compare as the numbers do, so log() converts nothing; for a model
that is not sampled it looks at one attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

_SPAN = 2**64


def bound_of(rate: float) -> bytes | None:
    """Return what the hash of a kept id is smaller than; None where every id is kept."""
    limit = int(rate * _SPAN)  # exact: a power of two only moves the exponent
    return None if limit >= _SPAN else limit.to_bytes(8, "big")


def is_kept(event_id: str, bound: bytes) -> bool:
    """Return whether the event of this id is in the sample."""
    return sha256(str(event_id).encode()).digest() < bound


class Sample:
    """The sample of one model, shared by its handles.

    Attributes:
        rate: Share of events that is kept.
        bound: What the hash of a kept id is smaller than; None where every event is kept.
    """

    __slots__ = ("bound", "rate")

    def __init__(self) -> None:
        self.rate = 1.0
        self.bound: bytes | None = None

    def set(self, rate: float) -> None:
        """Follow the service."""
        self.rate = rate
        self.bound = bound_of(rate)


class Samples:
    """The samples of a client's models, by name; written by the sessions, read by log()."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def of(self, model: str) -> Sample:
        """Return the sample of a model; the same one for the same name."""
        return self._samples.setdefault(model, Sample())

    def opened(self, rates: Mapping[str, float]) -> None:
        """Take the rates that the service names as a session opens; models that it does not name keep every event."""
        for name in [*self._samples, *rates]:
            self.of(name).set(rates.get(name, 1.0))

    def changed(self, model: str, rate: float) -> None:
        """A model has (perhaps) another rate."""
        self.of(model).set(rate)
