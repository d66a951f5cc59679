"""What would become of a batch if it were committed now: the verdicts of the real path, and nothing written.

The landings look for repeats and for events as they do when they store; what they stage goes with the rollback. Only
what PostgreSQL itself would refuse while storing is not known.
"""

import asyncio

from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch
from headrace_server.copying.connection import Connection
from headrace_server.copying.group import landing_of
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.transaction import outcomes_of


async def foresee(connection: Connection, batch: PendingBatch) -> result_pb2.BatchResult:
    """Return the result that a batch would be answered with.

    Args:
        connection: Any connection to the database, not in a transaction.
        batch: The batch; it stays unsettled.

    Raises:
        asyncpg.PostgresError, OSError: As every statement.
    """
    landed: list[tuple[GroupRows, Landed]] = []
    # A model that only would come to be (revision 0) has no tables to look into.
    if batch.target is not None and len(batch.places) and landing_of(batch).revision:
        rows = await asyncio.to_thread(GroupRows.of, [batch])
        looking = connection.transaction(isolation="read_committed")
        await looking.start()
        try:
            landed.append((rows, await landing_of(batch).foresee(connection, rows)))
        finally:
            if not connection.is_closed():
                await looking.rollback()
    return (await outcomes_of([batch], landed))[batch].result(batch)
