"""The command line, run in this process, away from this machine's settings."""

import os

import pytest
from typer.testing import CliRunner

from headrace_server.cli.application import application


@pytest.fixture
def headrace(monkeypatch, tmp_path):
    """Run `headrace …` in an empty folder with an empty home; returns exit code, output, stderr."""
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(application, [str(argument) for argument in arguments])

    return run
