"""The book of administrative acts: who did what, when, and from where.

No act without its line: acts on keys, projects and readers are written in their own transaction, every other RPC that
needs the scope admin before it is begun, and again when it has ended (access/audit_trail.py). What producers do all day
(sending rows, registering what they serve) is not in it: the ledger and the registry have that.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True)
class Actor:
    """Who acts.

    Attributes:
        name: `key:<id>`, or `cli:<account of the system>`.
        origin: Where the act came from: the peer's address, or the machine's name.
    """

    name: str
    origin: str


@dataclass(frozen=True)
class Act:
    """What was done.

    Attributes:
        name: The act, as a verb: `create_key`.
        project: The project it concerns.
        subject: What it was done to: a key's id, a model's name.
        details: Further facts, without secrets.
    """

    name: str
    project: str
    subject: str
    details: Mapping[str, object] = field(default_factory=dict)


async def record(
    connection: "asyncpg.Connection[asyncpg.Record]", actor: Actor, act: Act, outcome: str = "done"
) -> int:
    """Write an act down, by default as done, in the transaction that does it; returns the line's id."""
    line: int = await connection.fetchval(
        """
        INSERT INTO headrace.audit_log (actor, origin, act, project, subject, details, outcome)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
        """,
        actor.name,
        actor.origin,
        act.name,
        act.project,
        act.subject,
        json.dumps(act.details, default=str),
        outcome,
    )
    return line


async def conclude(connection: "asyncpg.Connection[asyncpg.Record]", line: int, outcome: str) -> None:
    """Write down how an act ended."""
    await connection.execute("UPDATE headrace.audit_log SET outcome = $2 WHERE id = $1", line, outcome)
