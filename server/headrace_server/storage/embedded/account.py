"""Whom PostgreSQL runs as: it refuses root, so a service started by root hands it to an unprivileged account.

Taken is, in order: the owner of the data that is there already, `headrace`, `postgres`, `nobody`. It must be an account
that has a name, because initdb refuses a bare number. Anyone but root runs PostgreSQL as themselves.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from headrace_server.storage.embedded.errors import DataDirectoryError, EmbeddedDatabaseError

CANDIDATES = ("headrace", "postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this machine that is not root."""

    name: str
    uid: int
    gid: int


def database_account(cluster: Path) -> Account | None:
    """Return the account that PostgreSQL runs as, or None for our own.

    Args:
        cluster: PostgreSQL's own folder; its owner is taken when it exists.

    Raises:
        EmbeddedDatabaseError: There is no account to use.
    """
    if os.geteuid() != 0:
        _named(os.geteuid())
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return _named(owner)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedDatabaseError(
        f"PostgreSQL refuses to run as root, and this machine has none of the accounts {', '.join(CANDIDATES)}:"
        " add one with `useradd --system headrace`"
    )


def _named(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise EmbeddedDatabaseError(
            f"PostgreSQL cannot run as the user id {uid}, which has no account on this machine:"
            " add a line for it to /etc/passwd"
        ) from error
    return Account(entry.pw_name, uid, entry.pw_gid)


def require_reach(account: Account | None, folder: Path) -> None:
    """See that `account` can get to `folder`, which exists.

    Raises:
        DataDirectoryError: A folder on the way is closed to it.
    """
    if account is None:
        return
    for step in [*reversed(folder.resolve().parents), folder.resolve()]:
        status = step.stat()
        if status.st_uid == account.uid:
            open_to_it = status.st_mode & 0o100
        elif status.st_gid == account.gid:
            open_to_it = status.st_mode & 0o010
        else:
            open_to_it = status.st_mode & 0o001
        if not open_to_it:
            raise DataDirectoryError(
                f"PostgreSQL runs as {account.name} (it refuses root), which cannot enter {step}"
                f" on the way to {folder}: choose a folder that it can reach, or `chmod o+x {step}`"
            )
