"""`headrace serve`, which can be told at any time to strike itself at a step: python -m chaos.armed_service serve …

Orders come on its standard input, one a line: the step, the signal's number, how many passes until then.
"""

from __future__ import annotations

import signal
import sys
import threading

from headrace_server import failpoints
from headrace_server.__main__ import main


def obey() -> None:
    """Arm what is ordered, until the harness is gone."""
    for line in sys.stdin:
        step, number, passes = line.split()
        failpoints.arm(step, signal.Signals(int(number)), int(passes))


if __name__ == "__main__":
    threading.Thread(target=obey, daemon=True).start()
    main()
