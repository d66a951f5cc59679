"""Events: which columns they may have, which demands they meet, which of the two landings takes them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.schemas.tasks import ColumnRole
from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.append_landing import prepare_append
from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows, Landed, Prepared
from headrace_server.copying.noted_rows import NotedRows
from headrace_server.copying.target import Target
from headrace_server.copying.touched import HourNote, TouchedHours
from headrace_server.copying.unique_landing import RepeatWatch, prepare_probed, prepare_straight
from headrace_server.models.column_types import ValueType
from headrace_server.models.per_revision import PerRevision
from headrace_server.models.sampling import SamplingRate, kept, rate_at
from headrace_server.models.schema import EventIdType, Identity, ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS, EVENT_ID, NOT_COMPARED
from headrace_server.models.table_spec import events_table
from headrace_server.validation.casting import as_mask
from headrace_server.validation.media import MEDIA_CHECKS
from headrace_server.validation.model_fields import model_fields
from headrace_server.validation.row_rules import (
    EventTimeRule,
    Expiry,
    GroupIdRequired,
    event_id_required,
    event_time_from_id,
    fill_model_version,
    fill_observed_time,
)
from headrace_server.validation.row_schema import Field, Mask, Moment, RowRule, RowSchema

_PROBABILITY = "inclusion_probability"

AfterCommit = Callable[[ModelSchema, Connection, GroupRows], Awaitable[None]]


class EventsKind:
    """The EVENTS kind.

    Attributes:
        after_commit: Told of every group of events once it is committed: late kinds look there for rows that waited.
    """

    adds_columns = True
    takes_none = ("UNKNOWN_KIND", "takes no events")  # every model takes them

    def __init__(self, after_commit: AfterCommit) -> None:
        self._after_commit = after_commit
        self._watches: dict[str, RepeatWatch] = {}
        self.row_schema = PerRevision(_row_schema)
        self.landing = PerRevision(self._landing)

    def lacks(self, model: ModelSchema) -> str:
        """Nothing: a model is made with its events table."""
        return ""

    def _landing(self, model: ModelSchema) -> "EventsLanding":
        target = _target(model)
        return EventsLanding(model, target, self._watches.setdefault(target.key, RepeatWatch()), self._after_commit)


class EventsLanding:
    """The events table of one model."""

    def __init__(self, model: ModelSchema, target: Target, watch: RepeatWatch, after_commit: AfterCommit) -> None:
        self._model = model
        self.target = target
        self._watch = watch
        self._after_commit = after_commit
        self.table_key = target.key
        self.revision = model.revision

    def chunks(self, rows: GroupRows) -> npt.NDArray[np.int64]:
        """The chunks of the events' times."""
        return np.unique(self.target.chunks_of(rows.table))

    def prepare(self, rows: GroupRows) -> Prepared:
        """Sort and encode, in the way the model's identity and the last groups ask for."""
        hours = TouchedHours.of(rows.table.column("event_time").cast(pa.int64()).to_numpy())
        return NotedRows(self._prepare(rows), HourNote(self._model.project, self._model.sql_name, "EVENTS", hours))

    def _prepare(self, rows: GroupRows) -> Prepared:
        if self._model.identity is Identity.APPEND:
            return prepare_append(self.target, rows)
        if self._watch.probe_next():
            return prepare_probed(self.target, rows)
        return prepare_straight(self.target, rows)

    def met_unique_violation(self) -> None:
        """Probe the next groups."""
        self._watch.met_repeat()

    async def foresee(self, connection: Connection, rows: GroupRows) -> Landed:
        """Look for repeats, where there are any to look for."""
        if self._model.identity is Identity.APPEND:
            return Landed.uniform(len(rows), Verdict.STORED)
        return await (await asyncio.to_thread(prepare_probed, self.target, rows)).foresee(connection)

    async def settle(self, connection: Connection, rows: GroupRows, landed: Landed) -> None:
        """Let late kinds settle what waited for these events: all but those that were refused while landing."""
        stored = rows.take(np.flatnonzero(landed.verdicts != Verdict.REJECTED)) if landed.refusals else rows
        await self._after_commit(self._model, connection, stored)


@dataclass(frozen=True)
class EventSampler:
    """Keeps the events of the sample, and tells each with which probability it came in.

    An event that says its inclusion_probability was sampled by its sender, and is kept.

    Attributes:
        rates: The model's rates, oldest first.
    """

    rates: tuple[SamplingRate, ...]

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment) -> Mask | None:
        """Apply the rate of the moment at which the batch was received."""
        rate = rate_at(self.rates, moment.observed)
        if rate >= 1 or "event_id" not in columns:
            return None
        own = columns.get(_PROBABILITY)
        mask = kept(columns["event_id"], rate)
        if own is not None:
            mask |= as_mask(own.is_valid())
        columns[_PROBABILITY] = pa.repeat(pa.scalar(rate), row_count) if own is None else own.fill_null(rate)
        return mask


def system_field(name: str, value_type: ValueType, max_bytes: int, model: ModelSchema) -> Field:
    """The field of a system column."""
    is_id = name == EVENT_ID.name
    return Field(
        name,
        value_type,
        max_bytes=max_bytes,
        is_uuid=is_id and model.event_id_type is EventIdType.UUID,
        too_long="EVENT_ID_TOO_LONG" if is_id else "TEXT_TOO_LONG",
        check=MEDIA_CHECKS.get(name),
    )


def _row_schema(model: ModelSchema) -> RowSchema:
    fields: dict[str, Field] = {}
    refused: dict[str, tuple[str, str]] = {}
    for label in model.labels:
        message = f"{label.name} is a label: send it in rows of kind LABELS, with the event's id"
        refused[label.name] = refused[label.sql_name] = ("LABEL_IN_EVENT", message)
    fields |= model_fields(model, model.event_columns)
    prediction = model.main_prediction
    if prediction is not None:
        fields.setdefault("prediction", fields[prediction.sql_name])
    # Last, so that they win: a model's own column of such a name is called f_<name> on the wire, too.
    for system in EVENT_COLUMNS:
        if system.written_by_service:
            fields.pop(system.name, None)
            refused[system.name] = ("IMMUTABLE_COLUMN", f"{system.name} is written by the service")
        else:
            fields[system.name] = system_field(system.name, system.type, system.max_bytes, model)
    time_rule = EventTimeRule(model.identity is Identity.UNIQUE, model.earliest_event_time, model.latest_ahead)
    expiry, filled = Expiry(model.expiry), (fill_observed_time, fill_model_version)
    rules: list[RowRule] = [event_id_required, event_time_from_id, time_rule, expiry, *filled]
    rules += [GroupIdRequired(column.sql_name) for column in model.event_columns if column.role is ColumnRole.GROUP_ID]
    for name in fields:
        refused.pop(name, None)
    sampler = EventSampler(model.sampling) if model.sampling else None
    return RowSchema(fields, refused, model.unknown_columns, rules, sampler)


def _target(model: ModelSchema) -> Target:
    table = events_table(model)
    compared = (column.name for column in table.columns if column.name not in NOT_COMPARED)
    return Target.of(table, compared, model.chunk_interval)
