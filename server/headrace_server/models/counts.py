"""How many models and columns a project may have: held where they are made, in the same transaction.

The project's line is locked, so that two makers on two replicas do not both take the last place; only for a project
that has such a quota.
"""

import asyncpg

from headrace_server.errors import QuotaReachedError

_QUOTAS = """
    SELECT max_models, max_columns FROM headrace.projects
    WHERE name = $1 AND num_nonnulls(max_models, max_columns) > 0 FOR NO KEY UPDATE
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM headrace.models WHERE project = $1) AS models,
           (SELECT count(*) FROM headrace.model_columns WHERE project = $1) AS columns
"""


async def check_counts(connection: asyncpg.Connection, project: str, *, models: int, columns: int) -> None:
    """Let pass a change that keeps the project within its quotas; in the transaction of the change.

    Args:
        connection: In the transaction.
        project: The project.
        models: How many more there will be.
        columns: How many more there will be.

    Raises:
        QuotaReachedError: There would be too many.
    """
    quotas = await connection.fetchrow(_QUOTAS, project)
    if quotas is None:
        return
    counts = await connection.fetchrow(_COUNTS, project)
    for name, more in (("models", models), ("columns", columns)):
        most, would_be = quotas[f"max_{name}"], counts[name] + more
        if more > 0 and most is not None and would_be > most:
            text = f"the project would have {would_be} {name}, its quota is {most}"
            raise QuotaReachedError(text, project=project, quota=name)
