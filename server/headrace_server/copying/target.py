"""The table that a landing writes to, as far as a COPY and a comparison need to know it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server import failpoints
from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.models.names import quote_identifier
from headrace_server.models.system_columns import EVENT_ID
from headrace_server.models.table_spec import TableSpec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """A hypertable of rows with event_id and event_time.

    Attributes:
        schema: Schema of the table: the project.
        name: Name of the table.
        event_id_sql: SQL type of event_id, with its collation.
        json_columns: Its jsonb columns.
        compared: Columns that tell a duplicate from a conflict.
        chunk_interval: Time span of its chunks, as far as the registry knows.
    """

    schema: str
    name: str
    event_id_sql: str
    json_columns: frozenset[str]
    compared: tuple[str, ...]
    chunk_interval: timedelta

    @staticmethod
    def of(table: TableSpec, compared: Iterable[str], chunk_interval: timedelta) -> "Target":
        """The target that a model's table is."""
        return Target(
            schema=table.schema,
            name=table.name,
            event_id_sql=next(column.sql for column in table.columns if column.name == EVENT_ID.name),
            json_columns=frozenset(column.name for column in table.columns if column.is_json),
            compared=tuple(compared),
            chunk_interval=chunk_interval,
        )

    @property
    def key(self) -> str:
        """Its place in the order in which transactions touch tables."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return f"{quote_identifier(self.schema)}.{quote_identifier(self.name)}"

    def encode(self, table: pa.Table) -> memoryview:
        """Rows as the bytes of its COPY."""
        return encode(table, self.json_columns)

    def chunks_of(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """For each row the number of its chunk, counted in intervals from 1970; 0 where it has no time."""
        return self.chunk_numbers(table.column("event_time").cast(pa.int64()).fill_null(0).to_numpy())

    def chunk_numbers(self, micros: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The same for times in microseconds since 1970."""
        chunks: npt.NDArray[np.int64] = micros // self._interval_us
        return chunks

    def windows(self, chunks: npt.NDArray[np.int64]) -> Iterator[tuple[int, str, str]]:
        """For each distinct chunk its number and its bounds as SQL literals: from, and to (exclusive).

        Literals and not parameters: only constants let the planner leave the other chunks out.
        """
        for chunk in np.unique(chunks).tolist():
            start = _EPOCH + timedelta(microseconds=chunk * self._interval_us)
            yield chunk, literal(start), literal(start + self.chunk_interval)

    @property
    def _interval_us(self) -> int:
        return self.chunk_interval // timedelta(microseconds=1)


def literal(moment: datetime) -> str:
    """A time as SQL."""
    return f"'{moment.isoformat()}'::timestamptz"


async def copy(connection: Connection, schema: str | None, name: str, columns: list[str], data: memoryview) -> None:
    """COPY encoded rows into a table. All bytes are in memory before the COPY starts, so it never waits for us."""
    source = failpoints.copied(data)
    await connection.copy_to_table(name, source=source, schema_name=schema, columns=columns, format="binary")
