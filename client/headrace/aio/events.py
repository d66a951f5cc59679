"""Events that are read back with asyncio: the same parts, each fetched on a thread of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from headrace.aio.awaited import in_thread
from headrace.reading.events import Events, Part, Row

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class AsyncEvents:
    """Events that pass some filters, read anew each time they are gone through; made by AsyncModel.events."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def __aiter__(self) -> AsyncIterator[Row]:
        """Yield the events as dicts with every column; about 1 MiB is held at a time."""
        async for part in self._parts():
            for row in part.rows():
                yield row

    async def to_list(self) -> list[Row]:
        """Return all events as dicts."""
        return [row async for row in self]

    async def to_arrow(self) -> Any:
        """Return all events as a pyarrow.Table. Needs headrace[frames]."""
        from headrace.reading.arrow import table_of  # noqa: PLC0415 -- the light client has no Arrow

        return table_of([part async for part in self._parts()])

    async def to_pandas(self) -> pd.DataFrame:
        """Return all events as a pandas.DataFrame. Needs headrace[frames]."""
        frame: pd.DataFrame = (await self.to_arrow()).to_pandas()
        return frame

    async def to_polars(self) -> pl.DataFrame:
        """Return all events as a polars.DataFrame. Needs headrace[frames]."""
        from headrace.reading.arrow import polars_of  # noqa: PLC0415 -- the light client has no polars

        return polars_of(await self.to_arrow())

    async def _parts(self) -> AsyncIterator[Part]:
        """Yield the parts; a cancelled await ends the read."""
        parts = self._events.read()
        try:
            while (part := await in_thread(lambda _: next(parts, None), None)) is not None:
                yield part
        finally:
            parts.close()
