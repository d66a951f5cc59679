"""The embedded database: a private PostgreSQL with TimescaleDB that the service finds or makes, owns, and stops."""

from headrace_server.storage.embedded.configuration import MAX_CONNECTIONS
from headrace_server.storage.embedded.database import EmbeddedDatabase
from headrace_server.storage.embedded.diagnosis import Finding, diagnose
from headrace_server.storage.embedded.errors import (
    DataDirectoryError,
    DataDirectoryInUseError,
    EmbeddedDatabaseError,
    PortInUseError,
    RuntimeUnavailableError,
    StartFailedError,
    StopFailedError,
    WrongMajorVersionError,
)
from headrace_server.storage.embedded.location import EmbeddedLocation, locate
from headrace_server.storage.embedded.settings import EmbeddedSettings

__all__ = [
    "MAX_CONNECTIONS",
    "DataDirectoryError",
    "DataDirectoryInUseError",
    "EmbeddedDatabase",
    "EmbeddedDatabaseError",
    "EmbeddedLocation",
    "EmbeddedSettings",
    "Finding",
    "PortInUseError",
    "RuntimeUnavailableError",
    "StartFailedError",
    "StopFailedError",
    "WrongMajorVersionError",
    "diagnose",
    "locate",
]
