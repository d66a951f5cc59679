"""Clients and their process: what happens at its end and when it forks.

At exit, clients that were not closed are drained for exit_timeout_s each, and what stays without an ack is warned of
with its number.

gRPC does not bear a fork while its threads run, so clients leave the network just before one (some milliseconds) and
the parent's reconnect when they have something to send; what was in flight goes again, and the ledger keeps it single.
In the child every client begins empty, under new producer ids, with no thread and no connection of the parent. gRPC's
own part in this needs GRPC_ENABLE_FORK_SUPPORT in the environment before it is first imported; `headrace/__init__.py`
sets it. What runs before a fork runs in the reverse order of registration, so leaving the network is registered behind
gRPC's own handler, which comes with the first channel: see `guard_forks`. Files must not be in the middle of a change
as the process forks; that is seen to last of all, when nobody waits for them any more, so it is registered here, first.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from headrace.deadline import Deadline
from headrace.errors import UnackedError

if TYPE_CHECKING:
    from headrace.client import Client

logger = logging.getLogger("headrace")

_FORK_TIMEOUT_S = 2.0

_clients: set[Client] = set()
"""Clients that are not closed. They are held: one that its user lets go of may still have rows to deliver."""


def watch(client: Client) -> None:
    """Have `client` drained at exit and renewed after a fork."""
    _clients.add(client)


def forget(client: Client) -> None:
    """`client` is closed."""
    _clients.discard(client)


class Files(Protocol):
    """Whoever writes files."""

    def hold_still(self) -> None:
        """Begin no change, and finish the one that has begun: the process forks."""

    def go_on(self) -> None:
        """It has forked; called in the parent alone."""


_files: weakref.WeakSet[Files] = weakref.WeakSet()


def still_over_forks(files: Files) -> None:
    """Have `files` hold still while the process forks, as long as it is in use."""
    _files.add(files)


def _hold_files() -> None:
    _guard.held = list(_files)
    for files in _guard.held:
        files.hold_still()


def _release_files() -> None:
    held, _guard.held = _guard.held, []
    for files in held:
        files.go_on()


def _drain_all() -> None:
    for client in list(_clients):
        try:
            client.close(client.settings.exit_timeout_s)
        except UnackedError as error:
            logger.warning("the process ends with %d rows unacknowledged: %s", error.rows, error)


def _before_fork() -> None:
    deadline = Deadline(_FORK_TIMEOUT_S)
    for client in list(_clients):
        client.before_fork(deadline)


def _after_fork_in_parent() -> None:
    for client in list(_clients):
        client.after_fork_in_parent()


def _after_fork_in_child() -> None:
    _guard.lock = threading.Lock()
    _guard.held = []
    _files.clear()  # the parent's
    for client in list(_clients):
        client.after_fork_in_child()


def guard_forks() -> None:
    """Have clients leave the network before each fork. To be called when the first gRPC channel has been made."""
    with _guard.lock:
        if not _guard.is_set:
            os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
            _guard.is_set = True


class _Guard:
    """Whether forks are guarded, and what holds still for one; a fork inherits the registration."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_set = False
        self.held: list[Files] = []


_guard = _Guard()
os.register_at_fork(before=_hold_files, after_in_parent=_release_files)
atexit.register(_drain_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
