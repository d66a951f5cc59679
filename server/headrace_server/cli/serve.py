# ruff: noqa: PLC0415
"""`headrace serve`: settings, logs, an event loop, and then the service."""

from __future__ import annotations

import asyncio
import gc
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.effective_settings import loaded
from headrace_server.cli.failure import fail
from headrace_server.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    from headrace_server.app import ServingAddresses
    from headrace_server.config import Settings


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


def run_service(settings: Settings) -> None:
    """Run a replica until it is stopped; ends the process with a word where something can be mended."""
    from headrace_server.ops.allocator import bound_arenas

    bound_arenas()
    gc.disable()
    # pyarrow imports pandas, where it is, to see whether a list might be one of its own: 60 MB of no use to a service.
    sys.meta_path.insert(0, _Without("pandas"))
    # structlog imports rich, where it is, for tracebacks that we do not ask for: a twelfth of the start.
    sys.meta_path.insert(0, without_rich := _Without("rich"))
    import_module("structlog")
    sys.meta_path.remove(without_rich)
    import asyncpg
    import uvloop

    from headrace_server import app
    from headrace_server.access.certificates import CertificateError
    from headrace_server.http.server import ListenError
    from headrace_server.kafka.consumer import TopicUnreadableError
    from headrace_server.ops import logs
    from headrace_server.storage.edition import UnsuitableDatabaseError
    from headrace_server.storage.embedded import EmbeddedDatabaseError

    # What is there now stays: a collection that goes through it all would hold everybody up for tens of milliseconds.
    gc.freeze()
    gc.enable()
    logs.configure(level=settings.log.level, form=settings.log.format)
    refused = (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.CannotConnectNowError,
        asyncpg.PostgresConnectionError,  # it went away while the service started
    )
    # What a person can mend; anything else is a defect and keeps its traceback.
    mendable: list[BaseException] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(app.serve(settings, on_ready=_announce))
    except* (
        CertificateError,
        ListenError,
        TopicUnreadableError,
        UnsuitableDatabaseError,
        EmbeddedDatabaseError,
    ) as group:
        mendable = _leaves(group)
    except* (OSError, *refused) as group:
        place = settings.database.place
        mendable = [
            OSError(f"the database at {place} cannot be used: {str(error) or 'no answer'}") for error in _leaves(group)
        ]
    if mendable:
        fail("\n".join(map(str, mendable)))


class _Without(MetaPathFinder):
    """Says that a library is not installed."""

    def __init__(self, library: str) -> None:
        self._library = library

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._library:
            raise ModuleNotFoundError(f"the service does without {name}", name=name)


def _leaves(group: BaseExceptionGroup[Exception]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _announce(addresses: ServingAddresses) -> None:
    """Tell the person who started it; a machine reads the same in the logs."""
    if sys.stdout.isatty():
        typer.secho(f"headrace serves gRPC at {addresses.grpc} and HTTP at http://{addresses.http}", bold=True)
        typer.echo("stop it with Ctrl-C; look inside with: headrace db psql")
