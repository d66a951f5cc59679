# ruff: noqa: PLC0415
"""`headrace serve`: the settings, and then the service."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_server.cli.effective_settings import loaded
from headrace_server.cli.options import ConfigFile, DataDir
from headrace_server.cli.service_process import run_service


def serve(
    *,
    config: ConfigFile = None,
    grpc_host: Annotated[str | None, typer.Option(help="Address of the gRPC door.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Port of the gRPC door; 0 takes a free one.")] = None,
    http_host: Annotated[str | None, typer.Option(help="Address of the HTTP door.")] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the HTTP door; 0 takes a free one.")] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Listen beyond loopback without TLS or keys.")
    ] = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve at the two ports; more than one for machines with cores.")
    ] = None,
    infer_models: Annotated[
        bool | None, typer.Option("--infer-models", help="Register unknown models from their first batch.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, console or json.")] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings in force, secrets hidden, and exit.")
    ] = False,
) -> None:
    """Serve, with a database of its own unless HEADRACE_DATABASE_URL names one.

    Every setting: docs/settings.md. Ctrl-C drains and stops; a second one stops at once.
    """
    effective = loaded(
        config,
        {
            "listen.grpc_host": grpc_host,
            "listen.grpc_port": grpc_port,
            "listen.http_host": http_host,
            "listen.http_port": http_port,
            "listen.insecure": insecure,
            "database.data_dir": data_dir,
            "intake.workers": workers,
            "models.infer": infer_models,
            "log.level": log_level,
            "log.format": log_format,
        },
    )
    if print_config:
        from headrace_server.config.effective import as_toml

        typer.echo(as_toml(effective), nl=False)
        return
    run_service(effective.settings)
