"""Spans of time whose roll-ups are refreshed, and the literals by which they and a model stand in SQL.

Literals and not parameters: only constants let the planner leave the chunks of other times out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from headrace_server.models.names import quote_literal
from headrace_server.models.schema import ModelSchema

ALL_HOURS = (1 << 24) - 1


@dataclass(frozen=True)
class Span:
    """From a time to another (exclusive), UTC."""

    start: datetime
    end: datetime

    @property
    def start_sql(self) -> str:
        """The start, as SQL."""
        return _literal(self.start)

    @property
    def end_sql(self) -> str:
        """The end, as SQL."""
        return _literal(self.end)

    def holds(self, column: str) -> str:
        """SQL that is true where a column's time lies in the span."""
        return f"{column} >= {self.start_sql} AND {column} < {self.end_sql}"

    @staticmethod
    def of_day(day: date) -> "Span":
        """A whole day."""
        start = datetime.combine(day, time(), UTC)
        return Span(start, start + timedelta(days=1))


def runs_of_hours(day: date, hours: int) -> Iterator[Span]:
    """The hours of a day that are set as bits, neighbours together."""
    midnight = datetime.combine(day, time(), UTC)
    first = None
    for hour in range(25):
        is_set = hour < 24 and hours >> hour & 1
        if is_set and first is None:
            first = hour
        elif not is_set and first is not None:
            yield Span(midnight + timedelta(hours=first), midnight + timedelta(hours=hour))
            first = None


def next_hours(hours: int, after: int, count: int) -> int:
    """The first hours that are set after one, as bits, and around the day: the first of all where none is after it.

    Args:
        hours: Hours of a day, as bits.
        after: An hour; -1 begins with the day.
        count: Most hours to return.
    """
    left, chosen = hours >> (after + 1) << (after + 1) or hours, 0
    for _ in range(count):
        chosen |= left & -left
        left &= left - 1
    return chosen


def key_sql(model: ModelSchema) -> str:
    """The first two columns of every roll-up, as SQL: project and model."""
    return f"{quote_literal(model.project)}, {quote_literal(model.sql_name)}"


def own_rows(model: ModelSchema) -> str:
    """SQL that is true for a model's rows of a roll-up."""
    return f"project = {quote_literal(model.project)} AND model = {quote_literal(model.sql_name)}"


def _literal(moment: datetime) -> str:
    return f"'{moment.isoformat()}'::timestamptz"
