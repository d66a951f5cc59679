"""A replica that is frozen while it holds a model's inbox: others free it, for labels and for events alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from headrace_server.copying import frozen, line
from headrace_server.joining import inbox
from headrace_server.joining.tables import LateTables
from headrace_server.models import late_tables
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect, connect
from support.label_rows import event
from support.write_path import EVENTS, LABELS, running_write_path

IDS = [f"e{number}" for number in range(5)]
EVENT_ROWS = [event(event_id) for event_id in IDS]
LABEL_ROWS = [{"event_id": event_id, "late": True} for event_id in IDS]
SESSIONS = "SELECT array_agg(application_name::text) FROM pg_stat_activity WHERE application_name LIKE 'headrace/%'"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "FROZEN_AFTER_S", 1)
    monkeypatch.setattr(frozen, "LOOK_AGAIN_S", 0.2)
    monkeypatch.setattr(line, "LOCK_TIMEOUT_MS", 500)


@asynccontextmanager
async def holding(registry: Registry, database_url: str) -> AsyncIterator[None]:
    """A replica that has stopped with the inbox in its hands, and one that has a transaction nobody waits for."""
    model = await registry.get("main", "flight_delay")
    assert model is not None
    stopped, uploading = [await connect(database_url, instance=name) for name in ("stopped", "uploading")]
    await stopped.execute("BEGIN")
    await inbox.lock(stopped, LateTables.of(model, late_tables.LABELS))
    await uploading.execute("SELECT pg_advisory_lock(4711); BEGIN; CREATE TABLE main.part (number int)")
    try:
        yield
    finally:
        for each in (stopped, uploading):
            each.terminate()


@pytest.mark.parametrize("are_events", [False, True], ids=["labels", "events"])
async def test_a_frozen_replica_loses_the_inbox(
    registry: Registry, opened: Connect, connection: asyncpg.Connection, database_url: str, are_events: bool
) -> None:
    async with running_write_path(registry, opened, copiers=1) as path:
        await path.send(*((LABELS, LABEL_ROWS) if are_events else (EVENTS, EVENT_ROWS)))
        async with holding(registry, database_url):
            for row in EVENT_ROWS if are_events else LABEL_ROWS:
                assert (await path.send(EVENTS if are_events else LABELS, [row])).stored == 1
            sessions = await connection.fetchval(SESSIONS)
            assert "headrace/stopped" not in sessions
            assert "headrace/uploading" in sessions
