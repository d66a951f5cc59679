"""Drops what is beyond a model's retention: chunks of its events with those of all that belongs to them.

Rows older than retention + one chunk are refused before their COPY (validation/row_rules.py), so no chunk that is
dropped here can be written to: a chunk goes only when all of it is older than that. An hour lies between the two, for
batches that were checked and wait. What was rolled up of dropped events stays.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from headrace_server.copying.connection import Connection, transaction
from headrace_server.models.late_tables import inbox_table, late_specs_of, settled_table
from headrace_server.models.names import qualified
from headrace_server.models.schema import ModelSchema

log = structlog.get_logger(__name__)

MOST_DROPPED = 64  # spans of time in one turn
WAITING_ROWS = timedelta(hours=1)
WAITING_GONE_AT_ONCE = 10_000

_SPANS = """
SELECT DISTINCT range_end FROM timescaledb_information.chunks
WHERE hypertable_schema = $1 AND hypertable_name = ANY($2::text[]) AND range_end <= $3 ORDER BY range_end LIMIT $4
"""


async def drop_expired(connection: Connection, model: ModelSchema) -> int:
    """Drop what is expired of a model; returns how many spans of chunks went.

    Args:
        connection: Not in a transaction, with a lock_timeout.
        model: The model.

    Raises:
        asyncpg.LockNotAvailableError: Somebody reads what is to be dropped; what went before stays dropped.
    """
    if model.expiry is None:
        return 0
    before = datetime.now(UTC) - model.expiry - WAITING_ROWS
    late = late_specs_of(model)
    names = sorted([model.sql_name, *(settled_table(model, spec).name for spec in late)])
    spans = [row[0] for row in await connection.fetch(_SPANS, model.project, names, before, MOST_DROPPED)]
    for end in spans:
        await _drop(connection, (qualified(model.project, name) for name in names), end)
    if spans:
        log.info("retention", project=model.project, model=model.sql_name, dropped_through=spans[-1].isoformat())
    for spec in late:
        await _forget_waiting(connection, inbox_table(model, spec).qualified, before)
    return len(spans)


async def _drop(connection: Connection, tables: Iterable[str], end: datetime) -> None:
    """Drop the chunks of all tables that end at a time or before, in one transaction."""
    async with transaction(connection):
        for table in tables:
            await connection.execute(_DROP, table, end)


_DROP = "SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz)"


async def _forget_waiting(connection: Connection, inbox: str, before: datetime) -> None:
    """Delete rows that wait for an event which can never come any more."""
    gone = WAITING_GONE_AT_ONCE
    while gone == WAITING_GONE_AT_ONCE:
        status = await connection.execute(
            f"DELETE FROM {inbox} WHERE inbox_id IN"  # noqa: S608 - quoted
            f" (SELECT inbox_id FROM {inbox} WHERE event_time < $1 LIMIT {WAITING_GONE_AT_ONCE})",
            before,
        )
        gone = int(status.rpartition(" ")[2])
