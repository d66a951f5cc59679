"""Databases that no service has seen yet."""

from __future__ import annotations

import pytest


@pytest.fixture
def database_url(blank_database_url: str) -> str:
    """URL of a new database with the timescaledb extension and nothing else."""
    return blank_database_url
