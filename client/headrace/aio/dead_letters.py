"""Dead letters, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Unpack

from headrace.aio.awaited import in_thread
from headrace.services.dead_letters import DeadLetter, DeadLetters, LetterFilter, ReplayResult


class AsyncDeadLetters:
    """The dead letters of the client's project; filters are those of headrace.DeadLetters."""

    def __init__(self, core: DeadLetters) -> None:
        self._core = core

    async def list(self, **wanted: Unpack[LetterFilter]) -> AsyncIterator[DeadLetter]:
        """Yield letters, newest first; as DeadLetters.list."""
        letters = self._core.list(**wanted)
        while (letter := await in_thread(lambda _: next(letters, None), None)) is not None:
            yield letter

    async def get(self, id: int) -> DeadLetter:  # noqa: A002 -- as the sync face
        """Return one letter with its rows; as DeadLetters.get."""
        return await in_thread(lambda _: self._core.get(id), None)

    async def replay(self, ids: Sequence[int] | None = None, **wanted: Unpack[LetterFilter]) -> ReplayResult:
        """Send letters through the write path again; as DeadLetters.replay."""
        return await in_thread(lambda _: self._core.replay(ids, **wanted), None)

    async def drop(self, ids: Sequence[int] | None = None, **wanted: Unpack[LetterFilter]) -> int:
        """Remove letters for good; as DeadLetters.drop."""
        return await in_thread(lambda _: self._core.drop(ids, **wanted), None)
