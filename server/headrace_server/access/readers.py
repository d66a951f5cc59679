"""A role of PostgreSQL for each project, which reads the project's schema and nothing else.

In: a connection of the role that owns the tables, which must be allowed to make roles. Out: the role's name and a new
password. Tables that are made later can be read, too: the grant is one of the schema's defaults.
"""

import secrets

import asyncpg

from headrace_server.access.audit import Act, Actor, record
from headrace_server.errors import ProjectDeniedError
from headrace_server.models.names import quote_identifier, quote_literal

PREFIX = "headrace_read_"
PASSWORD_BYTES = 24
STATEMENT_TIMEOUT = "5min"
CONNECTIONS = 20


async def renew_reader(connection: asyncpg.Connection, project: str, actor: Actor) -> tuple[str, str]:
    """Make the project's reader, or give it a new password; returns its name and the password.

    Args:
        connection: As the owner of the tables.
        project: The project.
        actor: Who wants it.

    Raises:
        ProjectDeniedError: There is no such project.
        asyncpg.InsufficientPrivilegeError: This role may not make others.
    """
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM headrace.projects WHERE name = $1)", project):
        raise ProjectDeniedError(f"there is no project {project!r}")
    role, password = f"{PREFIX}{project}", secrets.token_urlsafe(PASSWORD_BYTES)
    async with connection.transaction():
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
            await connection.execute(f"CREATE ROLE {quote_identifier(role)}")
        await connection.execute(await _rights(connection, quote_identifier(role), project, password))
        await record(connection, actor, Act("renew_reader", project, role))
    return role, password


async def _rights(connection: asyncpg.Connection, role: str, project: str, password: str) -> str:
    schema, database = quote_identifier(project), await connection.fetchval("SELECT quote_ident(current_database())")
    return f"""
        ALTER ROLE {role} LOGIN CONNECTION LIMIT {CONNECTIONS}
            PASSWORD {quote_literal(password)};
        ALTER ROLE {role} SET default_transaction_read_only = on;
        ALTER ROLE {role} SET statement_timeout = '{STATEMENT_TIMEOUT}';
        GRANT CONNECT ON DATABASE {database} TO {role};
        CREATE SCHEMA IF NOT EXISTS {schema};
        GRANT USAGE ON SCHEMA {schema} TO {role};
        GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role};
    """
