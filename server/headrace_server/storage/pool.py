"""Opens every connection of the service: single ones for copiers, DDL and LISTEN, a small pool for the rest.

In: a database URL and the name of this process. Out: asyncpg connections whose sessions all promise the same: commits
are durable (`synchronous_commit=on`), times are UTC, `pg_stat_activity` shows `headrace/<instance>`, nothing waits for
ever. They are given as start-up parameters: those outrank what the role or the database has set, and survive RESET ALL.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from headrace_server.storage import keepalive, send_buffer

APPLICATION = "headrace"
CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0

_EPOCH_2000_MICROS = 946_684_800_000_000  # what PostgreSQL counts from

# How the rooms above ask for a connection of their own: the composition root binds URL and instance to `connect`.
Connect = Callable[[], Awaitable[asyncpg.Connection]]


async def connect(
    url: str,
    *,
    instance: str,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
) -> asyncpg.Connection:
    """Open one connection to the server that takes writes.

    Args:
        url: `postgresql://…`; several hosts may be named, the primary among them is taken.
        instance: Name of this process among the replicas.
        connect_timeout_s: Longest wait for the session to stand.
        command_timeout_s: Longest run of one statement, COPY included; a call may override it.

    Raises:
        OSError: The server cannot be reached.
        TimeoutError: It did not answer in time.
        asyncpg.PostgresError: It refused.
    """
    connection = await asyncpg.connect(url, **_session(instance, connect_timeout_s, command_timeout_s))
    keepalive.arm(connection)
    send_buffer.widen(connection)
    return connection


async def create_pool(
    url: str,
    *,
    instance: str,
    size: int = 4,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
) -> asyncpg.Pool:
    """Open a pool of the same connections, for short statements; acquire with a timeout.

    Args:
        url: As for `connect`.
        instance: As for `connect`.
        size: Most connections at once; they are opened when wanted, and closed after 5 idle minutes.
        connect_timeout_s: As for `connect`.
        command_timeout_s: As for `connect`.

    Raises:
        OSError: The server cannot be reached.
        TimeoutError: It did not answer in time.
        asyncpg.PostgresError: It refused.
    """

    async def prepare(connection: asyncpg.Connection) -> None:
        keepalive.arm(connection)

    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        max_inactive_connection_lifetime=300.0,
        init=prepare,
        **_session(instance, connect_timeout_s, command_timeout_s),
    )


async def create_reading_pool(
    url: str,
    *,
    instance: str,
    size: int,
    statement_timeout_s: float,
    idle_timeout_s: float,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> asyncpg.Pool:
    """Make a pool for reading alone; connections are opened when wanted, so an unread database costs nothing.

    It is the primary that is read, so that what was acked is seen. Times come and go as microseconds since 1970:
    datetime knows fewer years than PostgreSQL, and is slower.

    Args:
        url: As for `connect`.
        instance: As for `connect`.
        size: Most connections at once.
        statement_timeout_s: Longest run of one statement, or of one fetch of a cursor.
        idle_timeout_s: Longest pause between two statements of a transaction, whose snapshot vacuum waits for.
        connect_timeout_s: As for `connect`.
    """

    async def prepare(connection: asyncpg.Connection) -> None:
        keepalive.arm(connection)
        await connection.set_type_codec(
            "timestamptz",
            schema="pg_catalog",
            format="tuple",
            encoder=lambda micros: (micros - _EPOCH_2000_MICROS,),
            decoder=lambda parts: parts[0] + _EPOCH_2000_MICROS,
        )

    session = _session(instance, connect_timeout_s, statement_timeout_s + 5.0)
    session["server_settings"] |= {
        "statement_timeout": str(int(statement_timeout_s * 1000)),
        "idle_in_transaction_session_timeout": str(int(idle_timeout_s * 1000) + 5_000),
        # Constants in the plan, whatever a statement was planned for before: chunks are chosen by them.
        "plan_cache_mode": "force_custom_plan",
    }
    return await asyncpg.create_pool(
        url, min_size=0, max_size=size, max_inactive_connection_lifetime=300.0, init=prepare, **session
    )


def _session(instance: str, connect_timeout_s: float, command_timeout_s: float) -> dict[str, Any]:
    # The server's own deadlines come after ours: they end what we can no longer cancel because the network is gone.
    server_deadline_ms = int(command_timeout_s * 1000) + 5_000
    return {
        "timeout": connect_timeout_s,
        "command_timeout": command_timeout_s,
        "target_session_attrs": "read-write",
        "server_settings": {
            "application_name": f"{APPLICATION}/{instance}",
            "timezone": "UTC",
            "synchronous_commit": "on",
            "statement_timeout": str(server_deadline_ms),
            "idle_in_transaction_session_timeout": str(server_deadline_ms),
            "tcp_keepalives_idle": str(keepalive.IDLE_S),
            "tcp_keepalives_interval": str(keepalive.INTERVAL_S),
            "tcp_keepalives_count": str(keepalive.PROBES),
            "tcp_user_timeout": str(keepalive.USER_TIMEOUT_MS),
        },
    }
