"""Times as people write them → microseconds since 1970, the one form on the wire.

datetime (naive means UTC), date (its midnight, UTC), Unix seconds as int or float, RFC 3339 text, and anything that can
make a datetime of itself (pandas.Timestamp, numpy.datetime64) are understood.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

TimeLike: TypeAlias = datetime | date | float | int | str
"""A point in time: datetime (naive is UTC), date, Unix seconds, or RFC 3339 text."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- naive times are UTC here, by rule
_MICROSECOND = timedelta(microseconds=1)


def datetime_micros(value: datetime) -> int:
    """Return microseconds since 1970 of `value`; a naive one is UTC."""
    delta = value - (_NAIVE_EPOCH if value.tzinfo is None else _EPOCH)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def unix_micros(value: object) -> int:
    """Return microseconds since 1970 of any time a user may give.

    Raises:
        ValueError: The text is no RFC 3339 time, or the number is not finite.
        TypeError: The value is no time at all.
    """
    if isinstance(value, datetime):
        return datetime_micros(value)
    if isinstance(value, bool):
        raise TypeError("a bool is not a time")
    if isinstance(value, int):
        return value * 1_000_000
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a time")
        return round(value * 1e6)
    if isinstance(value, str):
        return datetime_micros(datetime.fromisoformat(value))
    if isinstance(value, date):
        return (value.toordinal() - _EPOCH.toordinal()) * 86_400_000_000
    return _foreign_micros(value)


def as_datetime(value: TimeLike) -> datetime:
    """Return any time a user may give as a datetime with a zone; as unix_micros."""
    return _EPOCH + timedelta(microseconds=unix_micros(value))


def _foreign_micros(value: object) -> int:
    """Return microseconds of a numpy.datetime64 (or its like) without importing numpy."""
    astype = getattr(value, "astype", None)
    if type(value).__name__ == "datetime64" and callable(astype):
        micros = astype("datetime64[us]").astype("int64")
        return int(micros)
    item = getattr(value, "item", None)  # numpy numbers
    if callable(item):
        plain = item()
        if isinstance(plain, int | float | datetime) and type(plain) is not type(value):
            return unix_micros(plain)
    raise TypeError(f"{type(value).__name__} is not a time: give a datetime, Unix seconds or RFC 3339 text")
