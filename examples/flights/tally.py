"""What became of the rows: the service's verdicts, counted batch by batch as they come, and shown as progress bars.

In: outcomes, from publish() or, on the client's own threads, from on_result. Out: counts by verdict, of the departures
(events) and of the landings (labels).
"""

from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import headrace

VERDICTS = ("stored", "duplicate", "conflict", "rejected", "joined", "parked", "pending")


class Tally:
    """Verdicts on rows of one kind, of which so many are expected."""

    def __init__(self, name: str, expected: int, progress: Progress) -> None:
        self.name = name
        self.expected = expected
        self.rows = 0
        self.verdicts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._progress = progress
        self._bar = progress.add_task(name, total=expected, start=False)

    def add(self, outcome: headrace.PublishResult | headrace.BatchOutcome) -> None:
        """Count the rows of one outcome."""
        self.rows += outcome.rows
        self.verdicts.update({verdict: getattr(outcome, verdict) for verdict in VERDICTS})
        for error in outcome.errors:
            self.refusals[": ".join(filter(None, (error.reason, error.column, error.message)))] += len(error.rows)
        self._progress.start_task(self._bar)
        self._progress.update(self._bar, completed=self.rows)


class Tallies:
    """The two tallies of a replay, and their bars."""

    def __init__(self, departures: int, landings: int, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console)
        self.events = Tally("departures", departures, self.progress)
        self.labels = Tally("landings", landings, self.progress)

    @property
    def rows(self) -> int:
        """Rows with a verdict, of both kinds."""
        return self.events.rows + self.labels.rows

    def on_result(self, outcome: headrace.BatchOutcome) -> None:
        """Count a batch of logged rows."""
        (self.events if outcome.kind == "EVENTS" else self.labels).add(outcome)
