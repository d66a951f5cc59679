"""A rate that nobody exceeds for long: what is taken is charged afterwards, and who is in debt waits until it is paid.

Charged afterwards, since a batch's size is known only once it is there. What BURST_S brings in is free, so that short
bursts pass. One clock for all who share the rate: however many take, together they get no more.
"""

from time import monotonic

BURST_S = 1.0


class Pace:
    """One rate of one project; without a limit until it is given one."""

    def __init__(self) -> None:
        self.per_s: float | None = None
        self._paid_at = 0.0

    def limit(self, per_s: float | None) -> None:
        """Hold to another rate from now on, None: to none; what is owed is paid off at the new one."""
        if self.per_s is not None and per_s is not None:
            now = monotonic()
            self._paid_at = now + max(0.0, self._paid_at - now) * self.per_s / per_s
        self.per_s = per_s

    @property
    def wait_s(self) -> float:
        """Seconds until more may be taken."""
        if self.per_s is None:
            return 0.0
        return max(0.0, self._paid_at - monotonic() - BURST_S)

    def charge(self, amount: float) -> None:
        """Note what was taken."""
        if self.per_s is not None:
            self._paid_at = max(self._paid_at, monotonic()) + amount / self.per_s
