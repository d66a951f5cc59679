"""The rows that producers log, and how to tell whether one that comes out of a table is the one that went in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

import headrace

MODELS = {"chaos_unique": headrace.Identity.UNIQUE, "chaos_append": headrace.Identity.APPEND}
"""An index would hide a batch that was stored twice, so half of the rows go where there is none."""
UNARY = "chaos_unary"
"""Where rows go that come by unary calls: of them the ledger keeps no counts."""

SCHEMA = headrace.Schema(
    features={"amount": "float64", "number": "int64", "word": "string"},
    predictions={"score": "float64"},
    labels={"truth": "int64"},
)
START_S = 1_356_998_400  # 1 January 2013
SPREAD_S = 21 * 86_400  # events fall into a few chunks
LETTERS = "abcdefghijklmnopqrstuvwxyz äöü 日本語"


@dataclass(frozen=True)
class Event:
    """One event, as it is logged and as it should be stored."""

    event_id: str
    micros: int
    amount: float
    number: int
    word: str
    score: float

    @staticmethod
    def made(producer: str, number: int, random: Random) -> Event:
        """Make a producer's event; its id says whose it is."""
        micros = (START_S + random.randrange(SPREAD_S)) * 1_000_000 + random.randrange(1_000_000)
        word = "".join(random.choices(LETTERS, k=random.randrange(200)))
        return Event(f"{producer}-{number}", micros, random.gauss(0, 1e6), number, word, random.random())

    @property
    def fingerprint(self) -> str:
        """The same for the same cells only."""
        return fingerprint((self.micros, self.amount, self.number, self.word, self.score))


def fingerprint(cells: Iterable[object]) -> str:
    """A short digest of cells."""
    return blake2b("\x1f".join(map(repr, cells)).encode(), digest_size=8).hexdigest()
