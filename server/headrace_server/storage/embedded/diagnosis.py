"""What `headrace doctor` says about the embedded database: what is found, what is missing, what to do.

Looks only: nothing is made, started or fetched, and each finding stands for itself, so that one fault hides no other.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headrace_server.storage.embedded.account import database_account
from headrace_server.storage.embedded.configuration import memory_bytes
from headrace_server.storage.embedded.debian_packages import archives
from headrace_server.storage.embedded.errors import INSTEAD, CommandError, EmbeddedDatabaseError
from headrace_server.storage.embedded.layout import DataDirectory
from headrace_server.storage.embedded.location import locate
from headrace_server.storage.embedded.relocation import find_patchelf
from headrace_server.storage.embedded.runtime import NEEDED_BYTES, candidates
from headrace_server.storage.embedded.settings import EmbeddedSettings

GIB = 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `ok`; `warn`: works, but not well; `fail`: does not work.
        text: What is so.
        advice: What to do about it; empty when there is nothing to do.
    """

    level: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""


def diagnose(settings: EmbeddedSettings) -> list[Finding]:
    """Return what stands for and against an embedded database with these settings, the foundations first."""
    directory = DataDirectory(settings.data_folder)
    return [
        *_account(directory),
        *_runtime(settings, directory),
        *_data(settings, directory),
        *_room(directory),
    ]


def _account(directory: DataDirectory) -> Iterator[Finding]:
    try:
        account = database_account(directory.cluster)
    except (EmbeddedDatabaseError, OSError) as error:
        yield Finding("fail", str(error))
    else:
        yield Finding("ok", f"PostgreSQL runs as {account.name if account else 'the current user'}")


def _runtime(settings: EmbeddedSettings, directory: DataDirectory) -> Iterator[Finding]:
    major = _major(directory)
    at_hand = list(candidates(settings.runtime_folder))
    for one in at_hand:
        if major in {None, one.major}:
            yield Finding("ok", f"PostgreSQL {one.version} with TimescaleDB {one.timescaledb} in {one.programs}")
            return
    if at_hand:
        others = ", ".join(one.version for one in at_hand)
        yield Finding(
            "fail",
            f"the data was made by PostgreSQL {major}, at hand is {others}",
            f"install PostgreSQL {major} with TimescaleDB, or upgrade the data with pg_upgrade",
        )
        return
    yield _making(settings)


def _making(settings: EmbeddedSettings) -> Finding:
    nothing = "no PostgreSQL with TimescaleDB is installed"
    try:
        sources = archives()
        find_patchelf()
    except (OSError, subprocess.SubprocessError, CommandError) as error:
        return Finding("fail", f"{nothing}, and a private one cannot be made: {error}", INSTEAD)
    if not sources:
        return Finding("fail", f"{nothing}, and this machine has no apt to make a private one with", INSTEAD)
    free = shutil.disk_usage(_existing(settings.runtime_folder)).free
    if free < NEEDED_BYTES:
        advice = f"free {(NEEDED_BYTES - free) >> 20} MB on the disk of {settings.runtime_folder}"
        return Finding("fail", f"{nothing}, and there is no room to make a private one", advice)
    where = ", ".join(map(str, sources))
    return Finding("ok", f"{nothing}; the first start makes a private one from {where}")


def _data(settings: EmbeddedSettings, directory: DataDirectory) -> Iterator[Finding]:
    location = locate(settings)
    if location is None:
        if directory.cluster.exists():
            yield Finding("fail", f"the data in {directory.folder} cannot be read", "run as the user that made it")
        else:
            yield Finding("ok", f"no data yet; the first start makes it in {directory.folder}")
        return
    state = "running" if location.running else "stopped"
    owned = f"owned by process {location.service_pid}" if location.service_pid else "owned by no service"
    yield Finding("ok", f"data in {directory.folder}, {state}, {owned}")
    if settings.ballast_bytes and not directory.ballast.exists():
        yield Finding(
            "warn",
            "the ballast that helps out of a full disk is not there",
            f"free {2 * settings.ballast_bytes >> 20} MB on the disk of {directory.folder}; it is put back by itself",
        )


def _room(directory: DataDirectory) -> Iterator[Finding]:
    free = shutil.disk_usage(_existing(directory.folder)).free
    room = f"{free / GIB:.1f} GiB of disk free for {directory.folder}"
    yield Finding("ok", room) if free >= 2 * GIB else Finding("warn", room, "2 GiB are needed for comfort")
    memory = memory_bytes()
    text = f"{memory / GIB:.1f} GiB of memory"
    yield Finding("ok", text) if memory >= GIB else Finding("warn", text, "1 GiB is needed for comfort")


def _major(directory: DataDirectory) -> int | None:
    try:
        return directory.major
    except (OSError, ValueError):
        return None


def _existing(folder: Path) -> Path:
    return next(step for step in (folder, *folder.parents) if step.exists())
