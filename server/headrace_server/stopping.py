"""The signals of the process: the first asks it to stop within its grace, the second to stop now."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CHECK_S = 0.02


class StopRequest:
    """What has been asked for so far."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()

    def ask(self) -> None:
        """Ask once more."""
        if self.asked.is_set():
            log.warning("stopping_now")
            self.forced.set()
        else:
            log.info("stopping")
            self.asked.set()


class Grace:
    """The time for stopping in good order: from the first signal on, over all that is waited for together.

    Args:
        seconds: How long it is.
        stop: Where a second signal ends it.
    """

    def __init__(self, seconds: float, stop: StopRequest) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + seconds
        self._stop = stop

    async def covers(self, is_done: Callable[[], bool]) -> bool:
        """Wait until it is done, or the grace is over; returns whether it is done."""
        while not is_done():
            left_s = self._ends_at - self._loop.time()
            if left_s <= 0 or self._stop.forced.is_set():
                return False
            await asyncio.sleep(min(CHECK_S, left_s))
        return True


@contextmanager
def on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request while the block runs; needs a running event loop in the main thread."""
    request = StopRequest()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, request.ask)
    try:
        yield request
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
