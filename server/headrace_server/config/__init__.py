"""Settings: read once, whole, before the first socket, and nowhere else."""

from headrace_server.config.loading import Loaded, SettingsError, load
from headrace_server.config.settings import (
    Access,
    Batching,
    Database,
    Drain,
    Http,
    Intake,
    Kafka,
    Listen,
    Log,
    Models,
    Queries,
    Settings,
    Suggest,
    Tls,
)

__all__ = [
    "Access",
    "Batching",
    "Database",
    "Drain",
    "Http",
    "Intake",
    "Kafka",
    "Listen",
    "Loaded",
    "Log",
    "Models",
    "Queries",
    "Settings",
    "SettingsError",
    "Suggest",
    "Tls",
    "load",
]
