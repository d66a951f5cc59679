"""`headrace worker`: one worker of `headrace serve --workers N`. Its parent starts it; people have no use for it."""

from headrace_server.cli.service_process import run_worker


def worker() -> None:
    """One worker of `headrace serve --workers`, which starts it."""
    run_worker()
