"""Waiting for what another thread or process does, without sleeping a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within_s: float = 10.0) -> T:
    """Return what `condition` returns as soon as that is true.

    Raises:
        AssertionError: It was not within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        time.sleep(0.005)
    return result
