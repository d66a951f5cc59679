# ruff: noqa: PLC0415
"""The settings for a verb, or the end of the process with every fault named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrace_server.cli.failure import MISUSED, fail

if TYPE_CHECKING:
    from headrace_server.config import Database, Loaded
    from headrace_server.storage.embedded import EmbeddedSettings


def loaded(config: Path | None, flags: Mapping[str, object]) -> Loaded:
    """Return the settings in force."""
    from headrace_server.config import SettingsError, load

    try:
        return load(flags=flags, file=config)
    except SettingsError as error:
        fail(error, MISUSED)


def embedded(database: Database) -> EmbeddedSettings:
    """Return the settings of the embedded database."""
    from headrace_server.storage.embedded import EmbeddedSettings

    return EmbeddedSettings(
        data_dir=database.data_dir,
        port=database.port,
        runtime_dir=database.runtime_dir,
        ballast_bytes=database.ballast_bytes,
    )
