"""Demands on whole rows that more than one record kind makes: ids, times, and what the service fills in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.models.column_types import TIMESTAMP
from headrace_server.validation.casting import as_mask
from headrace_server.validation.memory_views import micros_within, text_lengths
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Mask, Moment
from headrace_server.validation.uuid_texts import milliseconds_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_id_required(columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
    """Refuse rows without an event_id; the empty text is none."""
    ids = columns.get("event_id")
    if ids is None:
        rejections.add_all("EVENT_ID_REQUIRED", "event_id", "the batch has no event_id column")
        return
    missing = as_mask(ids.is_null()) if ids.null_count else np.zeros(row_count, dtype=np.bool_)
    if pa.types.is_string(ids.type):
        missing |= text_lengths(ids) == 0
    if not missing.any():
        return
    # A row whose id was refused for another reason (too long, no UUID) has its verdict already.
    missing &= ~refused_in("event_id", rejections)
    rejections.add("EVENT_ID_REQUIRED", "event_id", missing, "the row has no event_id")


def event_time_from_id(columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
    """Fill a missing event_time with the millisecond a UUIDv7 carries (RFC 9562, section 5.7)."""
    ids = columns.get("event_id")
    times = columns.get("event_time")
    if ids is None or (times is not None and not times.null_count):
        return
    if times is None:
        times = pa.nulls(row_count, TIMESTAMP)
    carried = milliseconds_of(ids).cast(pa.timestamp("ms", tz="UTC")).cast(TIMESTAMP)
    columns["event_time"] = pc.coalesce(times, carried)


@dataclass(frozen=True)
class EventTimeRange:
    """Demands that an event_time, where there is one, is within the model's range.

    Attributes:
        earliest: First time accepted.
        latest_ahead: How far ahead of the service's clock a time may be.
    """

    earliest: datetime
    latest_ahead: timedelta

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        times = columns.get("event_time")
        if times is None:
            return
        latest = moment.observed + self.latest_ahead
        if micros_within(times, _micros(self.earliest), _micros(latest)):
            return
        outside = as_mask(
            pc.or_(pc.less(times, pa.scalar(self.earliest, TIMESTAMP)), pc.greater(times, pa.scalar(latest, TIMESTAMP)))
        )
        example = times[int(outside.argmax())].cast(pa.string()).as_py()
        message = f"event_time {example} is not between {self.earliest.isoformat()} and {latest.isoformat()}"
        rejections.add("EVENT_TIME_OUT_OF_RANGE", "event_time", outside, message)


@dataclass(frozen=True)
class Expiry:
    """Refuses rows whose event is beyond the model's retention.

    Attributes:
        age: Age of an event from which on; None: never. Includes a chunk's span, so that no chunk that is about to be
            dropped is written to.
    """

    age: timedelta | None

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        times = columns.get("event_time")
        if times is None or self.age is None:
            return
        earliest = moment.observed - self.age
        expired = as_mask(pc.less(times, pa.scalar(earliest, TIMESTAMP)))
        rejections.add("EXPIRED", "event_time", expired, f"the event is older than {self.age}, what the model keeps")


@dataclass(frozen=True)
class EventTimeRule:
    """Demands an event_time, within the model's range.

    Attributes:
        required: Refuse rows without one; else the time of observation is taken.
        earliest: First time accepted.
        latest_ahead: How far ahead of the service's clock a time may be.
    """

    required: bool
    earliest: datetime
    latest_ahead: timedelta

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        times = columns.get("event_time")
        if times is None:
            times = columns["event_time"] = pa.nulls(row_count, TIMESTAMP)
        if times.null_count:
            missing = as_mask(times.is_null()) & ~refused_in("event_time", rejections)
            if self.required:
                message = (
                    "the model is UNIQUE by (event_id, event_time): send event_time, or ids that are UUIDv7; "
                    "a time made up by the service would make a retry a second row"
                )
                rejections.add("EVENT_TIME_REQUIRED", "event_time", missing, message)
            else:
                columns["event_time"] = times.fill_null(pa.scalar(moment.observed, TIMESTAMP))
        EventTimeRange(self.earliest, self.latest_ahead)(columns, row_count, moment, rejections)


def fill_observed_time(columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
    """Write when the batch was first received: one value a batch."""
    columns["observed_time"] = pa.repeat(pa.scalar(moment.observed, TIMESTAMP), row_count)


def fill_model_version(columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
    """Write the batch's version into rows that name none."""
    if not moment.model_version:
        return
    version = pa.scalar(moment.model_version)
    own = columns.get("model_version")
    columns["model_version"] = pa.repeat(version, row_count) if own is None else own.fill_null(version)


@dataclass(frozen=True)
class GroupIdRequired:
    """Demands the group of an item: without it a ranking means nothing.

    Attributes:
        sql_name: Column of the group.
    """

    sql_name: str

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        groups = columns.get(self.sql_name)
        if groups is None:
            missing = np.ones(row_count, dtype=np.bool_)
        else:
            missing = as_mask(groups.is_null()) & ~refused_in(self.sql_name, rejections)
        message = f"the model ranks items within groups; the row has no {self.sql_name}"
        rejections.add("GROUP_ID_REQUIRED", self.sql_name, missing, message)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def refused_in(column: str, rejections: Rejections) -> Mask:
    """The rows whose value in a column was refused."""
    refused = np.zeros(rejections.row_count, dtype=np.bool_)
    for group in rejections.groups:
        if group.column == column:
            refused |= group.rows
    return refused
