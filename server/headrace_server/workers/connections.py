"""Whether the database takes as many connections as the workers may want; asked before the first of them starts."""

from __future__ import annotations

import asyncpg

from headrace_server.config import Settings
from headrace_server.storage.edition import UnsuitableDatabaseError

A_COPIER = 3  # two that commit in turn, one of the repair lane
POOL = 4  # storage/pool.py
STANDING = 5  # LISTEN, roll-ups and retention, the resolver, the ledger's horizon, one change of a schema
FOR_OTHERS = 10  # psql, jobs, whoever looks on

_ALLOWED = """
    SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int
"""


def most_connections(share: Settings) -> int:
    """Return how many connections one worker may hold at a time, but for jobs.

    Args:
        share: The worker's settings.
    """
    return A_COPIER * share.batching.copiers + POOL + share.queries.max_concurrent + STANDING


def wanted_connections(share: Settings, workers: int) -> int:
    """Return what `max_connections` has to be for so many workers, with room for others."""
    return workers * most_connections(share) + FOR_OTHERS


async def require_connections(connection: asyncpg.Connection, share: Settings, workers: int) -> None:
    """See that the server allows as many connections as the workers may want.

    Raises:
        UnsuitableDatabaseError: It does not.
    """
    allowed, wanted = await connection.fetchval(_ALLOWED), workers * most_connections(share)
    if wanted > allowed:
        raise UnsuitableDatabaseError(
            f"{workers} workers may hold {wanted} connections to the database ({most_connections(share)} each), which"
            f" allows {allowed}: lower intake.workers, or raise max_connections of the server"
        )
