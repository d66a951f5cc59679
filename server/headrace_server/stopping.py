"""The signals of the process: the first asks it to stop, the second to stop now."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
