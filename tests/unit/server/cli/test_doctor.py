import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from headrace.version import __version__


@pytest.fixture
def free_ports(monkeypatch):
    """Ask for ports that nobody has, whatever else runs on this machine."""
    monkeypatch.setenv("HEADRACE_LISTEN_GRPC_PORT", "0")
    monkeypatch.setenv("HEADRACE_LISTEN_HTTP_PORT", "0")


@pytest.fixture
def far(monkeypatch):
    """A database that is not there, so that what this machine can embed does not matter."""
    monkeypatch.delenv("HEADRACE_DATA_DIR", raising=False)
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/ml")


def test_it_says_which_versions_are_here(headrace, free_ports, far):
    output = headrace("doctor").output
    assert f"headrace {__version__}" in output
    assert "asyncpg" in output


def test_a_database_that_is_away_fails_it_and_its_password_stays_unsaid(headrace, free_ports, far):
    ended = headrace("doctor")
    assert ended.exit_code == 1
    assert "✗ database postgresql://127.0.0.1:1/ml" in ended.output
    assert "hunter2" not in ended.output


def test_it_looks_at_the_embedded_database_and_makes_nothing(headrace, free_ports, tmp_path):
    output = headrace("doctor").output
    assert f"no data yet; the first start makes it in {tmp_path / 'data'}" in output
    assert not (tmp_path / "data").exists()


def test_wrong_settings_are_all_named(headrace, free_ports, far, monkeypatch):
    monkeypatch.setenv("HEADRACE_LOG_LEVEL", "loud")
    monkeypatch.setenv("HEADRACE_TYPO", "1")
    ended = headrace("doctor")
    assert ended.exit_code == 1
    assert "✗ HEADRACE_LOG_LEVEL = 'loud'" in ended.output
    assert "✗ HEADRACE_TYPO" in ended.output


def test_a_port_of_another_program_fails_it_and_says_what_to_set(headrace, free_ports, far, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("HEADRACE_LISTEN_HTTP_PORT", str(port))
        output = headrace("doctor").output
    assert f"✗ HTTP: cannot listen at 127.0.0.1:{port}" in output
    assert "listen.http_port" in output


def test_a_port_of_a_headrace_service_is_well(headrace, far, monkeypatch):
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("headrace.v1.IngestService", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        monkeypatch.setenv("HEADRACE_LISTEN_GRPC_PORT", str(port))
        monkeypatch.setenv("HEADRACE_LISTEN_HTTP_PORT", "0")
        output = headrace("doctor").output
    finally:
        server.stop(None).wait()
    assert f"✓ gRPC: a headrace service is running at 127.0.0.1:{port}" in output
