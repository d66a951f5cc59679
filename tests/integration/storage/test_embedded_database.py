"""The embedded database as the service lives with it: first start, two doors, crashes of either side, the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from headrace_server.storage.embedded import (
    DataDirectoryError,
    DataDirectoryInUseError,
    EmbeddedDatabase,
    EmbeddedSettings,
    StartFailedError,
    WrongMajorVersionError,
    diagnose,
    locate,
)
from headrace_server.storage.embedded import postmaster as postmaster_module
from headrace_server.storage.embedded.command import run
from support.timescale import reachable_folder

# A service that starts, says so, and is never told to stop.
SERVICE = """
import asyncio, sys
from pathlib import Path
from headrace_server.storage.embedded import EmbeddedDatabase, EmbeddedSettings
async def serve():
    database = EmbeddedDatabase(EmbeddedSettings(data_dir=Path(sys.argv[1]), ballast_bytes=0))
    await database.start()
    print(database.pid, flush=True)
    await database.supervise()
asyncio.run(serve())
"""


def settings_in(folder: Path) -> EmbeddedSettings:
    return EmbeddedSettings(
        data_dir=folder / "data",
        ballast_bytes=1024 * 1024,
        server_settings={"shared_buffers": "32MB"},
        start_timeout_s=30,
        stop_timeout_s=10,
    )


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with a data directory that was made, started once, and stopped."""
    folder = reachable_folder()

    async def make() -> None:
        async with started(settings_in(folder)):
            pass

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, make()).result()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def settings(made: Path) -> AsyncIterator[EmbeddedSettings]:
    """A data directory that was made before: most of a first start's time goes into making it."""
    folder = reachable_folder()
    await run(["cp", "-a", made / "data", folder], timeout_s=30)
    yield settings_in(folder)
    await end(folder)


@pytest.fixture
async def new_settings() -> AsyncIterator[EmbeddedSettings]:
    """A data directory that does not exist yet."""
    folder = reachable_folder()
    yield settings_in(folder)
    await end(folder)


async def end(folder: Path) -> None:
    # Whatever a test left running: the next one takes it over, and ends it.
    if (found := locate(EmbeddedSettings(data_dir=folder / "data"))) is not None and found.running:
        heir = EmbeddedDatabase(EmbeddedSettings(data_dir=folder / "data", ballast_bytes=0))
        await heir.start()
        await heir.stop()
    shutil.rmtree(folder)


@contextmanager
def service_on(settings: EmbeddedSettings) -> Iterator[int]:
    """Run a service of its own on the data; kill -9 it at the end. Yields its database's process id."""
    command = [sys.executable, "-c", SERVICE, str(settings.data_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            yield int(service.stdout.readline())
        finally:
            service.kill()


class Events(list[str]):
    def __call__(self, name: str, facts: Mapping[str, object]) -> None:
        self.append(name)


@asynccontextmanager
async def started(settings: EmbeddedSettings, events: Events | None = None) -> AsyncIterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(settings, events)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


@asynccontextmanager
async def supervised(database: EmbeddedDatabase) -> AsyncIterator[None]:
    watching = asyncio.create_task(database.supervise())
    try:
        yield
    finally:
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def is_dead(pid: int) -> bool:
    """A process that nobody waited for counts as dead."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_both_doors_lead_to_a_database_with_timescaledb(new_settings: EmbeddedSettings) -> None:
    async with started(new_settings) as database:
        for url in (database.url, database.public_url):
            assert await ask(url, "SELECT extname FROM pg_extension WHERE extname = 'timescaledb'") == "timescaledb"
        wanted = {
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "jit": "off",
            "fsync": "on",
            "shared_buffers": "32MB",
        }
        for name, value in wanted.items():
            assert await ask(database.url, f"SELECT current_setting('{name}')") == value
        assert await ask(database.url, "SELECT upper('é')") == "É"


async def test_psql_of_the_runtime_understands_both_urls(settings: EmbeddedSettings) -> None:
    async with started(settings) as database:
        for url in (database.url, database.public_url):
            command = [database.installation.psql, "-XAt", url, "-c", "SELECT current_user"]
            said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
            assert said.stdout == "headrace\n", said.stderr


async def test_the_loopback_door_wants_the_password(settings: EmbeddedSettings) -> None:
    async with started(settings) as database:
        door, _, rest = database.public_url.partition("@")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(f"{door}x@{rest}", "SELECT 1")


async def test_data_urls_and_ballast_are_kept_between_runs(settings: EmbeddedSettings) -> None:
    async with started(settings) as database:
        await ask(database.url, "CREATE TABLE kept AS SELECT 7 AS value")
        urls = (database.url, database.public_url)
    assert (settings.data_folder / "ballast").stat().st_size == settings.ballast_bytes
    events = Events()
    async with started(settings, events) as database:
        assert (database.url, database.public_url) == urls
        assert await ask(database.url, "SELECT value FROM kept") == 7
    assert events == ["embedded_database_started"]


async def test_stop_ends_every_process_and_may_be_called_at_any_time(settings: EmbeddedSettings) -> None:
    database = EmbeddedDatabase(settings)
    await database.stop()
    await database.start()
    processes = [psutil.Process(database.pid), *psutil.Process(database.pid).children(recursive=True)]
    idle = await asyncpg.connect(database.url)
    await database.stop()
    await database.stop()
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    idle.terminate()


async def test_a_database_that_does_not_listen_to_signals_is_stopped_by_force(
    settings: EmbeddedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmaster_module, "HARD_STOP_S", 0.5)
    impatient = EmbeddedSettings(data_dir=settings.data_dir, ballast_bytes=0, stop_timeout_s=0.2)
    database = EmbeddedDatabase(impatient)
    await database.start()
    postmaster = psutil.Process(database.pid)
    postmaster.suspend()
    # A stopped process takes INT and QUIT when it continues, KILL at once.
    await database.stop()
    await until(lambda: is_dead(postmaster.pid))


async def test_a_second_service_is_told_who_owns_the_data(settings: EmbeddedSettings) -> None:
    async with started(settings):
        with pytest.raises(DataDirectoryInUseError, match=f"{settings.data_folder}.*process {os.getpid()}"):
            await EmbeddedDatabase(settings).start()
        found = locate(settings)
        assert found is not None
        assert found.running, "the refused one did no harm"


async def test_a_database_that_outlived_its_service_is_adopted(settings: EmbeddedSettings) -> None:
    with service_on(settings) as pid:
        pass
    assert psutil.pid_exists(pid)
    events = Events()
    async with started(settings, events) as database:
        assert database.pid == pid
        assert await ask(database.public_url, "SELECT 1") == 1
    assert events == ["embedded_database_adopted"]
    await until(lambda: is_dead(pid))


async def test_service_and_database_killed_together_come_back(settings: EmbeddedSettings) -> None:
    with service_on(settings) as pid:
        location = locate(settings)
        assert location is not None
        await ask(location.url, "CREATE TABLE kept AS SELECT 7 AS value")
        # A backend that notices nothing for a while, as one deep in a long computation.
        busy = await asyncpg.connect(location.url)
        computing = asyncio.create_task(busy.execute("SELECT count(*) FROM generate_series(1, 10000000)"))
        active = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%10000000)' AND state = 'active'"
        while not await ask(location.url, active):
            await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    assert (settings.data_folder / "cluster" / "postmaster.pid").exists()
    async with started(settings) as heir:
        assert await ask(heir.url, "SELECT value FROM kept") == 7
    # It may have finished: the heir waited for it, since two must never write to the same data.
    await asyncio.gather(computing, return_exceptions=True)
    busy.terminate()


async def test_a_stale_pid_file_with_a_reused_process_id_is_survived(settings: EmbeddedSettings) -> None:
    async with started(settings) as database:
        pidfile = (settings.data_folder / "cluster" / "postmaster.pid").read_text()
        stale = pidfile.replace(str(database.pid), str(os.getpid()), 1)
        socket = next((settings.data_folder / "socket").glob(".s.PGSQL.*[0-9]"))
        lock = (socket.parent / f"{socket.name}.lock").read_text()
    (settings.data_folder / "cluster" / "postmaster.pid").write_text(stale)
    (socket.parent / f"{socket.name}.lock").write_text(lock.replace(str(database.pid), str(os.getpid()), 1))
    async with started(settings) as database:
        assert await ask(database.url, "SELECT 1") == 1


async def test_a_killed_database_is_restarted_behind_the_same_urls(settings: EmbeddedSettings) -> None:
    events = Events()
    async with started(settings, events) as database, supervised(database):
        await ask(database.url, "CREATE TABLE kept AS SELECT 7 AS value")
        urls = (database.url, database.public_url)
        for killed in range(1, 3):
            os.kill(database.pid, signal.SIGKILL)
            await until(lambda killed=killed: events.count("embedded_database_started") == 1 + killed)
            assert (database.url, database.public_url) == urls
            assert await ask(database.url, "SELECT value FROM kept") == 7
        assert events.count("embedded_database_died") >= 2


async def test_supervising_goes_on_while_a_restart_fails(settings: EmbeddedSettings) -> None:
    events = Events()
    async with started(settings, events) as database, supervised(database):
        control = settings.data_folder / "cluster" / "global" / "pg_control"
        control.rename(control.with_suffix(".away"))
        os.kill(database.pid, signal.SIGKILL)
        await until(lambda: events.count("embedded_database_restart_failed") >= 2)
        control.with_suffix(".away").rename(control)
        await until(lambda: events.count("embedded_database_started") == 2)
        assert await ask(database.url, "SELECT 1") == 1


async def test_a_database_that_dies_of_a_full_disk_gets_the_ballast(settings: EmbeddedSettings) -> None:
    events = Events()
    async with started(settings, events) as database:
        assert database._ballast.held
        database._ballast._full_below_bytes = 10**18  # every disk is full
        async with supervised(database):
            os.kill(database.pid, signal.SIGKILL)
            await until(lambda: events.count("embedded_database_started") == 2)
        assert "embedded_ballast_given_up" in events
        assert not database._ballast.held
    async with started(settings):
        assert (settings.data_folder / "ballast").exists()


async def test_a_cleaned_away_socket_is_healed_by_the_next_service(settings: EmbeddedSettings) -> None:
    with service_on(settings):
        pass
    shutil.rmtree(settings.data_folder / "socket")
    async with started(settings) as heir:
        assert await ask(heir.url, "SELECT 1") == 1


async def test_data_made_by_another_major_version_is_refused_and_left_alone(settings: EmbeddedSettings) -> None:
    async with started(settings):
        pass
    version = settings.data_folder / "cluster" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(WrongMajorVersionError, match=f"{settings.data_folder} was made by PostgreSQL 9"):
        await EmbeddedDatabase(settings).start()
    assert any(one.level == "fail" and "PostgreSQL 9" in one.text for one in diagnose(settings))
    assert locate(settings) is not None


async def test_a_half_made_cluster_is_made_anew(new_settings: EmbeddedSettings) -> None:
    half = new_settings.data_folder / "cluster.making-1" / "base"
    half.mkdir(parents=True)
    (new_settings.data_folder / "service.lock").touch()
    async with started(new_settings) as database:
        assert await ask(database.url, "SELECT 1") == 1
    assert not half.exists()


async def test_a_start_that_is_cancelled_leaves_nothing_running_and_the_data_free(settings: EmbeddedSettings) -> None:
    async with started(settings):
        pass
    events = Events()
    database = EmbeddedDatabase(settings, events)
    starting = asyncio.create_task(database.start())
    await until(lambda: database.pid is not None)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert database.pid is None
    async with started(settings):
        pass


async def test_a_setting_that_postgresql_refuses_ends_the_start_with_its_words(settings: EmbeddedSettings) -> None:
    wrong = EmbeddedSettings(data_dir=settings.data_dir, ballast_bytes=0, server_settings={"shared_buffers": "lots"})
    with pytest.raises(StartFailedError, match="shared_buffers"):
        await EmbeddedDatabase(wrong).start()
    async with started(settings):
        pass


async def test_a_folder_of_somebody_else_is_not_touched(new_settings: EmbeddedSettings) -> None:
    new_settings.data_folder.mkdir()
    (new_settings.data_folder / "thesis.tex").write_text("precious")
    with pytest.raises(DataDirectoryError, match=r"thesis\.tex"):
        await EmbeddedDatabase(new_settings).start()
    assert [path.name for path in new_settings.data_folder.iterdir()] == ["thesis.tex"]


async def test_the_database_is_located_while_a_service_owns_it(new_settings: EmbeddedSettings) -> None:
    async with started(new_settings) as database:
        found = locate(new_settings)
        assert found is not None
        assert (found.url, found.public_url, found.data_dir) == (
            database.url,
            database.public_url,
            new_settings.data_folder,
        )
        assert (found.running, found.service_pid) == (True, os.getpid())
        assert found.installation == database.installation
        assert [one.text for one in diagnose(new_settings) if one.level == "fail"] == []
    found = locate(new_settings)
    assert found is not None
    assert (found.running, found.service_pid) == (False, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the database to another account")
async def test_under_root_the_database_runs_as_an_account_that_owns_nothing_else(settings: EmbeddedSettings) -> None:
    async with started(settings) as database:
        uid = psutil.Process(database.pid).uids().real
        assert uid != 0
        owned = {path.name for path in settings.data_folder.glob("*") if path.stat().st_uid == uid}
        assert owned == {"cluster", "socket"}
