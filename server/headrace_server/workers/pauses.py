"""How long to wait before a worker that has ended is started again: longer each time, and anew after a steady life."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 60.0


class Pauses:
    """The pauses of one worker."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def after(self, lived_s: float) -> float:
        """Return the seconds to wait.

        Args:
            lived_s: How long the worker lived that has ended.
        """
        if lived_s >= STEADY_S:
            self._next_s = FIRST_PAUSE_S
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_PAUSE_S)
        return pause_s
