"""What a producer may rely on, as a few lines that need no database: the ledger's answers, said in advance."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class Answer(Enum):
    """How a batch is answered."""

    STORED = auto()
    REPLAYED = auto()
    FENCED = auto()
    MISSING = auto()


@dataclass(frozen=True)
class Content:
    """What a batch holds, the same however often it is sent."""

    good_rows: int
    bad_rows: int


@dataclass
class LedgerModel:
    """One producer's entry, as it must be.

    Attributes:
        epoch: Of the newest session; 0 before the first.
        last_seq: Batches up to here are committed.
        perhaps_through: Batches up to here may be committed too: their answers were lost on the way.
        contents: What each batch holds that was ever sent.
    """

    epoch: int = 0
    last_seq: int = 0
    perhaps_through: int = 0
    contents: dict[int, Content] = field(default_factory=dict)

    def open(self, last_seq: int) -> int:
        """A session opens and is told `last_seq`; returns its epoch."""
        most = max(self.last_seq, self.perhaps_through)
        assert self.last_seq <= last_seq <= most, f"{last_seq} committed, not {self.last_seq} to {most}"
        self.last_seq, self.perhaps_through = last_seq, 0
        self.epoch += 1
        return self.epoch

    def send(self, epoch: int, seq: int) -> Answer:
        """A batch comes and is seen through to its answer."""
        if epoch < self.epoch:
            return Answer.FENCED
        if seq <= self.last_seq:
            return Answer.REPLAYED
        if seq > self.last_seq + 1:
            return Answer.MISSING
        self.last_seq = seq
        return Answer.STORED

    def lose_answers(self, epoch: int, seqs: list[int]) -> None:
        """Batches come, and nobody will know how they were answered until a session opens."""
        if epoch == self.epoch:
            self.perhaps_through = max([self.perhaps_through, *seqs])

    def rows(self) -> dict[int, int]:
        """Rows in the table by seq: no more, no less."""
        return {seq: self.contents[seq].good_rows for seq in range(1, self.last_seq + 1)}
