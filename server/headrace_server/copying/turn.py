"""The right to claim next: groups claim their producers in the order in which they were taken from the batcher."""

import asyncio


class Turn:
    """The right to claim next; passed on once, however often it is said."""

    def __init__(self, lock: asyncio.Lock | None) -> None:
        self._lock = lock

    @staticmethod
    async def wait_for(lock: asyncio.Lock) -> "Turn":
        """Wait for the turn; those who wait get it in the order they came."""
        await lock.acquire()
        return Turn(lock)

    @staticmethod
    def none() -> "Turn":
        """No turn: somebody else's has been passed on already."""
        return Turn(None)

    def pass_on(self) -> None:
        """Let the next one claim."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class Claimed:
    """Told when an attempt has its claim: the next one may have the turn."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._is_true = False

    def __call__(self) -> None:
        """It has its claim."""
        self._is_true = True
        self._turn.pass_on()

    def __bool__(self) -> bool:
        return self._is_true
