"""Tables that refuse what comes, for a reason this service does not understand.

Their batches are refused for a while without asking the database, so that they cannot break one group after the other
that they share with tables in good health. Nothing is lost: their producers keep the batches and send them again.
"""

from time import monotonic

STOPPED_FOR_S = 5.0


class StoppedTables:
    """The tables that are stopped now, and why."""

    def __init__(self) -> None:
        self._stopped: dict[str, tuple[float, str]] = {}

    def stop(self, table_key: str, why: str) -> None:
        """Stop a table for a while."""
        self._stopped[table_key] = (monotonic() + STOPPED_FOR_S, why)

    def why(self, table_key: str) -> str | None:
        """Why a table is stopped; None where it is not."""
        until, why = self._stopped.get(table_key, (0.0, ""))
        if until > monotonic():
            return why
        self._stopped.pop(table_key, None)
        return None
