"""A replica's write path over a migrated database, and the refresh that a test calls by hand."""

from __future__ import annotations

import pytest

from headrace_server.models.registry import Registry
from headrace_server.rollups.refresh import Refresh
from headrace_server.storage.pool import Connect
from support.replica_fixtures import connection, opened, registry, service

__all__ = ["connection", "opened", "registry", "service"]


@pytest.fixture
def refresh(opened: Connect, registry: Registry) -> Refresh:
    return Refresh(opened, registry, longest_turn_s=60.0)
