"""Ties a worker's life to its parent's: when the parent is gone, however it went, the worker is gone at that moment.

At once and not in good order: whoever starts the service again needs the ports, and what was not acked is sent again.
The kernel sees to it where it can (Linux: a signal when the parent dies). The end of the pipe to the parent says the
same elsewhere, and to a worker whose parent was gone before it could ask the kernel.
"""

import ctypes
import os
import signal
import threading
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # sys/prctl.h


def die_with_parent(pipe: int) -> None:
    """See to it that this process ends with its parent.

    Args:
        pipe: File descriptor of a pipe that the parent holds open and writes nothing more to.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A thread, not the event loop: a worker that hangs has to go, too.
    threading.Thread(target=_end_at_eof, args=(pipe,), name="tether", daemon=True).start()


def _end_at_eof(pipe: int) -> None:
    with suppress(OSError):
        while os.read(pipe, 1):
            pass
    os.kill(os.getpid(), signal.SIGKILL)
