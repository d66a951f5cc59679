"""Sends dead letters through the write path again, as far as one call goes.

Each letter becomes a batch of its own whose origin is the letter, and waits for its commit like every batch; so letters
share groups with what streams send, and the copier marks each in the transaction that stores its row. Memory is
reserved before a letter is taken apart, so a slow database slows a replay down. Whoever calls again, after whatever
crash, finds the letters that still wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from google.protobuf.message import DecodeError

from headrace.v1 import batch_pb2, error_reason_pb2, result_pb2
from headrace_server.batching.batch import Letter
from headrace_server.dead_letters.selection import Selection
from headrace_server.dead_letters.shelf import Shelf, StoredLetter
from headrace_server.errors import DeadLetterNotFoundError

LONGEST_CALL_S = 10.0
LETTERS_AT_ONCE = 64
MOST_REFUSALS = 100

Settled = "asyncio.Future[result_pb2.BatchResult]"
Submit = Callable[[Letter, batch_pb2.Batch, datetime], Awaitable["asyncio.Future[result_pb2.BatchResult]"]]


@dataclass(frozen=True)
class Refusal:
    """Why a letter stays."""

    id: int
    reason: error_reason_pb2.ErrorReason.ValueType
    column: str
    message: str


@dataclass
class Replayed:
    """What became of letters.

    Attributes:
        last: Number of the last letter that was tried; 0 when every letter has been.
    """

    tried: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    last: int = 0

    def add(self, letter: StoredLetter, result: result_pb2.BatchResult) -> None:
        """Count what became of a letter."""
        if result.errors or result.conflict == result.rows != 0:
            self.refuse(letter, result)
        elif result.duplicate == result.rows:
            self.duplicate += 1
        else:
            self.stored += 1

    def refuse(self, letter: StoredLetter, result: result_pb2.BatchResult) -> None:
        """Count a letter that stays."""
        conflict = Refusal(letter.id, error_reason_pb2.ERROR_REASON_REPLAY_CONFLICT, "", "a stored row differs")
        why = [Refusal(letter.id, error.reason, error.column, error.message) for error in result.errors] or [conflict]
        self.note(why[0])

    def note(self, refusal: Refusal) -> None:
        """Count a refusal, and keep it where there is room."""
        self.refused += 1
        if len(self.refusals) < MOST_REFUSALS:
            self.refusals.append(refusal)


class Replay:
    """Replays letters of the shelf.

    Args:
        shelf: Where they lie.
        submit: Takes a batch in, to be stored as rows first received at the given time; returns when it waits for its
            commit. The future has its result.
    """

    def __init__(self, shelf: Shelf, submit: Submit) -> None:
        self._shelf = shelf
        self._submit = submit

    async def run(self, selection: Callable[[], Selection], after: int, limit: int) -> Replayed:
        """Replay letters, oldest first, until `limit` have been tried or 10 seconds have passed.

        Args:
            selection: Says anew each time which letters are meant.
            after: Number of the letter after which to begin.
            limit: Most letters to try.

        Raises:
            HeadraceError: The service cannot take rows now; letters that were stored by then are marked.
        """
        replayed = Replayed()
        until = monotonic() + LONGEST_CALL_S
        while replayed.tried < limit and monotonic() < until:
            wanted = min(LETTERS_AT_ONCE, limit - replayed.tried)
            letters = await self._shelf.oldest(selection(), after, wanted)
            await self._send(letters, replayed)
            replayed.tried += len(letters)
            if len(letters) < wanted:
                replayed.last = 0
                return replayed
            after = replayed.last = letters[-1].id
        return replayed

    async def _send(self, letters: Sequence[StoredLetter], replayed: Replayed) -> None:
        waiting: list[tuple[StoredLetter, asyncio.Future[result_pb2.BatchResult]]] = []
        for letter in letters:
            batch = _batch(letter)
            if batch is None:
                reason = error_reason_pb2.ERROR_REASON_LETTER_NOT_WHOLE
                replayed.note(Refusal(letter.id, reason, "", f"of {letter.payload_bytes} bytes only the head is kept"))
                continue
            origin = Letter.numbered(letter.project, letter.id)
            waiting.append((letter, await self._submit(origin, batch, letter.created_at)))
        for letter, settled in waiting:
            try:
                replayed.add(letter, await asyncio.shield(settled))
            except DeadLetterNotFoundError:
                replayed.tried -= 1  # dropped meanwhile


def _batch(letter: StoredLetter) -> batch_pb2.Batch | None:
    """What was refused, as a batch; None where it is not all there."""
    if not letter.is_whole:
        return None
    try:
        batch = batch_pb2.Batch.FromString(letter.payload)
    except DecodeError:
        return None
    batch.seq = 0
    return batch
