"""What roles ask of numbers: that a probability is one, that a rank counts from 1."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace_server.validation.rejections import Rejections


@dataclass(frozen=True)
class Probability:
    """Refuses numbers that are not between 0 and 1; NaN is none."""

    def __call__(self, cells: pa.Array, name: str, rejections: Rejections) -> None:
        """Apply it to a column."""
        numbers = cells.fill_null(0.0).to_numpy(zero_copy_only=False)
        outside = ~((numbers >= 0) & (numbers <= 1))
        if outside.any():
            message = f"{name} is a probability; {numbers[int(outside.argmax())]} is not between 0 and 1"
            rejections.add("PROBABILITY_OUT_OF_RANGE", name, outside, message)


@dataclass(frozen=True)
class AtLeast:
    """Refuses numbers below a bound; NaN is, truth values are 0 and 1.

    Attributes:
        least: The bound.
        reason: Why they are refused.
    """

    least: int
    reason: str = "VALUE_OUT_OF_RANGE"

    def __call__(self, cells: pa.Array, name: str, rejections: Rejections) -> None:
        """Apply it to a column."""
        numbers = cells.cast(pa.float64(), safe=False).fill_null(float(self.least)).to_numpy(zero_copy_only=False)
        below = np.logical_not(numbers >= self.least)
        if below.any():
            message = f"{name} is {self.least} or more; {numbers[int(below.argmax())]:g} is not"
            rejections.add(self.reason, name, below, message)
