"""Where the embedded database is, for commands beside the service: looks, changes nothing, waits for nobody.

It works while a service owns the data directory, since all that it needs is remembered in there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.layout import DataDirectory
from headrace_server.storage.embedded.ownership import owner
from headrace_server.storage.embedded.postmaster import Postmaster
from headrace_server.storage.embedded.runtime import find
from headrace_server.storage.embedded.settings import EmbeddedSettings


@dataclass(frozen=True)
class EmbeddedLocation:
    """An embedded database that exists.

    Attributes:
        url: Over the unix socket, for whoever may enter its folder.
        public_url: Over loopback, with the password.
        data_dir: The data directory.
        installation: The PostgreSQL it runs on, with its `psql`; None when that is gone.
        running: Whether it takes connections.
        service_pid: The service that owns it; None when none does.
    """

    url: str
    public_url: str
    data_dir: Path
    installation: Installation | None
    running: bool
    service_pid: int | None


def locate(settings: EmbeddedSettings) -> EmbeddedLocation | None:
    """Return where the database of `settings` is, or None when it was never made or is not ours to read."""
    directory = DataDirectory(settings.data_folder)
    try:
        major = directory.major
        access = directory.read_access()
    except (PermissionError, NotADirectoryError):
        return None
    if major is None or access is None:
        return None
    found = Postmaster(directory).pidfile()
    return EmbeddedLocation(
        url=directory.socket_url(access.port),
        public_url=directory.loopback_url(access),
        data_dir=directory.folder,
        installation=find(settings.runtime_folder, major),
        running=found is not None and found.ready,
        service_pid=owner(directory.lock),
    )
