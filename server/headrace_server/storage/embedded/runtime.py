"""Finds the PostgreSQL with TimescaleDB that the embedded database runs on, or makes a private one.

Looked for in order: one that the system has; the private one made before; else it is made from packages. A data
directory ties the choice to its major version. The private one is made in a folder beside its final place and renamed
when whole, so whatever looks ready is ready, and a file lock lets two processes make it once.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from headrace_server.storage.embedded.debian_packages import Archive, archives, unpack_from
from headrace_server.storage.embedded.errors import CommandError, RuntimeUnavailableError, WrongMajorVersionError
from headrace_server.storage.embedded.installation import Installation, inspect, installed
from headrace_server.storage.embedded.layout import make_folder, making_folder
from headrace_server.storage.embedded.relocation import relocate

FINAL_NAME = "postgresql"
PROGRAMS = "usr/lib/postgresql/*/bin"
# Packages 45 MB, unpacked 175 MB, kept 110 MB; the rest is air.
NEEDED_BYTES = 400 * 1024 * 1024
MAKING_TIMEOUT_S = 900.0


def candidates(folder: Path) -> Iterator[Installation]:
    """Yield what is at hand, in the order in which it is taken; `folder` holds the private one."""
    yield from installed()
    for programs in sorted((folder / FINAL_NAME).glob(PROGRAMS)):
        if (private := inspect(programs)) is not None:
            yield private


def find(folder: Path, major: int | None) -> Installation | None:
    """Return the first at hand that fits data of `major` (None: there is no data yet), without making anything."""
    return next((found for found in candidates(folder) if major in {None, found.major}), None)


async def find_or_make(
    folder: Path, major: int | None, data: Path, on_event: Callable[[str, Mapping[str, object]], None]
) -> Installation:
    """Return a runtime for data of `major`; makes the private one in `folder` when nothing at hand fits.

    Raises:
        WrongMajorVersionError: What is at hand is of another major version than the data in `data`.
        RuntimeUnavailableError: Nothing is at hand and nothing can be made.
    """
    found = await asyncio.to_thread(find, folder, major)
    if found is None and not (folder / FINAL_NAME).exists():
        await _make_once(folder, on_event)
        found = await asyncio.to_thread(find, folder, major)
    if found is not None:
        return found
    at_hand = sorted({c.major for c in candidates(folder)})
    if major is not None and at_hand:
        raise WrongMajorVersionError(data, major, f"at hand is {', '.join(map(str, at_hand))}")
    raise RuntimeUnavailableError(f"the one in {folder / FINAL_NAME} does not work: remove that folder and start again")


async def _make_once(folder: Path, on_event: Callable[[str, Mapping[str, object]], None]) -> None:
    try:
        await asyncio.to_thread(make_folder, folder)
        async with _locked(folder / "making.lock"):
            # Whoever held the lock before us may have made it.
            if not (folder / FINAL_NAME).exists():
                await _make(folder, on_event)
    except OSError as error:
        raise RuntimeUnavailableError(f"a private one cannot be made in {folder}: {error}") from error


async def _make(folder: Path, on_event: Callable[[str, Mapping[str, object]], None]) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise RuntimeUnavailableError(
            f"making a private one takes {NEEDED_BYTES >> 20} MB of disk, and {folder} has {free >> 20} MB left"
        )
    try:
        sources = await asyncio.to_thread(archives)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeUnavailableError(f"apt cannot read its own sources: {error}") from error
    if not sources:
        raise RuntimeUnavailableError(
            f"a private one is made from Debian's packages with apt, which this {sys.platform} machine does not offer"
        )
    refusals = []
    for archive in sources:
        on_event("embedded_runtime_making", {"archive": str(archive), "folder": str(folder)})
        try:
            await _make_from(archive, folder)
        except CommandError as error:
            refusals.append(f"{archive}: {error}")
        else:
            on_event("embedded_runtime_made", {"folder": str(folder / FINAL_NAME)})
            return
    raise RuntimeUnavailableError("a private one could not be made.\n" + "\n".join(refusals))


async def _make_from(archive: Archive, folder: Path) -> None:
    final = folder / FINAL_NAME
    making = await asyncio.to_thread(making_folder, final)
    try:
        making.chmod(0o755)
        await unpack_from(archive, making)
        await relocate(making / "root", final)
        (making / "root").rename(final)
    finally:
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        async with asyncio.timeout(MAKING_TIMEOUT_S):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.1)
        yield
    except TimeoutError as error:
        raise RuntimeUnavailableError(f"another process has been making it for {MAKING_TIMEOUT_S:g} s") from error
    finally:
        os.close(descriptor)
