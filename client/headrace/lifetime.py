"""Clients and their process: what happens at its end and when it forks.

At exit, clients that were not closed are drained for exit_timeout_s each, and what stays without an ack is warned of
with its number. In a forked child every client begins empty, under new producer ids, with no thread and no connection
of the parent, which is undisturbed. gRPC itself survives a fork only with GRPC_ENABLE_FORK_SUPPORT in the environment
before it is first imported; `headrace/__init__.py` sets it.
"""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

from headrace.errors import UnackedError

if TYPE_CHECKING:
    from headrace.client import Client

logger = logging.getLogger("headrace")

_clients: set[Client] = set()
"""Clients that are not closed. They are held: one that its user lets go of may still have rows to deliver."""


def watch(client: Client) -> None:
    """Have `client` drained at exit and renewed after a fork."""
    _clients.add(client)


def forget(client: Client) -> None:
    """`client` is closed."""
    _clients.discard(client)


def _drain_all() -> None:
    for client in list(_clients):
        try:
            client.close(client.settings.exit_timeout_s)
        except UnackedError as error:
            logger.warning("the process ends with %d rows unacknowledged: %s", error.rows, error)


def _renew_all_in_child() -> None:
    for client in list(_clients):
        client.after_fork_in_child()


atexit.register(_drain_all)
os.register_at_fork(after_in_child=_renew_all_in_child)
