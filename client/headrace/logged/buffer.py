"""Rows that were logged and are not sealed yet: the one thing log() touches.

log() appends to `rows` as long as there are fewer than `notice` of them, one comparison and one append, no lock. At
`notice` it calls `admit`, which weighs the row, wakes the sealer when that waits for this many, and applies the
overflow policy at the limit; then it sets the next notice. A notice at every doubling keeps the weight, and so the
limit in rows, true to what is being logged.

Bounds: `buffer_rows` exactly, `buffer_bytes` by the weighed mean (each as far as threads do not pass the comparison at
the same moment). Every row is either taken by the sealer or counted as dropped.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, TypeAlias

from headrace.errors import BufferFullError, ClosedError
from headrace.logged.counters import Counters
from headrace.settings import Overflow, Settings

LoggedRow: TypeAlias = tuple[Any, ...]
"""The model handle, then the row's values in the order rows.py knows."""

UNSAMPLED = "UNSAMPLED"
"""Reason under which rows outside the sample are counted."""

_NEVER = sys.maxsize
_SAMPLE = 64


class Buffer:
    """Bounded queue between log() and the sealer.

    Args:
        settings: Bounds and policy.
        counters: Where drops are counted.

    Attributes:
        rows: The rows, oldest first.
        notice: Number of rows at which log() calls `admit`.
        wake: Set when the sealer has something to do.
        taken: Rows the sealer has taken so far.
        passed: Rows that have left so far, taken or dropped by DROP_OLDEST.
        given_up: Rows that were dropped or refused so far.
    """

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self.rows: deque[LoggedRow] = deque()
        self.notice = 0
        self.wake = threading.Event()
        self._settings = settings
        self._counters = counters
        self._reset()

    def _reset(self) -> None:
        self.rows.clear()
        self.notice = 0
        self.wake = threading.Event()
        self.taken = 0
        self.given_up = 0
        self.passed = 0
        self._untold: dict[str, int] = {}
        self._wake_at = 1
        self._row_bytes = 0.0
        self._is_closed = False
        self._lock = threading.RLock()  # a signal handler may log while its thread is in here
        self._space = threading.Condition(self._lock)

    after_fork_in_child = _reset

    @property
    def is_closed(self) -> bool:
        """Whether no row is accepted any more."""
        return self._is_closed

    @property
    def given(self) -> int:
        """Rows handed to log() so far, whatever became of them."""
        with self._lock:
            return self.taken + self.given_up + len(self.rows)

    def admit(self, row: LoggedRow) -> None:
        """Take a row at a notice: weigh it, wake the sealer, or apply the overflow policy.

        Raises:
            BufferFullError: The buffer is full and the policy is RAISE.
            ClosedError: The client is closed.
        """
        with self._lock:
            if self._is_closed:
                raise ClosedError("the client is closed")
            if not self._row_bytes:
                self._weigh((row,))
            if len(self.rows) < self._limit() or self._make_space():
                self._weigh((row,))
                self.rows.append(row)
            else:
                self._drop(self._settings.policy.value)
            self._set_notice()

    def refuse(self, reason: str) -> None:
        """Count a row that log() could not accept."""
        with self._lock:
            self._drop(reason)

    def skip(self) -> None:
        """Count a row that is not in its model's sample; nobody need be told."""
        with self._lock:
            self.given_up += 1
            self._counters.count_dropped(UNSAMPLED, 1)

    def take(self, rows: int) -> list[LoggedRow]:
        """Return up to `rows` of the oldest rows; they are the sealer's now."""
        popleft = self.rows.popleft
        taken = []
        with self._lock:  # DROP_OLDEST pops, too
            for _ in range(min(rows, len(self.rows))):
                taken.append(popleft())  # noqa: PERF401 -- a comprehension would lose the rows if it were interrupted
            self.taken += len(taken)
            self.passed += len(taken)
            if taken:
                self._weigh(taken[:: max(1, len(taken) // _SAMPLE)])
            self._set_notice()
            self._space.notify_all()
        return taken

    def wake_at(self, rows: int | None) -> None:
        """Have the sealer woken when so many rows are here; None: not at all."""
        with self._lock:
            self._wake_at = _NEVER if rows is None else rows
            self._set_notice()

    def close(self) -> None:
        """Accept nothing more."""
        with self._lock:
            self._is_closed = True
            self.notice = 0
            self._space.notify_all()

    def untold_drops(self) -> Mapping[str, int]:
        """Return rows dropped since the last call, by reason."""
        with self._lock:
            untold, self._untold = self._untold, {}
            return untold

    def _set_notice(self) -> None:
        """Decide at how many rows log() calls `admit` again. Lock held."""
        count = len(self.rows)
        if count >= self._wake_at:
            self._wake_at = _NEVER
            self.wake.set()
        # log() compares before it appends: the row that makes it `wake_at` has to be noticed.
        self.notice = 0 if self._is_closed else min(self._limit(), self._wake_at - 1, max(2 * count, _SAMPLE))

    def _limit(self) -> int:
        """Return how many rows the bounds allow."""
        by_bytes = int(self._settings.buffer_bytes / self._row_bytes) if self._row_bytes else _NEVER
        return max(1, min(self._settings.buffer_rows, by_bytes))

    def _weigh(self, sample: list[LoggedRow] | tuple[LoggedRow, ...]) -> None:
        """Let the mean weight follow the sample: a quarter of the way, all of it when rows grow heavier."""
        mean = sum(map(row_bytes, sample)) / len(sample)
        self._row_bytes = max(mean, self._row_bytes + (mean - self._row_bytes) / 4)

    def _make_space(self) -> bool:
        """Apply the policy to a full buffer; True when there is space for the row now. Lock held."""
        match self._settings.policy:
            case Overflow.DROP_OLDEST:
                self.rows.popleft()
                self.passed += 1
                self._drop(Overflow.DROP_OLDEST.value)
                return True
            case Overflow.BLOCK:
                return self._wait_for_space()
            case Overflow.RAISE:
                raise BufferFullError(f"{len(self.rows)} rows wait to be sent, and the buffer holds no more")
            case _:
                return False

    def _wait_for_space(self) -> bool:
        deadline = time.monotonic() + self._settings.overflow_timeout_s
        while len(self.rows) >= self._limit():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._is_closed:
                return False
            self._space.wait(left_s)
        return True

    def _drop(self, reason: str) -> None:
        """Count a dropped row; the sealer tells the user, since no callback runs inside log(). Lock held."""
        self.given_up += 1
        self._counters.count_dropped(reason, 1)
        self._untold[reason] = self._untold.get(reason, 0) + 1


def row_bytes(row: LoggedRow) -> int:
    """Return about how much memory a row holds, in bytes: itself, its containers, and one level of what they hold."""
    total = sys.getsizeof(row) + 8
    for value in row[1:]:
        if value is not None:
            total += sys.getsizeof(value)
            if isinstance(value, Mapping):
                total += sum(map(_value_bytes, value.values()))
    return total


def _value_bytes(value: object) -> int:
    if isinstance(value, list | tuple):
        items = sys.getsizeof(value[0]) * len(value) if value else 0
        return sys.getsizeof(value) + items
    return sys.getsizeof(value)
