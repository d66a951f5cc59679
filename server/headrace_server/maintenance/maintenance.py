"""The turn of whichever replica leads: roll-ups of what was touched, then retention where it is due.

Called after commits, and every half minute. Each step is bounded, in transactions of its own, and one model's trouble
keeps no other from its turn.
"""

from time import monotonic

import asyncpg
import structlog

from headrace_server.copying.connection import Connect, Connection
from headrace_server.copying.leader import Leader
from headrace_server.maintenance.retention import drop_expired
from headrace_server.models.registry import Registry
from headrace_server.rollups.refresh import Refresh

log = structlog.get_logger(__name__)

LOCK = "headrace.maintenance"
EVERY_S = 30.0
GATHER_S = 2.0
RETENTION_EVERY_S = 600.0

_WITH_RETENTION = "SELECT project, sql_name FROM headrace.models WHERE retention IS NOT NULL ORDER BY project, sql_name"


class Maintenance:
    """Maintains while it runs, if no other replica does.

    Args:
        connect: Opens its connection.
        registry: The models.
        every_s: Longest time between two turns.
        gather_s: Time from a call to the turn it asked for.
    """

    def __init__(
        self, connect: Connect, registry: Registry, *, every_s: float = EVERY_S, gather_s: float = GATHER_S
    ) -> None:
        self._registry = registry
        self._refresh = Refresh(connect, registry)
        self._leader = Leader(connect, self.turn, name=LOCK, every_s=every_s, gather_s=gather_s)
        self.wake = self._leader.wake
        self.run = self._leader.run
        self._retention_at = 0.0

    async def turn(self, connection: Connection) -> bool:
        """Do what is due now, for a while; returns whether it left some of it.

        Args:
            connection: Not in a transaction. Of all replicas only one may do this at a time.

        Raises:
            asyncpg.PostgresError, OSError, DatabaseUnavailableError: The connection is lost; what was done stands.
        """
        await self._refresh.turn(connection)
        if monotonic() >= self._retention_at:
            await self.drop_expired(connection)
            self._retention_at = monotonic() + RETENTION_EVERY_S
        return self._refresh.left_off

    async def drop_expired(self, connection: Connection) -> None:
        """Drop what is beyond the retention of any model."""
        for project, name in await connection.fetch(_WITH_RETENTION):
            model = await self._registry.get(project, name)
            if model is None:
                continue
            try:
                await drop_expired(connection, model)
            except asyncpg.PostgresError as error:
                # Somebody reads what is to be dropped: the next turn tries again, other models go on.
                if connection.is_closed():
                    raise
                log.warning("retention_postponed", project=project, model=name, error=repr(error))
