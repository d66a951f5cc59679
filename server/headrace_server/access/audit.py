"""The book of administrative acts: who did what, when, and from where.

Written in the transaction of the act itself, so that there is no act without its line. What producers do all day
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


async def record(connection: "asyncpg.Connection[asyncpg.Record]", actor: Actor, act: Act) -> None:
    """Write an act down, in the transaction that does it."""
    await connection.execute(
        """
        INSERT INTO headrace.audit_log (actor, origin, act, project, subject, details)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        actor.name,
        actor.origin,
        act.name,
        act.project,
        act.subject,
        json.dumps(act.details, default=str),
    )
