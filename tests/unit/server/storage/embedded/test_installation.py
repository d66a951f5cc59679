from __future__ import annotations

from pathlib import Path

import pytest

from headrace_server.storage.embedded.installation import Installation, inspect


def installation_in(folder: Path, *, version: str = "17.11", extension: bool = True, module: bool = True) -> Path:
    """Lay out the parts of a PostgreSQL that are looked at, with scripts that answer as its programs do."""
    programs, share, library = folder / "bin", folder / "share", folder / "lib"
    for made in (programs, share / "extension", library):
        made.mkdir(parents=True)
    answers = {
        "postgres": f"postgres (PostgreSQL) {version} (Debian {version}-1)",
        "pg_config": f"{share}\n{library}\n'--with-icu' '--with-lz4'",
        "initdb": "",
        "psql": "",
    }
    for name, answer in answers.items():
        (programs / name).write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        (programs / name).chmod(0o755)
    if extension:
        (share / "extension" / "timescaledb.control").write_text("comment = 'x'\ndefault_version = '2.19.3'\n")
    if module:
        (library / "timescaledb-2.19.3.so").touch()
    return programs


def test_what_is_there_is_described(tmp_path: Path) -> None:
    programs = installation_in(tmp_path)
    found = inspect(programs)
    assert found == Installation(programs, "17.11", "2.19.3", lz4=True)
    assert (found.major, found.psql) == (17, programs / "psql")


@pytest.mark.parametrize(
    "fault",
    [{"version": "14.9"}, {"extension": False}, {"module": False}],
    ids=["too old", "no extension", "no module"],
)
def test_what_is_not_good_enough_is_passed_over(tmp_path: Path, fault: dict[str, str | bool]) -> None:
    assert inspect(installation_in(tmp_path, **fault)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("program", ["postgres", "initdb", "pg_config", "psql"])
def test_a_missing_program_is_passed_over(tmp_path: Path, program: str) -> None:
    programs = installation_in(tmp_path)
    (programs / program).unlink()
    assert inspect(programs) is None


def test_a_program_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    programs = installation_in(tmp_path)
    (programs / "postgres").write_text("#!/bin/sh\nexit 127\n")
    assert inspect(programs) is None
