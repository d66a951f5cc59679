"""The hours that a transaction's rows lie in, noted in that very transaction: what monitoring has to look at again.

A note is committed with its rows or not at all, so a crash loses neither. Notes are only ever inserted here and deleted
by the refresh (rollups/refresh.py): no transaction waits for another's, whichever hours both touch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from headrace_server.copying.connection import Connection

_HOUR_US = 3_600_000_000
_FIRST_DAY = date(1970, 1, 1)
NOTE = """
INSERT INTO headrace.touched_hours (project, model, kind, day, hours)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[])
"""


@dataclass(frozen=True)
class TouchedHours:
    """Hours of events, UTC.

    Attributes:
        days: Each day once.
        hours: The hours of each, as bits: bit 0 is the hour from midnight on.
    """

    days: list[date]
    hours: list[int]

    @staticmethod
    def of(micros: npt.NDArray[np.int64]) -> "TouchedHours":
        """The hours of times in microseconds since 1970."""
        if not len(micros):
            return TouchedHours([], [])
        hours = micros // _HOUR_US
        first = hours.min()
        present = np.zeros(hours.max() - first + 1, dtype=np.bool_)  # a bit for each hour between: cheaper than to sort
        present[hours - first] = True
        hours = np.flatnonzero(present) + first
        days, firsts = np.unique(hours // 24, return_index=True)
        bits = np.bitwise_or.reduceat(1 << (hours % 24), firsts)
        return TouchedHours([_FIRST_DAY + timedelta(days=day) for day in days.tolist()], bits.tolist())


@dataclass(frozen=True)
class HourNote:
    """Whose hours they are.

    Attributes:
        project: Project of the model.
        model: sql_name of the model.
        kind: Kind of the rows, as the wire calls it without its prefix.
    """

    project: str
    model: str
    kind: str
    hours: TouchedHours


def as_columns(notes: Iterable[HourNote]) -> tuple[list[str], list[str], list[str], list[date], list[int]]:
    """The parameters of NOTE."""
    rows = [
        (note.project, note.model, note.kind, day, bits)
        for note in notes
        for day, bits in zip(note.hours.days, note.hours.hours, strict=True)
    ]
    projects, models, kinds, days, hours = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
    return projects, models, kinds, days, hours


async def write_notes(connection: Connection, notes: Iterable[HourNote]) -> None:
    """Write notes, in the transaction that stores their rows."""
    columns = as_columns(notes)
    if columns[0]:
        await connection.execute(NOTE, *columns)
