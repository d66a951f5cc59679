"""The keys as the database has them: made, listed, replaced, revoked, each act with its line in the audit log.

In: a connection, and who acts. Out: keys without their secrets, and the text of a new one, which exists nowhere else.
Every change is announced by a trigger of the table, one made by hand in SQL as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from headrace_server.access.audit import Act, Actor, record
from headrace_server.access.key_text import KeyText, new_key_text
from headrace_server.access.scope import Scope
from headrace_server.errors import KeyInvalidError, KeyNotFoundError, ProjectDeniedError

if TYPE_CHECKING:
    import asyncpg

CHANNEL = "headrace_keys"
LONGEST_NAME = 128
LONGEST_OVERLAP = timedelta(days=30)
MOST_LISTED = 1_000

_COLUMNS = "id, project, name, scopes, hash, created_at, expires_at, revoked_at, last_used_at"


@dataclass(frozen=True)
class Key:
    """A key, without its secret.

    Attributes:
        hash: What is kept of the secret.
        expires_at: When it ends by itself; None: never.
        revoked_at: When it was revoked; None: it was not.
        last_used_at: When it was last seen, to within a minute.
    """

    id: str
    project: str
    name: str
    scopes: frozenset[Scope]
    hash: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def left_s(self) -> float | None:
        """Seconds for which it is good still, 0 when it has ended; None: for ever."""
        if self.revoked_at is not None:
            return 0.0
        if self.expires_at is None:
            return None
        return max(0.0, (self.expires_at - datetime.now(UTC)).total_seconds())


@dataclass(frozen=True)
class NewKey:
    """What a key shall be.

    Attributes:
        expires_at: When it ends by itself; None: never.
    """

    project: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None

    def check(self) -> None:
        """Let pass what can be.

        Raises:
            KeyInvalidError: It cannot.
        """
        faults = {}
        if not self.name.strip() or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            faults["name"] = f"must have 1 to {LONGEST_NAME} printable characters"
        if not self.scopes:
            faults["scopes"] = f"must hold at least one of {', '.join(Scope)}"
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            faults["expires_at"] = "must be in the future"
        if faults:
            field, fault = next(iter(faults.items()))
            raise KeyInvalidError(f"{field}: {fault}", fields=faults)


async def create_key(
    connection: "asyncpg.Connection[asyncpg.Record]", wanted: NewKey, actor: Actor
) -> tuple[KeyText, Key]:
    """Make a key of a project.

    Raises:
        KeyInvalidError: The name, the scopes or the time cannot be.
        ProjectDeniedError: There is no such project.
    """
    wanted.check()
    async with connection.transaction():
        text, key = await _insert(connection, wanted)
        await record(connection, actor, Act("create_key", key.project, key.id, _facts(key)))
    return text, key


async def list_keys(connection: "asyncpg.Connection[asyncpg.Record]", project: str | None = None) -> list[Key]:
    """Return the keys of a project, or of all, newest first, ended ones too."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM headrace.api_keys WHERE $1::text IS NULL OR project = $1"  # noqa: S608 — a constant
        f" ORDER BY created_at DESC, id LIMIT {MOST_LISTED}",
        project,
    )
    return [_key(row) for row in rows]


async def load_keys(connection: "asyncpg.Connection[asyncpg.Record]", ids: Iterable[str]) -> dict[str, Key]:
    """Return those of the keys that exist, by id."""
    statement = f"SELECT {_COLUMNS} FROM headrace.api_keys WHERE id = ANY ($1)"  # noqa: S608 — a constant
    return {row["id"]: _key(row) for row in await connection.fetch(statement, list(ids))}


async def rotate_key(
    connection: "asyncpg.Connection[asyncpg.Record]",
    project: str | None,
    key_id: str,
    overlap: timedelta,
    actor: Actor,
) -> tuple[KeyText, Key]:
    """Make a key like another, which ends after the overlap; the new one lives as long as the old one was made to.

    Args:
        connection: To the database.
        project: Whose key it must be; None: anybody's.
        key_id: The key to replace.
        overlap: For how long both are good.
        actor: Who wants it.

    Raises:
        KeyInvalidError: The overlap is longer than 30 days.
        KeyNotFoundError: There is no such key, or it has ended.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        fault = {"overlap_s": "must be between 0 and 2,592,000 seconds (30 days)"}
        raise KeyInvalidError(f"overlap_s {fault['overlap_s']}", fields=fault)
    async with connection.transaction():
        old = await _locked(connection, project, key_id)
        if old.left_s == 0:
            raise KeyNotFoundError(f"the key {key_id!r} has ended: create another", metadata={"id": key_id})
        now = datetime.now(UTC)
        ends = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
        await connection.execute("UPDATE headrace.api_keys SET expires_at = $2 WHERE id = $1", old.id, ends)
        expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
        text, key = await _insert(connection, NewKey(old.project, old.name, old.scopes, expires_at))
        facts = _facts(key) | {"replaces": old.id, "overlap_s": int(overlap.total_seconds())}
        await record(connection, actor, Act("rotate_key", key.project, key.id, facts))
    return text, key


async def revoke_key(
    connection: "asyncpg.Connection[asyncpg.Record]", project: str | None, key_id: str, actor: Actor
) -> Key:
    """End a key now; ending it again changes nothing.

    Args:
        connection: To the database.
        project: Whose key it must be; None: anybody's.
        key_id: The key.
        actor: Who wants it.

    Raises:
        KeyNotFoundError: There is no such key.
    """
    async with connection.transaction():
        key = await _locked(connection, project, key_id)
        if key.revoked_at is None:
            await connection.execute("UPDATE headrace.api_keys SET revoked_at = now() WHERE id = $1", key.id)
            await record(connection, actor, Act("revoke_key", key.project, key.id, {"name": key.name}))
        return (await load_keys(connection, [key.id]))[key.id]


async def note_use(connection: "asyncpg.Connection[asyncpg.Record]", ids: Iterable[str]) -> None:
    """Write down that these keys were used in the last minute."""
    await connection.execute("UPDATE headrace.api_keys SET last_used_at = now() WHERE id = ANY ($1)", list(ids))


async def _insert(connection: "asyncpg.Connection[asyncpg.Record]", wanted: NewKey) -> tuple[KeyText, Key]:
    text = new_key_text()
    row = await connection.fetchrow(
        f"""
        INSERT INTO headrace.api_keys (id, project, name, scopes, hash, expires_at)
        SELECT $1, p.name, $3, $4, $5, $6 FROM headrace.projects p WHERE p.name = $2
        RETURNING {_COLUMNS}
        """,  # noqa: S608 — a constant
        text.id,
        wanted.project,
        wanted.name,
        sorted(wanted.scopes),
        text.hash(),
        wanted.expires_at,
    )
    if row is None:
        raise ProjectDeniedError(f"there is no project {wanted.project!r}")
    return text, _key(row)


def _facts(key: Key) -> dict[str, object]:
    return {"name": key.name, "scopes": sorted(key.scopes), "expires_at": key.expires_at}


async def _locked(connection: "asyncpg.Connection[asyncpg.Record]", project: str | None, key_id: str) -> Key:
    row = key_id.isalnum() and await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM headrace.api_keys"  # noqa: S608 — a constant
        " WHERE id = $1 AND ($2::text IS NULL OR project = $2) FOR UPDATE",
        key_id,
        project,
    )
    if not row:
        raise KeyNotFoundError(f"there is no key {key_id!r}", metadata={"id": key_id})
    return _key(row)


def _key(row: "asyncpg.Record") -> Key:
    return Key(
        id=row["id"],
        project=row["project"],
        name=row["name"],
        scopes=frozenset(Scope(scope) for scope in row["scopes"]),
        hash=row["hash"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
