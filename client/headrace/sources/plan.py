"""Which column of a source is what: ids and times, features and predictions, labels.

`Roles` is what the caller said; `Plan` is what that means for the columns that are there, decided with the first chunk
and applied to every other, so that a later chunk without a column cannot change the meaning of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.errors import InvalidArgumentError
from headrace.logged.rows import EVENT_NAMES, wire_name
from headrace.sources.source import Names
from headrace.v1 import batch_pb2

_LABEL_SYSTEM_COLUMNS = frozenset({"label_time", "source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What the caller said the columns are; None: not said."""

    event_id: str | None = None
    event_time: str | None = None
    features: Sequence[str] | None = None
    predictions: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    late: batch_pb2.RecordKind.ValueType | None = None
    """The late kind that the rows are; None: events."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What each column of the source is sent as."""

    event_id: str | None
    """Column of the ids; None: ids are made."""
    event_time: str | None
    """Column of the times; None: now (events), or not given (labels)."""
    roles: Roles
    labels: frozenset[str] | None
    """Columns that are labels; None: of a late kind, every column that is no key."""

    @classmethod
    def of(cls, names: Names, roles: Roles, registered_labels: Sequence[str] | None) -> Plan:
        """Return the plan for a source with these columns.

        Raises:
            InvalidArgumentError: A named column is not there, or a late kind is to have features.
        """
        if roles.late is not None and (roles.features or roles.predictions):
            error = InvalidArgumentError(
                "features and predictions of stored events are immutable; publish a corrected prediction with "
                'kind="variants"'
            )
            error.reason = "IMMUTABLE_COLUMN"
            raise error
        named = [roles.event_id, roles.event_time, *(roles.features or ()), *(roles.predictions or ())]
        missing = [name for name in [*named, *(roles.labels or ())] if name is not None and name not in names]
        if missing:
            raise InvalidArgumentError(
                f"the source has no column {', '.join(map(repr, missing))}; it has {list(names)}"
            )
        event_id = roles.event_id or ("event_id" if "event_id" in names else None)
        if event_id is None and roles.late not in {None, batch_pb2.RECORD_KIND_METRICS}:
            raise InvalidArgumentError("late rows need the ids of their events: name the column with event_id=")
        event_time = roles.event_time or ("event_time" if "event_time" in names else None)
        labels: frozenset[str] | None = None
        if roles.labels is not None:
            labels = frozenset(roles.labels)
        elif roles.late is None:
            labels = frozenset(registered_labels or ()) & frozenset(names)
        return cls(event_id, event_time, roles, labels)

    def event_columns(self, names: Names) -> Mapping[str, str]:
        """Return source name → wire name of what goes into a batch of events."""
        columns = self._keys(names)
        chosen = {*(self.roles.features or ()), *(self.roles.predictions or ())}
        for name in names:
            if name in columns or (self.labels and name in self.labels):
                continue
            if name in chosen:
                columns[name] = wire_name(name)
            elif not chosen or name in EVENT_NAMES:
                columns[name] = name
        return columns

    def late_columns(self, names: Names) -> Mapping[str, str]:
        """Return source name → wire name of what goes into a batch of labels or of another late kind."""
        columns = self._keys(names)
        for name in names:
            if name in columns:
                continue
            if self.labels is not None and name in self.labels:
                columns[name] = wire_name(name)
            elif self.roles.late is not None and (self.labels is None or name in _LABEL_SYSTEM_COLUMNS):
                columns[name] = name
        return columns

    def label_names(self, names: Names) -> Names:
        """Return the label columns among `names`."""
        return [name for name in names if self.labels and name in self.labels]

    def _keys(self, names: Names) -> dict[str, str]:
        keys = {self.event_id: "event_id", self.event_time: "event_time"}
        return {name: wire for name, wire in keys.items() if name is not None and name in names}
