"""The database's own doors: a role that reads one project, and a service whose role is no superuser."""

from __future__ import annotations

import asyncpg
import pytest

from headrace_server.access.audit import Actor
from headrace_server.access.projects import create_project
from headrace_server.access.readers import renew_reader
from headrace_server.errors import ProjectDeniedError
from support.service import running_service
from support.wire_client import events, json_batch, wire_client

OPERATOR = Actor("test", "here")


def as_role(database_url: str, role: str) -> str:
    changed = database_url.replace("headrace@", f"{role}@", 1)
    assert changed != database_url
    return changed


async def test_a_service_whose_role_is_no_superuser_serves_and_its_readers_see_their_project_alone(
    blank_database_url: str,
) -> None:
    superuser = await asyncpg.connect(blank_database_url)
    name = await superuser.fetchval("SELECT current_database()")
    writer = f"writer_{name}"
    await superuser.execute(f'CREATE ROLE {writer} LOGIN CREATEROLE; ALTER DATABASE "{name}" OWNER TO {writer}')
    reader = ""
    try:
        async with running_service(as_role(blank_database_url, writer)) as service, wire_client(service.grpc) as client:
            owner = await asyncpg.connect(as_role(blank_database_url, writer))
            assert await create_project(owner, "Other", OPERATOR) == "other"
            assert await create_project(owner, "other", OPERATOR) is None
            await client.register()
            await client.register(project="other")
            with pytest.raises(ProjectDeniedError):
                await renew_reader(owner, "nowhere", OPERATOR)
            reader, password = await renew_reader(owner, "main", OPERATOR)
            assert (await renew_reader(owner, "main", OPERATOR))[1] != password
            await client.register("later")
            for model in ("flight_delay", "later"):
                for project in ("main", "other") if model == "flight_delay" else ("main",):
                    await client.publish(json_batch(events(3), model=model), project=project)
            chunk = await owner.fetchval(
                "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks"
                " WHERE hypertable_schema = 'other'"
            )
            reading = await asyncpg.connect(as_role(blank_database_url, reader))
            for table in ("main.flight_delay", "main.later", "main.flight_delay_joined", "main.flight_delay_labels"):
                assert await reading.fetchval(f"SELECT count(*) FROM {table}") in {0, 3}
            for table in ("other.flight_delay", "headrace.api_keys", "headrace.projects", "headrace.audit_log", chunk):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await reading.fetchval(f"SELECT count(*) FROM {table}")
            await reading.execute("SET default_transaction_read_only = off")
            for statement in (
                "DELETE FROM main.flight_delay",
                "CREATE TABLE main.mine (a int)",
                "SET ROLE headrace",
                "SELECT drop_chunks('main.flight_delay', now())",
            ):
                with pytest.raises(asyncpg.PostgresError):
                    await reading.execute(statement)
            await reading.close()
            await owner.close()
    finally:
        for role in filter(None, (reader, writer)):
            await superuser.execute(f"REASSIGN OWNED BY {role} TO headrace; DROP OWNED BY {role}; DROP ROLE {role}")
        await superuser.close()
