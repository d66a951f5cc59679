"""Posts rows to the JSON service as requests of so many events, a few at a time, over connections that are kept."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import orjson

from benchmarks.arena import Arena
from benchmarks.peers.json_service import COLUMNS, TABLE, URL
from benchmarks.processes import PeerProcess
from benchmarks.rows import Row
from benchmarks.tables import Table

AT_A_TIME = 4
READY_S = 20.0


class JsonService:
    """The service with its client; making the JSON is inside the clock."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, batch_rows: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._batch_rows = batch_rows
        self._rows: Sequence[Row] = ()
        os.environ[URL], os.environ[TABLE] = arena.database_url, table.name
        os.environ[COLUMNS] = ",".join(f"{name}:{kind}" for name, kind in table.shape.types.items())
        self._server = PeerProcess("benchmarks.peers.json_service")
        self._posters = ThreadPoolExecutor(AT_A_TIME)
        self._connections: SimpleQueue[http.client.HTTPConnection] = SimpleQueue()

    def _connected(self) -> http.client.HTTPConnection:
        deadline = time.monotonic() + READY_S
        while True:
            connection = http.client.HTTPConnection(self._server.address, timeout=60)
            try:
                connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return connection

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows, and connect anew: the service does not keep a silent connection for long."""
        self._rows = rows
        while not self._connections.empty():
            self._connections.get().close()
        for _ in range(AT_A_TIME):
            self._connections.put(self._connected())

    def run(self) -> None:
        """Post them all."""
        batches = [
            self._rows[start : start + self._batch_rows] for start in range(0, len(self._rows), self._batch_rows)
        ]
        stored = sum(self._posters.map(self._post, batches))
        if stored != len(self._rows):
            raise RuntimeError(f"{stored} of {len(self._rows)} rows are stored")

    def _post(self, batch: Sequence[Row]) -> int:
        connection = self._connections.get()
        try:
            connection.request("POST", "/events", orjson.dumps(batch), {"content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            self._connections.put(connection)
        if answer.status != http.client.OK:
            raise RuntimeError(f"{answer.status}: {body[:300]!r}")
        return int(orjson.loads(body)["stored"])

    def service_pid(self) -> int:
        """The service, whose worker is its child."""
        return self._server.pid

    def close(self) -> None:
        """End both."""
        self._posters.shutdown()
        self._server.end()
