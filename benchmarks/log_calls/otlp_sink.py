"""A collector that takes every export and forgets it: what OpenTelemetry's exporter talks to here."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import uvloop


async def _export(_request: bytes, _context: Any) -> bytes:
    return b""  # an empty ExportLogsServiceResponse: everything was taken


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handlers: dict[str, Any] = {"Export": grpc.unary_unary_rpc_method_handler(_export)}
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
