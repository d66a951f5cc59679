"""What a caller may choose about the embedded database, and where things lie when nothing is chosen.

As root everything lies under /var/lib/headrace, because PostgreSQL refuses to run as root and the account that it runs
under instead cannot reach below /root (0700). For anyone else it lies under the user's data directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT_HOME = Path("/var/lib/headrace")


def _home() -> Path:
    if os.geteuid() == 0:
        return ROOT_HOME
    data_home = os.environ.get("XDG_DATA_HOME", "")
    # The XDG rules: a relative path in the variable is to be ignored.
    base = Path(data_home) if data_home.startswith("/") else Path.home() / ".local" / "share"
    return base / "headrace"


@dataclass(frozen=True)
class EmbeddedSettings:
    """Choices for one embedded database; the defaults serve a laptop and a small server alike.

    Attributes:
        data_dir: Folder that holds the data and is owned by one service at a time. Default: `/var/lib/headrace/data`
            as root, else `$XDG_DATA_HOME/headrace/data` (`~/.local/share/headrace/data`).
        port: Loopback TCP port. Default: a free one is chosen once and remembered in the data directory.
        runtime_dir: Folder for the private PostgreSQL, about 130 MB. Default: `runtime` beside the default data folder.
        ballast_bytes: Size of the file that is given up to recover from a full disk; 0 for none.
        server_settings: PostgreSQL settings that override ours, e.g. `{"shared_buffers": "2GB"}`.
        start_timeout_s: Longest wait for the database to answer. Generous: 1 GB of redo after a crash takes 10 s here,
            and many times that on a slow disk.
        stop_timeout_s: Longest wait for a clean end (a last checkpoint), before the database is stopped the hard way.
    """

    data_dir: Path | None = None
    port: int | None = None
    runtime_dir: Path | None = None
    ballast_bytes: int = 256 * 1024 * 1024
    server_settings: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 300.0
    stop_timeout_s: float = 30.0

    @property
    def data_folder(self) -> Path:
        """The data directory that holds, absolute."""
        return (self.data_dir or _home() / "data").absolute()

    @property
    def runtime_folder(self) -> Path:
        """The folder of private runtimes that holds, absolute."""
        return (self.runtime_dir or _home() / "runtime").absolute()
