"""Lets a group's COPY leave in one write: the send buffer of a unix socket to the database.

In: an open asyncpg connection. By default a unix socket holds 208 KiB, so the bytes of a group (1 MB and more) leave in
several writes, and before each the database waits until our event loop comes round. TCP's buffers grow by themselves.
"""

import socket

import asyncpg

SEND_BUFFER_BYTES = 4 * 1024 * 1024  # the kernel gives no more than its net.core.wmem_max


def widen(connection: asyncpg.Connection) -> None:
    """Have the connection's socket hold more, if it is a unix socket."""
    peer = connection._transport.get_extra_info("socket")  # noqa: SLF001 — asyncpg offers no other way to it
    if peer.family == socket.AF_UNIX:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
