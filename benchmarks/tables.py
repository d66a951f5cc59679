"""Tables to write to, each made through the service's own registry, so that every subject meets the same definition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import headrace
from benchmarks.arena import Arena
from benchmarks.rows import Shape
from headrace import EventIdType, Identity

_made: Counter[str] = Counter()


@dataclass(frozen=True)
class Table:
    """A model and its events table, which have one name.

    Attributes:
        name: Name of both.
        shape: What its rows look like.
        identity: UNIQUE or APPEND.
        model: The handle that writes to it through headrace.
    """

    name: str
    shape: Shape
    identity: Identity
    model: headrace.Model

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return f'main."{self.name}"'

    def count(self, arena: Arena) -> int:
        """Return how many rows are stored."""
        return int(arena.query(f"SELECT count(*) FROM {self.sql}"))

    def drop(self, arena: Arena) -> None:
        """Give the disk back; nobody writes to it any more.

        First everything is counted: of a table that is gone the service would look for the noted hours for ever.
        """
        arena.wait_until_counted()
        arena.execute(f"DROP TABLE {self.sql} CASCADE")


def make_table(arena: Arena, what: str, shape: Shape, identity: Identity, ids: EventIdType = EventIdType.TEXT) -> Table:
    """Register a new model; `what` is for whoever looks into the database."""
    stem = f"{what}_{shape.name}"[:40]
    _made[stem] += 1
    name = f"{stem}_{_made[stem]}"
    model = arena.client.register(shape.schema, name=name, identity=identity, event_id_type=ids)
    return Table(name, shape, identity, model)
