"""`headrace orphans` beside a database, without a service."""

import os
import subprocess
import sys
from functools import partial

from headrace_server.models.registry import Registry
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import connect, create_pool
from support.model_definitions import flights, label
from support.write_path import LABELS, VARIANTS, running_write_path


def orphans(folder, database_url, *arguments):
    """Run `headrace orphans …` on the database; returns the finished process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment |= {"COLUMNS": "200", "HEADRACE_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "headrace_server", "orphans", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_what_waits_for_its_event_is_listed_by_kind_and_age(database_url, tmp_path):
    opened = partial(connect, database_url, instance="test")
    connection = await opened()
    await migrate(connection)
    await connection.close()
    async with await create_pool(database_url, instance="test", size=2) as pool:
        registry = Registry(pool, opened)
        await registry.register("main", flights())
        assert "nothing of flight_delay waits" in orphans(tmp_path, database_url, "flight_delay").stdout
        await registry.update("main", "flight_delay", [label("late")])
        async with running_write_path(registry, opened) as path:
            await path.send(LABELS, [{"event_id": "UA1", "late": True, "source": "radar"}])
            await path.send(VARIANTS, [{"event_id": "UA2", "variant": "shadow", "score": 0.5}])
    listed = orphans(tmp_path, database_url, "Flight Delay")
    assert listed.returncode == 0, listed.stderr
    rows = [line.split() for line in listed.stdout.splitlines() if line.strip()]
    assert ["labels", "1"] in [row[:2] for row in rows]
    assert ["labels", "UA1", "–", "radar"] in [row[:4] for row in rows]
    assert ["variants", "UA2", "–", "–"] in [row[:4] for row in rows]
    missing = orphans(tmp_path, database_url, "nothing")
    assert missing.returncode == 1
    assert "there is no model 'nothing'" in missing.stderr
