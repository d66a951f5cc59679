# ruff: noqa: PLC0415
"""`headrace kafka`: a replica whose rows come from a Kafka topic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace_server.cli.effective_settings import loaded
from headrace_server.cli.options import ConfigFile
from headrace_server.cli.service_process import run_service


def kafka(
    *,
    config: ConfigFile = None,
    brokers: Annotated[str | None, typer.Option(help="Bootstrap servers, host:port,host:port.")] = None,
    topic: Annotated[str | None, typer.Option(help="Topic to read.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model of JSON rows.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the model that served them.")] = None,
    kind: Annotated[str | None, typer.Option(help="What JSON rows are: events or labels.")] = None,
    form: Annotated[
        str | None, typer.Option(help="What a message is: json, or batch (a serialized headrace.v1.Batch).")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Project that is written to.")] = None,
    group: Annotated[str | None, typer.Option(help="Consumer group. Default: headrace-PROJECT-TOPIC-MODEL.")] = None,
    start: Annotated[str | None, typer.Option(help="Where a new group begins: beginning or end.")] = None,
    properties_file: Annotated[
        Path | None, typer.Option(help="librdkafka properties, name=value a line: TLS, SASL.")
    ] = None,
    http_port: Annotated[int, typer.Option(help="Port of metrics and health; 0 takes a free one.")] = 0,
    grpc_port: Annotated[int, typer.Option(help="Port of the gRPC door; 0 takes a free one.")] = 0,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, console or json.")] = None,
) -> None:
    """Read a Kafka topic into a model, each message once, until Ctrl-C.

    Run it beside `headrace serve` on the same database (HEADRACE_DATABASE_URL), as often as the topic has partitions.
    docs/kafka.md tells the rest.
    """
    effective = loaded(
        config,
        {
            "kafka.brokers": brokers,
            "kafka.topic": topic,
            "kafka.model": model,
            "kafka.model_version": version,
            "kafka.kind": kind,
            "kafka.form": form,
            "kafka.project": project,
            "kafka.group": group,
            "kafka.start": start,
            "kafka.properties_file": properties_file,
            "listen.http_port": http_port,
            "listen.grpc_port": grpc_port,
            "log.level": log_level,
            "log.format": log_format,
        },
    )
    from headrace_server.cli.failure import MISUSED, fail

    if not effective.settings.kafka.brokers:
        fail("no brokers: name them with --brokers or HEADRACE_KAFKA_BROKERS", MISUSED)
    if effective.settings.database.url is None:
        fail("no database: set HEADRACE_DATABASE_URL to the service's (embedded: `headrace db url`)", MISUSED)
    run_service(effective.settings)
