# ruff: noqa: PLC0415
"""The process of a service: made ready, run on an event loop, ended with a word where something can be mended.

A service is one process, a replica, or a parent and its workers, of which each is a replica.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, NoReturn

import typer

from headrace_server.cli.failure import FAILED, fail

if TYPE_CHECKING:
    from headrace_server.config import Settings
    from headrace_server.workers import Assignment

STDIN, STDOUT = 0, 1

Main = Callable[[], Coroutine[object, object, None]]
Mendable = tuple[type[Exception], ...]


def run_service(settings: Settings) -> None:
    """Run a service until it is stopped; ends the process with a word where something can be mended."""
    if settings.intake.workers > 1:
        _run_parent(settings)
    else:
        _run_replica(settings)


def run_worker() -> None:
    """Run the worker that the parent asks for on standard input, until it is stopped or the parent is gone."""
    from headrace_server.workers import read_assignment
    from headrace_server.workers.assignment import ParentGoneError
    from headrace_server.workers.tether import die_with_parent

    try:
        assignment = read_assignment(STDIN)
    except (ParentGoneError, ValueError):
        fail("workers are started by `headrace serve --workers N`, and told by it what to do")
    die_with_parent(STDIN)
    _run_replica(assignment.settings, assignment)


def _run_replica(settings: Settings, assignment: Assignment | None = None) -> None:
    from headrace_server.ops.allocator import bound_arenas

    bound_arenas()
    gc.disable()
    # pyarrow imports pandas, where it is, to see whether a list might be one of its own: 60 MB of no use to a service.
    sys.meta_path.insert(0, _Without("pandas"))
    # structlog imports rich, where it is, for tracebacks that we do not ask for: a twelfth of the start.
    sys.meta_path.insert(0, without_rich := _Without("rich"))
    import_module("structlog")
    sys.meta_path.remove(without_rich)

    from headrace_server import app
    from headrace_server.access.certificates import CertificateError
    from headrace_server.http.server import ListenError
    from headrace_server.kafka.consumer import TopicUnreadableError
    from headrace_server.ops.neighbours import Seat

    # What is there now stays: a collection that goes through it all would hold everybody up for tens of milliseconds.
    gc.freeze()
    gc.enable()
    mendable: Mendable = (CertificateError, ListenError, TopicUnreadableError)
    if assignment is None:
        _run(settings, lambda: app.serve(settings, on_ready=lambda at: _announce(at.grpc, at.http)), mendable)
        return
    seat = Seat(assignment.number, assignment.workers, assignment.folder)
    _run(
        settings,
        lambda: app.serve(settings, on_ready=lambda _: _report_serving(), seat=seat),
        mendable,
        tell=_report_failure,
        worker=seat.number,
    )


def _run_parent(settings: Settings) -> None:
    from headrace_server.http.server import ListenError
    from headrace_server.workers import NoWorkerServesError, serve_by_workers

    _run(settings, lambda: serve_by_workers(settings, on_ready=_announce), (ListenError, NoWorkerServesError))


def _run(
    settings: Settings,
    main: Main,
    mendable: Mendable,
    *,
    tell: Callable[[str], NoReturn] = fail,
    worker: int | None = None,
) -> None:
    """Run it on an event loop, to its end.

    Args:
        settings: The settings.
        main: What is run.
        mendable: Its errors that a person can mend, beside those of the database.
        tell: Says them, and ends the process.
        worker: Number of the worker that this is.
    """
    import asyncpg
    import uvloop

    from headrace_server.ops import logs
    from headrace_server.storage.edition import UnsuitableDatabaseError
    from headrace_server.storage.embedded import EmbeddedDatabaseError

    logs.configure(level=settings.log.level, form=settings.log.format, worker=worker)
    refused = (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.CannotConnectNowError,
        asyncpg.PostgresConnectionError,  # it went away while the service started
    )
    # What a person can mend; anything else is a defect and keeps its traceback.
    stated: Mendable = (*mendable, UnsuitableDatabaseError, EmbeddedDatabaseError)
    said: list[BaseException] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except* stated as group:
        said = _leaves(group)
    except* (OSError, *refused) as group:
        place = settings.database.place
        said = [
            OSError(f"the database at {place} cannot be used: {str(error) or 'no answer'}") for error in _leaves(group)
        ]
    if said:
        tell("\n".join(map(str, said)))


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


def _announce(grpc: str, http: str) -> None:
    """Tell the person who started it; a machine reads the same in the logs."""
    if sys.stdout.isatty():
        typer.secho(f"headrace serves gRPC at {grpc} and HTTP at http://{http}", bold=True)
        typer.echo("stop it with Ctrl-C; look inside with: headrace db psql")


def _report_serving() -> None:
    from headrace_server.workers.report import Report

    os.write(STDOUT, Report(serves=True).line())


def _report_failure(text: str) -> NoReturn:
    """Leave it to the parent to tell the person: all workers say the same."""
    from headrace_server.workers.report import Report

    os.write(STDOUT, Report(failure=text).line())
    raise typer.Exit(FAILED)
