# ruff: noqa: PLC0415
"""`headrace doctor`: what is found, what is missing, what to do. Looks only; changes nothing."""

from __future__ import annotations

import asyncio
import platform
import socket
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer

from headrace.version import __version__
from headrace_server.cli.effective_settings import embedded
from headrace_server.cli.failure import FAILED
from headrace_server.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    from pathlib import Path

    from headrace_server.config import Database, Listen, Settings
    from headrace_server.storage.embedded import Finding

PARTS = ("grpcio", "protobuf", "asyncpg", "pyarrow", "pgpq", "uvloop")
MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
ANSWER_S = 3.0


def doctor(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Look this machine over: settings, ports, database. Exit code 1 when the service could not work."""
    settings, findings = _settings(config, data_dir)
    findings = [_versions(), *findings]
    if settings is not None:
        findings += _ports(settings.listen)
        findings += _database(settings.database)
    for finding in findings:
        mark, colour = MARKS[finding.level]
        typer.secho(f"{mark} {finding.text}", fg=colour if finding.level != "ok" else None)
        if finding.advice:
            typer.echo("\n".join(f"    {line}" for line in finding.advice.splitlines()))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(FAILED)


def _finding(level: str, text: str, advice: str = "") -> Finding:
    from headrace_server.storage.embedded import Finding

    assert level in {"ok", "warn", "fail"}  # noqa: S101
    return Finding(level, text, advice)  # type: ignore[arg-type]


def _versions() -> Finding:
    parts = ", ".join(f"{name} {version(name)}" for name in PARTS)
    return _finding("ok", f"headrace {__version__}, Python {platform.python_version()}, {parts}")


def _settings(config: Path | None, data_dir: Path | None) -> tuple[Settings | None, list[Finding]]:
    from headrace_server.config import SettingsError, load

    try:
        effective = load(flags={"database.data_dir": data_dir}, file=config)
    except SettingsError as error:
        return None, [_finding("fail", f"{fault}", "see docs/settings.md") for fault in error.faults]
    origins = ", ".join(f"{key} ({origin})" for key, origin in effective.origins.items())
    return effective.settings, [_finding("ok", f"settings: {origins or 'all at their defaults'}")]


def _ports(listen: Listen) -> Iterator[Finding]:
    doors = {"gRPC": (listen.grpc_host, listen.grpc_port), "HTTP": (listen.http_host, listen.http_port)}
    for door, (host, port) in doors.items():
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            yield _taken(door, host, port, error, listen)
        else:
            yield _finding("ok", f"{door}: {host}:{port} is free")


def _taken(door: str, host: str, port: int, error: OSError, listen: Listen) -> Finding:
    if _headrace_serves(listen.grpc_host, listen.grpc_port):
        return _finding("ok", f"{door}: a headrace service is running at {host}:{port}")
    key = f"listen.{door.lower()}_port"
    return _finding("fail", f"{door}: cannot listen at {host}:{port} ({error.strerror})", f"choose another with {key}")


def _headrace_serves(host: str, port: int) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            request = health_pb2.HealthCheckRequest(service="headrace.v1.IngestService")
            health_pb2_grpc.HealthStub(channel).Check(request, timeout=ANSWER_S)
        except grpc.RpcError:
            return False
    return True


def _database(database: Database) -> list[Finding]:
    from headrace_server.storage.embedded import diagnose

    if database.url is None:
        return diagnose(embedded(database))
    return [asyncio.run(_server(database, database.url.get_secret_value()))]


async def _server(database: Database, target: str) -> Finding:
    import asyncpg

    from headrace_server.storage.edition import UnsuitableDatabaseError, probe
    from headrace_server.storage.pool import connect

    try:
        connection = await connect(target, instance="doctor", connect_timeout_s=database.connect_timeout_s)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        reason = str(error) or f"no answer within {database.connect_timeout_s:g} s"
        return _finding(
            "fail", f"database {database.place}: {reason}", "see that it runs and that database.url is right"
        )
    try:
        # So that looking stays looking: probe would add the extension where it is missing.
        await connection.execute("SET default_transaction_read_only = on")
        edition = await probe(connection, allow_fsync_off=database.allow_fsync_off)
    except UnsuitableDatabaseError as error:
        return _finding("fail", f"database {database.place}: {error}")
    except asyncpg.ReadOnlySQLTransactionError:
        text = f"database {database.place}: PostgreSQL is fit, TimescaleDB is not in the database yet"
        return _finding("warn", text, "headrace serve adds it at its first start, if the role may")
    finally:
        await connection.close()
    licence = "community" if edition.community else "Apache"
    timescaledb = ".".join(map(str, edition.timescaledb))
    return _finding(
        "ok", f"database {database.place}: PostgreSQL {edition.postgres}, TimescaleDB {timescaledb} ({licence})"
    )
