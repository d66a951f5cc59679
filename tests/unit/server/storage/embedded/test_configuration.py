from __future__ import annotations

from pathlib import Path

import pytest

from headrace_server.storage.embedded import configuration as room
from headrace_server.storage.embedded.configuration import MIB, configuration, memory_bytes, shared_memory_type
from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.layout import DataDirectory

INSTALLATION = Installation(Path("/usr/lib/postgresql/17/bin"), "17.11", "2.19.3", lz4=True)


def settings_of(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in (line.partition(" = ") for line in lines)}


def configured(memory: int = 8192 * MIB, lz4: bool = True, **overrides: str) -> dict[str, str]:
    installation = Installation(INSTALLATION.programs, "17.11", "2.19.3", lz4)
    return settings_of(configuration(DataDirectory(Path("/data")), installation, 15999, overrides, memory))


def test_durability_is_never_traded_away() -> None:
    settings = configured()
    assert (settings["fsync"], settings["full_page_writes"], settings["synchronous_commit"]) == ("on", "on", "on")


def test_only_loopback_and_a_private_socket_are_open() -> None:
    settings = configured()
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["port"] == "15999"
    assert settings["unix_socket_permissions"] == "0700"
    assert settings["unix_socket_directories"] == '"/data/socket"'


@pytest.mark.parametrize(
    ("memory", "shared_buffers"),
    [(64 * 1024 * MIB, "512MB"), (2048 * MIB, "256MB"), (128 * MIB, "32MB")],
    ids=["capped", "an eighth", "floor"],
)
def test_shared_buffers_follow_the_memory(memory: int, shared_buffers: str) -> None:
    assert configured(memory)["shared_buffers"] == shared_buffers


def test_wal_is_compressed_with_what_the_build_has() -> None:
    assert configured(lz4=True)["wal_compression"] == "lz4"
    assert configured(lz4=False)["wal_compression"] == "pglz"


def test_what_the_user_sets_wins() -> None:
    assert configured(shared_buffers="2GB", work_mem="64MB")["shared_buffers"] == "2GB"


def test_quotes_and_backslashes_in_a_value_are_escaped() -> None:
    text = configuration(DataDirectory(Path("/it's")), INSTALLATION, 1, {"log_line_prefix": "a\\b"}, 1024 * MIB)
    assert "data_directory = '/it''s/cluster'" in text
    assert "log_line_prefix = 'a\\\\b'" in text


def test_memory_is_never_more_than_the_machine_has() -> None:
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    assert 0 < memory_bytes() <= total_kib * 1024


def test_shared_memory_that_is_closed_missing_or_small_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o1777)
    assert shared_memory_type(tmp_path) == "posix"
    monkeypatch.setattr(room, "SMALLEST_SHARED_MEMORY", 10**18)
    assert shared_memory_type(tmp_path) == "mmap"
    monkeypatch.undo()
    tmp_path.chmod(0o755)
    assert shared_memory_type(tmp_path) == "mmap"
    assert shared_memory_type(tmp_path / "missing") == "mmap"
