"""`python -m mutation`: changes the code in small ways, one at a time, and counts which changes no test notices.

Each mutant is tried in a copy of the project, against the tests of its room (mutation/targets.py), which stop at the
first that fails. A mutant on which they hang is noticed, too. The last lines are a table: mutants, killed, survived and
score of each file. Of every file as many mutants are drawn as asked for; the same seed draws the same ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from random import Random
from time import monotonic

from mutation.copies import ROOT, Copy
from mutation.mutants import Mutant, mutants_of
from mutation.targets import TESTS_OF

TIMES_AS_LONG, LONGER_S = 3.0, 20.0  # than the tests take without a change: then they hang
MOST_S = 600.0


@dataclass
class Score:
    """What became of a file's mutants."""

    file: str
    tried: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def killed(self) -> int:
        """Mutants that a test noticed."""
        return self.tried - len(self.survivors)

    @property
    def percent(self) -> float:
        """Killed of a hundred."""
        return 100.0 * self.killed / self.tried if self.tried else 100.0


def main() -> None:
    """Try mutants of the files that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="parts of paths; default: every file of the table")
    parser.add_argument("--mutants", type=int, default=30, help="of each file, drawn by the seed; 0: all (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    asked = parser.parse_args()
    files = [file for file in TESTS_OF if not asked.files or any(part in file for part in asked.files)]
    if not files:
        parser.error("no such file in mutation/targets.py")
    with _copies(asked.jobs) as copies:
        scores = [_score(file, asked.mutants, asked.seed, copies, asked.jobs) for file in files]
    _report(scores, asked.seed)


@contextmanager
def _copies(count: int) -> Iterator[SimpleQueue[Copy]]:
    with tempfile.TemporaryDirectory(prefix="headrace-mutation-") as folder:
        free: SimpleQueue[Copy] = SimpleQueue()
        for number in range(count):
            free.put(Copy(Path(folder) / str(number)))
        yield free


def _score(file: str, count: int, seed: int, copies: SimpleQueue[Copy], jobs: int) -> Score:
    text, tests = (ROOT / file).read_text(), TESTS_OF[file]
    mutants = mutants_of(text)
    if 0 < count < len(mutants):
        mutants = sorted(Random(f"{seed} {file}").sample(mutants, count), key=lambda mutant: mutant.line)
    within_s = min(MOST_S, LONGER_S + TIMES_AS_LONG * _unchanged_s(tests, copies))
    print(f"{file}: {len(mutants)} mutants, {within_s:.0f} s each at most", flush=True)

    def survives(mutant: Mutant) -> bool:
        copy = copies.get()
        try:
            copy.write(file, mutant.text)
            survived = copy.passes(tests, within_s)
            copy.write(file, text)
        finally:
            copies.put(copy)
        print(f"  {'SURVIVED' if survived else 'killed'}  {file}:{mutant.line}  {mutant.change}", flush=True)
        return survived

    with ThreadPoolExecutor(jobs) as threads:
        survived = list(threads.map(survives, mutants))
    return Score(file, len(mutants), [mutant for mutant, lives in zip(mutants, survived, strict=True) if lives])


def _unchanged_s(tests: Sequence[str], copies: SimpleQueue[Copy]) -> float:
    """How long the tests take on the code as it is; they have to pass there."""
    copy, began = copies.get(), monotonic()
    try:
        if not copy.passes(tests, MOST_S):
            sys.exit(f"without any change these tests do not pass: {' '.join(tests)}")
    finally:
        copies.put(copy)
    return monotonic() - began


def _report(scores: Sequence[Score], seed: int) -> None:
    print(f"\nseed {seed}; survivors:")
    for score in scores:
        for mutant in score.survivors:
            print(f"  {score.file}:{mutant.line}  {mutant.change}")
    total = Score("all", sum(score.tried for score in scores), [each for score in scores for each in score.survivors])
    print(f"\n{'file':52} {'mutants':>8} {'killed':>8} {'survived':>8} {'score':>8}")
    for score in (*scores, total):
        counts = f"{score.tried:8} {score.killed:8} {len(score.survivors):8}"
        print(f"{score.file:52} {counts} {score.percent:6.0f} %")


if __name__ == "__main__":
    main()
