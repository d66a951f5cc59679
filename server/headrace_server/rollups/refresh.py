"""The refresh: brings roll-ups up to date where rows came since it last looked.

Every transaction that stores rows notes the hours that they lie in (copying/touched.py). Here the notes of one model
and one day are deleted, and what they touch is counted anew, in one transaction: if it fails, the notes are back.
What a note speaks of was committed with it, so the count, which begins after the deletion, sees those rows; what is
committed later has left a note of its own. The newest days come first, and a turn ends after a while.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from time import monotonic

import asyncpg
import structlog

from headrace_server.copying.connection import Connect, Connection, transaction
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.rollups import profiles, volume
from headrace_server.rollups.span import Span, runs_of_hours
from headrace_server.rollups.views import make_views

log = structlog.get_logger(__name__)

LONGEST_TURN_S = 20.0
LONGEST_DAY_S = 600  # to refresh one day of one model
DAYS_AT_ONCE = 500

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
_SETTINGS = f"SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '{LONGEST_DAY_S}s'"


class Refresh:
    """Refreshes the roll-ups of all models.

    Args:
        connect: Opens a connection for a model's views.
        registry: The models.
    """

    def __init__(self, connect: Connect, registry: Registry) -> None:
        self._connect = connect
        self._registry = registry
        self._with_views: set[tuple[str, str]] = set()

    async def turn(self, connection: Connection) -> int:
        """Refresh what was touched, as far as a turn goes; returns how many days of models.

        Args:
            connection: Not in a transaction. Of all replicas only one may do this at a time.

        Raises:
            asyncpg.PostgresError, OSError, DatabaseUnavailableError: The connection is lost; what was done stands.
        """
        deadline = monotonic() + LONGEST_TURN_S
        done = 0
        for project, name, day in await connection.fetch(_TOUCHED, DAYS_AT_ONCE):
            if monotonic() > deadline:
                break
            try:
                await self._refresh(connection, project, name, day)
            except (asyncpg.PostgresError, TimeoutError) as error:
                # A chunk was dropped underneath, a lock was not had: the next turn tries again, other days go on.
                if connection.is_closed():
                    raise
                log.warning("rollups_not_refreshed", project=project, model=name, day=str(day), error=repr(error))
            done += 1
        return done

    async def _refresh(self, connection: Connection, project: str, name: str, day: date) -> None:
        model = await self._registry.get(project, name)
        if model is not None and (project, name) not in self._with_views:
            await make_views(self._connect, model)
            self._with_views.add((project, name))
        async with transaction(connection):
            await connection.execute(_SETTINGS)
            touched = {row[0]: row[1] for row in await connection.fetch(_TAKE, project, name, day)}
            if model is None or _is_expired(model, day):
                return
            for statement in _statements(model, day, touched):
                await connection.execute(statement, timeout=LONGEST_DAY_S)


def _statements(model: ModelSchema, day: date, touched: dict[str, int]) -> Iterable[str]:
    """What to do for the touched hours of a day, by kind of row."""
    whole = Span.of_day(day)
    if "EVENTS" in touched:
        for span in runs_of_hours(day, touched["EVENTS"]):
            yield from volume.hours(model, span)
            yield from profiles.hours(model, span)
        yield from volume.day(model, whole)
        yield from profiles.day(model, whole)


def _is_expired(model: ModelSchema, day: date) -> bool:
    """Whether events of the day may be dropped already: then what was rolled up of them stays as it is."""
    return model.expiry is not None and Span.of_day(day).start < datetime.now(UTC) - model.expiry
