import asyncio
import sys
import types

import pytest
import uvloop

import headrace_server
from headrace_server.http.server import ListenError
from headrace_server.ops import logs
from headrace_server.storage.edition import UnsuitableDatabaseError


class App(types.ModuleType):
    """Stands where the composition root stands; notes what it is given and ends as it is told."""

    def __init__(self):
        super().__init__("headrace_server.app")
        self.settings = None
        self.loop = None
        self.error = None

    async def serve(self, settings, *, on_ready=None):
        self.settings, self.loop = settings, asyncio.get_running_loop()
        if self.error is not None:
            raise self.error
        on_ready(types.SimpleNamespace(grpc="127.0.0.1:1", http="127.0.0.1:2"))


@pytest.fixture
def app(monkeypatch):
    app = App()
    monkeypatch.setitem(sys.modules, "headrace_server.app", app)
    monkeypatch.setattr(headrace_server, "app", app, raising=False)
    # What it does to the process's logging is tried in ops/test_logs.py.
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    return app


def test_flags_become_settings_and_the_loop_is_uvloop(headrace, app, tmp_path):
    ended = headrace(
        "serve",
        *("--grpc-host", "0.0.0.0", "--grpc-port", 0, "--http-host", "::", "--http-port", 0),
        *("--insecure", "--infer-models", "--log-level", "debug", "--log-format", "json"),
    )
    assert ended.exit_code == 0, ended.output
    settings = app.settings
    assert (settings.listen.grpc_host, settings.listen.grpc_port) == ("0.0.0.0", 0)
    assert (settings.listen.http_host, settings.listen.http_port) == ("::", 0)
    assert (settings.listen.insecure, settings.models.infer) == (True, True)
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert settings.database.data_dir == tmp_path / "data"
    assert isinstance(app.loop, uvloop.Loop)


def test_workers_are_asked_for_by_flag_or_variable(headrace, monkeypatch):
    assert "workers = 3  # flag for intake.workers" in headrace("serve", "--workers", 3, "--print-config").output
    monkeypatch.setenv("HEADRACE_WORKERS", "2")
    assert "workers = 2  # HEADRACE_WORKERS" in headrace("serve", "--print-config").output


def test_without_flags_the_file_holds(headrace, app, tmp_path):
    (tmp_path / "headrace.toml").write_text("[listen]\ninsecure = true\n[models]\ninfer = true\n")
    assert headrace("serve").exit_code == 0
    assert (app.settings.listen.insecure, app.settings.models.infer) == (True, True)


def test_another_file_may_be_named(headrace, app, tmp_path):
    (tmp_path / "other.toml").write_text("[drain]\ngrace_s = 3\n")
    assert headrace("serve", "--config", "other.toml").exit_code == 0
    assert app.settings.drain.grace_s == 3


def test_wrong_settings_end_it_before_anything_starts(headrace, app):
    ended = headrace("serve", "--grpc-host", "0.0.0.0", "--log-level", "loud")
    assert ended.exit_code == 2
    assert "log.level = 'loud'" in ended.stderr
    assert app.loop is None


def test_an_open_door_is_refused_until_insecure_is_spelled_out(headrace, app):
    ended = headrace("serve", "--http-host", "0.0.0.0")
    assert (ended.exit_code, app.loop) == (2, None)
    assert "--insecure" in ended.stderr


def test_print_config_shows_the_settings_in_force_and_serves_nothing(headrace, app, monkeypatch):
    monkeypatch.delenv("HEADRACE_DATA_DIR")
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://u:hunter2@db/ml")
    shown = headrace("serve", "--print-config", "--http-port", 0)
    assert (shown.exit_code, app.loop) == (0, None)
    assert "http_port = 0  # flag for listen.http_port" in shown.output
    assert "postgresql://db/ml" in shown.output
    assert "hunter2" not in shown.output


@pytest.mark.parametrize(
    "error",
    [
        ListenError("the HTTP door cannot listen"),
        UnsuitableDatabaseError("the server has no TimescaleDB"),
        ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [ListenError("taken")])]),
        ConnectionRefusedError(111, "Connection refused"),
    ],
)
def test_what_a_person_can_mend_is_told_without_a_traceback(headrace, app, error):
    app.error = error
    ended = headrace("serve")
    assert ended.exit_code == 1
    leaf = error.exceptions[0].exceptions[0] if isinstance(error, ExceptionGroup) else error
    assert str(leaf) in ended.stderr
    assert "Traceback" not in ended.output


def test_a_defect_keeps_its_traceback(headrace, app):
    app.error = ZeroDivisionError("a defect")
    assert isinstance(headrace("serve").exception, ZeroDivisionError)
