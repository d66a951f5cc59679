"""One PostgreSQL with TimescaleDB on this machine: where its programs are and what version it has.

In: a folder of programs. Out: an `Installation`, or None when it is incomplete, older than 15, or without TimescaleDB.
Nothing is written and nothing is started but `pg_config` and `postgres --version`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST_MAJOR = 15
# Debian and its kin, Red Hat and its kin, Homebrew on both kinds of Mac.
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Installation:
    """Programs of one PostgreSQL that has TimescaleDB.

    Attributes:
        programs: Folder of `postgres`, `initdb` and `psql`.
        version: PostgreSQL's version, e.g. `17.11`.
        timescaledb: TimescaleDB's version, e.g. `2.19.3`.
        lz4: Whether WAL can be compressed with lz4.
    """

    programs: Path
    version: str
    timescaledb: str
    lz4: bool

    @property
    def major(self) -> int:
        """Major version of PostgreSQL."""
        return int(self.version.split(".")[0])

    @property
    def psql(self) -> Path:
        """The interactive terminal."""
        return self.programs / "psql"


def inspect(programs: Path) -> Installation | None:
    """Return what is in a folder of programs, or None when it is not good enough."""
    if not all((programs / name).exists() for name in ("postgres", "initdb", "pg_config", "psql")):
        return None
    try:
        found = re.search(r"\(PostgreSQL\) (\d+\.\d+)", _ask(programs / "postgres", "--version"))
        answers = _ask(programs / "pg_config", "--sharedir", "--pkglibdir", "--configure").splitlines()
        share, library, configure = Path(answers[0]), Path(answers[1]), answers[2]
        control = (share / "extension" / "timescaledb.control").read_text()
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
    timescaledb = re.search(r"^default_version\s*=\s*'([^']+)'", control, re.MULTILINE)
    if found is None or timescaledb is None or int(found[1].split(".")[0]) < OLDEST_MAJOR:
        return None
    if not any((library / f"timescaledb-{timescaledb[1]}{suffix}").exists() for suffix in (".so", ".dylib")):
        return None
    return Installation(programs, found[1], timescaledb[1], "--with-lz4" in configure)


def installed() -> Iterator[Installation]:
    """Yield what the system has, the newest version first, then what stands on PATH."""
    folders = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))]
    folders.sort(key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))], reverse=True)
    if (on_path := shutil.which("postgres")) is not None:
        folders.append(Path(on_path).resolve().parent)
    for folder in dict.fromkeys(folders):
        if (installation := inspect(folder)) is not None:
            yield installation


def _ask(program: Path, *questions: str) -> str:
    answer = subprocess.run(  # noqa: S603 — a program that we found, no shell
        [program, *questions], capture_output=True, text=True, check=True, timeout=20, env={"LC_ALL": "C"}
    )
    return answer.stdout
