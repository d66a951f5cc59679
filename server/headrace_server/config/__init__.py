"""Settings: read once, whole, before the first socket, and nowhere else."""

from headrace_server.config.loading import Loaded, SettingsError, load
from headrace_server.config.settings import (
    Batching,
    Database,
    Drain,
    Http,
    Intake,
    Listen,
    Log,
    Models,
    Queries,
    Settings,
    Suggest,
)

__all__ = [
    "Batching",
    "Database",
    "Drain",
    "Http",
    "Intake",
    "Listen",
    "Loaded",
    "Log",
    "Models",
    "Queries",
    "Settings",
    "SettingsError",
    "Suggest",
    "load",
]
