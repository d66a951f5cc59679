"""The parent of a service's workers: it keeps what they share, and takes in no row itself.

Starts from the floor up: the ports (so that 0 is one port for all, and nobody else gets it), the embedded database if
there is one, its schema, then the workers, and says that the service serves when all of them do. Stops from the top
down: SIGTERM to the workers, which drain each within its grace, then the database. What the workers must agree on is in
the database, as it is for replicas on many machines; the parent tells them nothing while they run.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from headrace.version import __version__
from headrace_server.config import Settings
from headrace_server.stopping import Grace, StopRequest, on_signals
from headrace_server.storage.database import Ground, look_over, standing_database
from headrace_server.storage.pool import connect
from headrace_server.workers.assignment import Assignment
from headrace_server.workers.connections import require_connections, wanted_connections
from headrace_server.workers.crew import Crew
from headrace_server.workers.ports import Door, held_ports
from headrace_server.workers.shares import at_place, share_of

LAST_WORDS_S = 5.0  # what a worker takes to end, when its grace is over or it was forced
LONGEST_FOLDER = 80  # of 107 bytes that a socket's path may have

OnReady = Callable[[str, str], None]

log = structlog.get_logger(__name__)


async def serve_by_workers(settings: Settings, *, on_ready: OnReady | None = None) -> None:
    """Serve by `intake.workers` processes until SIGINT or SIGTERM.

    Args:
        settings: The settings, whole and valid.
        on_ready: Called with the addresses of the gRPC and the HTTP door once all workers are ready for calls.

    Raises:
        EmbeddedDatabaseError, UnsuitableDatabaseError, OSError: The database cannot be used; the text says what to do.
        ListenError: A port is taken.
        NoWorkerServesError: Workers end before they serve; the text is theirs.
    """
    share, workers = share_of(settings), settings.intake.workers
    with (
        on_signals() as stop,
        held_ports(settings.listen) as (grpc, http),
        tempfile.TemporaryDirectory(prefix="headrace-workers-", dir=_short_place()) as folder,
    ):
        wanted = wanted_connections(share, workers)
        async with standing_database(settings.database, max_connections=wanted) as ground:
            await _prepare(ground, settings, share)
            placed = at_place(share, database_url=ground.url, grpc_port=grpc.port, http_port=http.port)
            crew = Crew([Assignment(number, workers, Path(folder), placed) for number in range(workers)])
            await _run(crew, settings, ground, stop, lambda: _say_ready(grpc, http, workers, on_ready))
    log.info("stopped")


def _short_place() -> str | None:
    """Where the sockets' folder is to be made: where temporary files are, unless its name is too long for a socket."""
    return None if len(os.fsencode(tempfile.gettempdir())) < LONGEST_FOLDER else "/tmp"  # noqa: S108 - a folder of 0700


async def _prepare(ground: Ground, settings: Settings, share: Settings) -> None:
    """See that the database can be used by all workers, and migrate it once for them."""
    database = settings.database
    connection = await connect(
        ground.url,
        instance="parent",
        connect_timeout_s=database.connect_timeout_s,
        command_timeout_s=database.command_timeout_s,
    )
    try:
        await look_over(connection, database, ground.place)
        await require_connections(connection, share, settings.intake.workers)
    finally:
        await connection.close()


def _say_ready(grpc: Door, http: Door, workers: int, on_ready: OnReady | None) -> None:
    log.info("serving", grpc=str(grpc), http=str(http), version=__version__, workers=workers)
    if on_ready is not None:
        on_ready(str(grpc), str(http))


async def _run(
    crew: Crew, settings: Settings, ground: Ground, stop: StopRequest, say_ready: Callable[[], None]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(crew.run())
        waiting = [tasks.create_task(event.wait()) for event in (crew.all_serve, stop.asked)]
        supervising = [tasks.create_task(ground.embedded.supervise())] if ground.embedded is not None else []
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if crew.all_serve.is_set():
            say_ready()
        await stop.asked.wait()

        crew.stop()
        if not await Grace(settings.drain.grace_s + LAST_WORDS_S, stop).covers(keeping.done):
            crew.stop()
            if not await Grace(LAST_WORDS_S, StopRequest()).covers(keeping.done):
                log.warning("workers_killed")
                crew.kill()
        await keeping
        for task in (*waiting, *supervising):
            task.cancel()
