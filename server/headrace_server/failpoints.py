"""Steps on a batch's way at which the chaos harness ends or freezes this process; nobody else can.

The code says which step it has reached, one line a step. Nothing happens there unless a failpoint was armed in this
very process, and nothing in this package arms one: no flag, no variable, no setting. `tests/chaos/armed_service.py`
does, around the same `headrace serve`. Unarmed a step is one look at an empty dict, a few times a commit.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

STEPS = (
    "before_begin",  # a group is ready, its transaction not begun
    "mid_copy",  # half of the rows' bytes are with PostgreSQL
    "after_copy",  # the rows are there, dead letters and ledger are not
    "after_commit",  # everything is durable, nobody has been told
    "before_settling",  # late rows are in their inbox, the search for their events after the commit is to come
    "after_ack",  # the client has been told
)
ON_ITS_WAY_S = 0.02  # until bytes that were handed to the socket have left the process

_armed: dict[str, "Failpoint"] = {}


@dataclass
class Failpoint:
    """What happens at a step.

    Attributes:
        number: The signal the process gives itself.
        passes: How many times the step is reached until then.
    """

    number: signal.Signals
    passes: int

    def reached(self) -> None:
        """Count, and strike when it is time."""
        self.passes -= 1
        if self.passes == 0:
            os.kill(os.getpid(), self.number)


def arm(step: str, number: signal.Signals, passes: int) -> None:
    """Have the process strike itself at a step.

    Raises:
        ValueError: There is no such step.
    """
    if step not in STEPS:
        raise ValueError(f"{step!r} is none of {', '.join(STEPS)}")
    _armed[step] = Failpoint(number, passes)


def reached(step: str) -> None:
    """Say that a step is reached."""
    if _armed and (failpoint := _armed.get(step)) is not None:
        failpoint.reached()


def copied(data: memoryview) -> memoryview | AsyncIterator[memoryview]:
    """The bytes of a COPY: as they are, or in two halves with the step `mid_copy` between them where that is armed."""
    return _in_halves(data) if "mid_copy" in _armed else data


async def _in_halves(data: memoryview) -> AsyncIterator[memoryview]:
    middle = len(data) // 2
    yield data[:middle]
    await asyncio.sleep(ON_ITS_WAY_S)
    reached("mid_copy")
    yield data[middle:]
