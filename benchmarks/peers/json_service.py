"""The JSON service most teams would build: FastAPI on Granian, Pydantic models, an asyncpg pool, COPY behind it.

It takes what a good engineer would let it take: an array of events a request, validated by Pydantic's compiled core
straight from the bytes, written with one COPY, answered after the commit.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from operator import attrgetter
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException, Request
from granian.constants import Interfaces
from granian.server import Server
from pydantic import TypeAdapter, ValidationError, create_model

URL, TABLE, COLUMNS = "BENCH_DATABASE_URL", "BENCH_TABLE", "BENCH_COLUMNS"
_TYPES: dict[str, Any] = {"float64": float, "int64": int, "string": str, "timestamp": datetime}


def make_app() -> FastAPI:
    """Return the service for the table that the environment names."""
    table = os.environ[TABLE]
    types = dict(column.split(":") for column in os.environ[COLUMNS].split(","))
    fields: dict[str, Any] = {name: (_TYPES[kind] | None, None) for name, kind in types.items()}
    event = create_model("Event", event_time=(datetime, ...), event_id=(str, ...), **fields)
    events = TypeAdapter(list[event])  # type: ignore[valid-type]  # a model made at run time
    columns = ["event_time", "event_id", *types]
    record = attrgetter(*columns)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(os.environ[URL], min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/events")
    async def take(request: Request) -> dict[str, int]:
        try:
            given = events.validate_json(await request.body())
        except ValidationError as error:
            raise HTTPException(422, error.errors()) from error
        async with app.state.pool.acquire() as connection:
            await connection.copy_records_to_table(
                table, schema_name="main", columns=columns, records=map(record, given)
            )
        return {"stored": len(given)}

    return app


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    port = _free_port()
    server = Server(
        f"{__name__ if __name__ != '__main__' else 'benchmarks.peers.json_service'}:make_app",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        log_enabled=False,
    )
    server.on_startup(lambda: print(f"127.0.0.1:{port}", flush=True))
    sys.exit(server.serve())
