"""The refresh: brings roll-ups up to date where rows came since it last looked.

Every transaction that stores rows notes the hours that they lie in (copying/touched.py). Here the notes of one model
and one day are deleted, and what they touch is counted anew, in one transaction: if it fails, the notes are back.
What a note speaks of was committed with it, so the count, which begins after the deletion, sees those rows; what is
committed later has left a note of its own. The newest days come first, and a turn ends after a while.

Where hours are so full that counting them takes long, they are taken one by one, around the day, each in a transaction
of its own with the notes of the others left as they are: whoever waits for it, to alter the table, waits for an hour's
count. The day itself is added up when its last hour is done.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from hashlib import sha256
from time import monotonic
from typing import NamedTuple

import asyncpg
import structlog

from headrace_server.copying.connection import Connect, Connection, transaction
from headrace_server.models.names import qualified
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.rollups import drift, performance, profiles, volume
from headrace_server.rollups.span import Span, next_hours, runs_of_hours
from headrace_server.rollups.views import make_views

log = structlog.get_logger(__name__)

LONGEST_TURN_S = 2.0
LONGEST_DAY_S = 600  # to refresh one day of one model
QUICK_S, SLOW_S = 0.2, 1.0  # to count some hours: more are taken next time, or fewer
DAYS_AT_ONCE = 500

# Kinds of rows by what they change beside the counts of events; MODEL says that the model is measured otherwise now.
COMPARED = frozenset({"EVENTS", "MODEL"})
MEASURED = frozenset({"LABELS", "VARIANTS", "MODEL"})

_TOUCHED = """
SELECT project, model, day FROM headrace.touched_hours GROUP BY project, model, day
ORDER BY day DESC, project, model LIMIT $1
"""
_TAKE = """
WITH taken AS (
    DELETE FROM headrace.touched_hours WHERE project = $1 AND model = $2 AND day = $3 RETURNING kind, hours
)
SELECT kind, bit_or(hours) FROM taken GROUP BY kind
"""
_LEAVE = """
INSERT INTO headrace.touched_hours (project, model, kind, day, hours)
SELECT $1, $2, kind, $3, hours FROM unnest($4::text[], $5::int[]) AS left_over (kind, hours)
"""
# Models that have changed since somebody looked whether they are measured by something else now.
_CHANGED = """
SELECT m.project, m.sql_name, m.revision, r.measured_by, r.baseline_table, d.table_name FROM headrace.models m
LEFT JOIN headrace.rolled_up r ON r.project = m.project AND r.model = m.sql_name
LEFT JOIN headrace.datasets d ON d.project = m.project AND d.model = m.sql_name AND d.name = m.baseline_dataset
WHERE r.revision IS DISTINCT FROM m.revision OR r.baseline_table IS DISTINCT FROM d.table_name
ORDER BY m.project, m.sql_name
"""
_LOOKED = """
INSERT INTO headrace.rolled_up (project, model, revision, measured_by, baseline_table) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (project, model) DO UPDATE SET revision = excluded.revision, measured_by = excluded.measured_by,
    baseline_table = excluded.baseline_table
"""
_ALL_DAYS = """
INSERT INTO headrace.touched_hours (project, model, kind, day, hours)
SELECT project, model, 'MODEL', (bucket AT TIME ZONE 'UTC')::date, 0 FROM headrace.volumes
WHERE project = $1 AND model = $2 AND grain = 'DAY' GROUP BY 1, 2, 4
"""
_SETTINGS = f"SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '{LONGEST_DAY_S}s'"


class Refresh:
    """Refreshes the roll-ups of all models.

    Args:
        connect: Opens a connection for a model's views.
        registry: The models.
        longest_turn_s: Seconds after which a turn begins with no further hours.

    Attributes:
        left_off: Whether the last turn ended before everything was refreshed.
    """

    def __init__(self, connect: Connect, registry: Registry, longest_turn_s: float = LONGEST_TURN_S) -> None:
        self._connect = connect
        self._registry = registry
        self._longest_turn_s = longest_turn_s
        self._with_views: set[tuple[str, str]] = set()
        self._hours_at_once: dict[tuple[str, str], int] = {}
        self._last_hour: dict[tuple[str, str, date], int] = {}
        self.left_off = False

    async def turn(self, connection: Connection) -> int:
        """Refresh what was touched, as far as a turn goes; returns how many days of models it looked at.

        Args:
            connection: Not in a transaction. Of all replicas only one may do this at a time.

        Raises:
            asyncpg.PostgresError, OSError, DatabaseUnavailableError: The connection is lost; what was done stands.
        """
        await self._look_for_changes(connection)
        deadline = monotonic() + self._longest_turn_s
        days, done = await connection.fetch(_TOUCHED, DAYS_AT_ONCE), 0
        self.left_off = len(days) == DAYS_AT_ONCE
        for project, name, day in days:
            if done and monotonic() > deadline:
                self.left_off = True
                break
            try:
                while await self._refresh(connection, project, name, day):
                    if monotonic() > deadline:
                        self.left_off = True
                        break
            except (asyncpg.PostgresError, TimeoutError) as error:
                # A chunk was dropped underneath, a lock was not had: the next turn tries again, other days go on.
                if connection.is_closed():
                    raise
                log.warning("rollups_not_refreshed", project=project, model=name, day=str(day), error=repr(error))
            done += 1
        return done

    async def _look_for_changes(self, connection: Connection) -> None:
        """Note every day of models that are measured by another task, threshold, role or baseline than before."""
        for change in await connection.fetch(_CHANGED):
            model = await self._registry.get(change["project"], change["sql_name"])
            if model is None or model.revision < change["revision"]:
                continue  # the registry hears of it in a moment
            try:
                await _follow(connection, model, change)
            except (asyncpg.PostgresError, TimeoutError) as error:
                # The dataset was completed or dropped underneath: the next turn looks again.
                if connection.is_closed():
                    raise
                log.warning("change_not_followed", project=model.project, model=model.sql_name, error=repr(error))

    async def _refresh(self, connection: Connection, project: str, name: str, day: date) -> bool:
        """Refresh some hours of a day, and the day with the last of them; returns whether there are more."""
        model = await self._registry.get(project, name)
        if model is not None and (project, name) not in self._with_views:
            await make_views(self._connect, model)
            self._with_views.add((project, name))
        begun = monotonic()
        async with transaction(connection):
            await connection.execute(_SETTINGS)
            touched = {row[0]: row[1] for row in await connection.fetch(_TAKE, project, name, day)}
            if model is None or _is_expired(model, day):
                return False
            share = self._share_of(touched, project, name, day)
            if share.left:
                await connection.execute(_LEAVE, project, name, day, list(share.left), list(share.left.values()))
            for statement in _statements(model, day, touched, share):
                await connection.execute(statement, timeout=LONGEST_DAY_S)
        self._learn(project, name, share.hours, monotonic() - begun)
        return not share.with_day

    def _share_of(self, touched: dict[str, int], project: str, name: str, day: date) -> "_Share":
        """The next hours around the day, as many as take no long time."""
        events = touched.get("EVENTS", 0)
        last = self._last_hour.pop((project, name, day), -1)
        hours = next_hours(events, last, self._hours_at_once.get((project, name), 1))
        others = events & ~hours
        if others <= hours:  # none of them comes after these
            return _Share(hours, {"EVENTS": others} if others else {}, with_day=True)
        self._last_hour[project, name, day] = hours.bit_length() - 1
        return _Share(hours, touched | {"EVENTS": others}, with_day=False)

    def _learn(self, project: str, name: str, hours: int, took_s: float) -> None:
        """Take more hours of a model at once while they take no time, and one at a time where they take long."""
        at_once = self._hours_at_once.get((project, name), 1)
        if took_s > SLOW_S:
            self._hours_at_once.pop((project, name), None)
        elif took_s < QUICK_S and hours.bit_count() == at_once:
            self._hours_at_once[project, name] = min(2 * at_once, 24)


class _Share(NamedTuple):
    """What one transaction does of a day."""

    hours: int
    """Hours to count, as bits."""
    left: dict[str, int]
    """Notes that stay, by kind: hours as bits."""
    with_day: bool
    """Whether the day is added up."""


async def _follow(connection: Connection, model: ModelSchema, change: asyncpg.Record) -> None:
    """Profile a model's new baseline, and note its days where they are measured otherwise from now on."""
    by, table = _measured_by(model), change["table_name"]
    async with transaction(connection):
        await connection.execute(_SETTINGS)
        if table != change["baseline_table"]:
            rows = None if table is None else qualified(model.project, table)
            for statement in profiles.baseline(model, rows):
                await connection.execute(statement, timeout=LONGEST_DAY_S)
        if (by, table) != (change["measured_by"], change["baseline_table"]):
            await connection.execute(_ALL_DAYS, model.project, model.sql_name)
        await connection.execute(_LOOKED, model.project, model.sql_name, change["revision"], by, table)


def _statements(model: ModelSchema, day: date, touched: dict[str, int], share: _Share) -> Iterable[str]:
    """What to do for a share of a day, by the kinds of row that have touched it."""
    whole = Span.of_day(day)
    for span in runs_of_hours(day, share.hours):
        yield from volume.hours(model, span)
        yield from profiles.hours(model, span)
    if not share.with_day:
        return
    if "EVENTS" in touched:
        yield from volume.day(model, whole)
        yield from profiles.day(model, whole)
    if touched.keys() & COMPARED:
        yield from drift.day(model, whole)
    if touched.keys() & MEASURED:
        yield from performance.day(model, whole)


def _measured_by(model: ModelSchema) -> str:
    """What decides how a model is measured, beside its rows."""
    roles = {column.sql_name: column.role.name for column in model.columns if column.role is not None}
    task = None if model.task is None else model.task.name
    facts = (task, model.threshold, model.positive_class, model.classes, sorted(roles.items()))
    return sha256(repr(facts).encode()).hexdigest()


def _is_expired(model: ModelSchema, day: date) -> bool:
    """Whether events of the day may be dropped already: then what was rolled up of them stays as it is."""
    return model.expiry is not None and Span.of_day(day).start < datetime.now(UTC) - model.expiry
