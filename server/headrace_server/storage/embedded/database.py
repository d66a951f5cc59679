"""The embedded database as the service sees it: start, two URLs, supervise, stop.

Start goes from the ground up: own the data directory, find or make the runtime, make the cluster when there is none,
adopt the database that outlived an earlier service or start one, wait until it answers. Whatever fails on the way, the
data directory is given free again and nothing that we started is left running. `supervise` is one task that restarts
the database when it dies, for ever, with growing pauses: connections fail meanwhile, and the pool's users retry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import asyncpg

from headrace_server.storage.embedded.account import Account, database_account, require_reach
from headrace_server.storage.embedded.ballast import Ballast
from headrace_server.storage.embedded.cluster import complete, initialise
from headrace_server.storage.embedded.configuration import CLIENT_AUTHENTICATION, configuration, memory_bytes
from headrace_server.storage.embedded.errors import (
    DataDirectoryError,
    EmbeddedDatabaseError,
    StartFailedError,
    SurvivorsError,
)
from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.layout import Access, DataDirectory, replace_file
from headrace_server.storage.embedded.ownership import Ownership
from headrace_server.storage.embedded.postmaster import Postmaster
from headrace_server.storage.embedded.runtime import find_or_make
from headrace_server.storage.embedded.settings import EmbeddedSettings

OnEvent = Callable[[str, Mapping[str, object]], None]

WATCH_S = 0.25
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
# A database that lived this long starts its pauses anew.
STEADY_S = 60.0
BALLAST_CHECK_S = 60.0

_log = logging.getLogger(__name__)


def log_event(name: str, facts: Mapping[str, object]) -> None:
    """Send an event to the standard library's log: the default for who injects nothing."""
    _log.info("%s %s", name, " ".join(f"{key}={value}" for key, value in facts.items()))


class EmbeddedDatabase:
    """A private PostgreSQL with TimescaleDB, owned by this process from `start` to `stop`.

    Args:
        settings: Where it lies and how patient to be.
        on_event: Told what happens, as a name and facts; must not block. Default: the standard library's log.
    """

    def __init__(self, settings: EmbeddedSettings, on_event: OnEvent | None = None) -> None:
        self._settings = settings
        self._on_event = log_event if on_event is None else on_event
        self._directory = DataDirectory(settings.data_folder)
        self._ownership = Ownership(self._directory.lock)
        self._postmaster = Postmaster(self._directory)
        self._ballast = Ballast(self._directory.ballast, settings.ballast_bytes)
        self._account: Account | None = None
        self._installation: Installation | None = None
        self._access: Access | None = None

    @property
    def url(self) -> str:
        """URL over the unix socket, for the service itself; asyncpg and libpq understand it."""
        return self._directory.socket_url(self._started_access.port)

    @property
    def public_url(self) -> str:
        """Loopback URL with the password, for people and their tools."""
        return self._directory.loopback_url(self._started_access)

    @property
    def installation(self) -> Installation:
        """The PostgreSQL that runs; its `psql` opens a terminal."""
        if self._installation is None:
            raise EmbeddedDatabaseError("the embedded database has not been started")
        return self._installation

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it lives."""
        return self._postmaster.pid()

    async def start(self) -> None:
        """Bring the database up; returns when it answers. The first time takes some seconds and the network.

        Raises:
            DataDirectoryInUseError: Another service owns the data directory.
            RuntimeUnavailableError: There is no PostgreSQL to run and none can be made.
            WrongMajorVersionError: The data was made by another major version.
            PortInUseError: The port asked for is taken.
            StartFailedError: The database did not come up; its last words are in the text.
            EmbeddedDatabaseError: Anything else that stands in the way.
        """
        try:
            self._account = database_account(self._directory.cluster)
            self._directory.prepare(self._account)
            self._ownership.take()
            await self._start_owned()
        except OSError as error:
            raise DataDirectoryError(f"the data directory {self._directory.folder} cannot be used: {error}") from error

    async def supervise(self) -> None:
        """Restart the database whenever it dies, until cancelled; nothing else ends this. Cancel it before `stop`."""
        pause_s = FIRST_PAUSE_S
        while True:
            lived_s = await self._watch()
            pause_s = FIRST_PAUSE_S if lived_s >= STEADY_S else min(pause_s * 2, LONGEST_PAUSE_S)
            words = self._postmaster.last_words()
            self._on_event("embedded_database_died", {"restart_in_s": pause_s, "last_words": words})
            await asyncio.sleep(pause_s)
            if await asyncio.to_thread(self._ballast.give_up_if_full):
                self._on_event("embedded_ballast_given_up", {"folder": str(self._directory.folder)})
            try:
                await self.revive()
            except (EmbeddedDatabaseError, OSError) as error:
                self._on_event("embedded_database_restart_failed", {"error": str(error)})

    async def revive(self) -> None:
        """Start the database if it is dead, on the port that it had, and wait until it takes connections.

        `start` has to come first. A database that lives is left as it is.

        Raises:
            EmbeddedDatabaseError: It did not come up, or its port is taken.
        """
        if await self._adopt():
            return
        # The port stays while we live: the pool's URL names it.
        port = self._settings.port if self._access is None else self._access.port
        self._access = self._directory.choose_access(port)
        self._directory.prepare_socket_folder(self._account)
        text = configuration(
            self._directory, self.installation, self._access.port, self._settings.server_settings, memory_bytes()
        )
        replace_file(self._directory.configuration, text, mode=0o644)
        replace_file(self._directory.client_authentication, CLIENT_AUTHENTICATION, mode=0o644)
        self._postmaster.start(self.installation, self._account)
        await self._postmaster.wait_ready(self._settings.start_timeout_s)
        self._on_event("embedded_database_started", {"pid": self._postmaster.pid(), "port": self._access.port})

    async def stop(self) -> None:
        """Stop the database and give the data directory free; safe before `start` and twice.

        Raises:
            StopFailedError: It does not end; the directory is given free all the same.
        """
        try:
            if self._access is not None:
                await self._postmaster.stop(self._settings.stop_timeout_s)
        finally:
            self._access = None
            self._ownership.release()

    @property
    def _started_access(self) -> Access:
        if self._access is None:
            raise EmbeddedDatabaseError("the embedded database has not been started")
        return self._access

    async def _start_owned(self) -> None:
        directory = self._directory
        adopted = self._postmaster.pid() is not None
        try:
            self._installation = await find_or_make(
                self._settings.runtime_folder, directory.major, directory.folder, self._on_event
            )
            require_reach(self._account, self._installation.programs)
            if directory.major is None:
                await initialise(directory, self._installation, self._account)
                self._on_event("embedded_database_made", {"folder": str(directory.folder)})
            await self._bring_up()
            await asyncio.to_thread(self._ballast.put_back)
        except BaseException:
            if not adopted:
                await self._postmaster.stop(self._settings.stop_timeout_s)
            self._access = None
            self._ownership.release()
            raise

    async def _adopt(self) -> bool:
        """Take over the database that runs; False when none does, or it is of no use and was stopped."""
        if self._postmaster.pid() is None:
            return False
        try:
            await self._postmaster.wait_ready(self._settings.start_timeout_s)
        except StartFailedError:
            if self._postmaster.pid() is None:
                return False  # it was on its way down
            raise
        found = self._postmaster.pidfile()
        if found is None or found.port is None:
            return False
        wanted = self._settings.port in {None, found.port}
        if not wanted or not self._directory.socket(found.port).exists():
            # On another port than is wanted now, or its socket was cleaned away underneath it.
            await self._postmaster.stop(self._settings.stop_timeout_s)
            return False
        if self._access is None:
            self._on_event("embedded_database_adopted", {"pid": found.pid, "port": found.port})
        self._access = self._directory.adopt_access(found.port)
        return True

    async def _bring_up(self) -> None:
        """Revive and complete, again and again while what an earlier service left is still on its way out."""
        deadline = asyncio.get_running_loop().time() + self._settings.start_timeout_s
        while True:
            try:
                await self.revive()
                await complete(self._directory, self._started_access)
            except (
                SurvivorsError,
                OSError,
                asyncpg.PostgresConnectionError,
                asyncpg.OperatorInterventionError,
            ) as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise StartFailedError(f"the database does not answer: {error}") from error
                await asyncio.sleep(FIRST_PAUSE_S)
            except asyncpg.PostgresError as error:
                raise StartFailedError(f"the database started but refuses what it needs: {error}") from error
            else:
                return

    async def _watch(self) -> float:
        """Wait until the database is dead, putting the ballast back meanwhile; return the seconds that it lived."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        ballast_check = began
        while self._postmaster.pid() is not None:
            if loop.time() >= ballast_check:
                ballast_check = loop.time() + BALLAST_CHECK_S
                if await asyncio.to_thread(self._ballast.put_back):
                    self._on_event("embedded_ballast_put_back", {"folder": str(self._directory.folder)})
            await asyncio.sleep(WATCH_S)
        return loop.time() - began
