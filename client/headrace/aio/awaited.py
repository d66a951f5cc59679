"""Blocking calls, awaited: each on a thread of its own, which settles a future of the caller's loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from headrace.deadline import Deadline

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[[Deadline], T], timeout: float | Deadline | None) -> T:  # noqa: ASYNC109
    """Run a blocking call on a thread of its own; its deadline expires when the await is cancelled."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    deadline = Deadline.of(timeout)

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():  # cancelled meanwhile
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T is

    def run() -> None:
        result, failure = None, None
        try:
            result = call(deadline)
        except BaseException as error:  # noqa: BLE001 -- raised again where it is awaited
            failure = error
        tell(loop, settle, result, failure)

    threading.Thread(target=run, name="headrace-aio", daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        deadline.expire()
        raise


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[P, object], *args: P.args, **_: P.kwargs) -> None:
    """Call back on the loop, unless that is closed: then nobody waits any more."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise
