"""Makes a dead peer known within half a minute: TCP keepalive and user timeout on a database socket.

In: an open asyncpg connection. Without this a failover that drops packets leaves a read hanging for about 15 minutes
(the kernel's retransmission limit). asyncpg has no setting for it, so the options go onto its socket; unix sockets
need none.
"""

import socket

import asyncpg

IDLE_S = 10
INTERVAL_S = 5
PROBES = 3
USER_TIMEOUT_MS = 30_000

# Not every platform knows every option.
_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE_S),
    ("TCP_KEEPINTVL", INTERVAL_S),
    ("TCP_KEEPCNT", PROBES),
    ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
)


def arm(connection: asyncpg.Connection) -> None:
    """Set the options on the connection's socket."""
    peer = connection._transport.get_extra_info("socket")  # noqa: SLF001 — asyncpg offers no other way to it
    if peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            peer.setsockopt(socket.IPPROTO_TCP, option, value)
