import io
import json
import logging

import pytest
import structlog

from headrace_server.ops import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def untouched_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_a_library_s_come_out_as_one_json_object_each():
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger("headrace_server.app").info("serving", port=50051, place="embedded")
    logging.getLogger("grpc").warning("lost %s of %d", "one", 3)
    ours, library = written(stream)
    assert (ours["event"], ours["port"], ours["level"], ours["logger"]) == (
        "serving",
        50051,
        "info",
        "headrace_server.app",
    )
    assert ours["timestamp"].endswith("Z")
    assert list(ours)[:4] == ["timestamp", "level", "event", "logger"]
    assert (library["event"], library["level"], library["logger"]) == ("lost one of 3", "warning", "grpc")


def test_a_worker_says_in_every_line_which_it_is():
    stream = io.StringIO()
    logs.configure(stream=stream, worker=3)
    structlog.get_logger("headrace_server.app").info("serving")
    logging.getLogger("grpc").warning("lost")
    assert [line["worker"] for line in written(stream)] == [3, 3]


def test_an_exception_keeps_to_its_line_and_shows_no_local_variables():
    stream = io.StringIO()
    logs.configure(stream=stream)
    password = "hunter2"
    try:
        raise ZeroDivisionError(len(password))
    except ZeroDivisionError as error:
        structlog.get_logger("x").error("defect", exc_info=error)
    (entry,) = written(stream)
    assert "ZeroDivisionError" in entry["exception"]
    assert password not in stream.getvalue()


def test_on_a_terminal_lines_are_for_people_and_show_no_local_variables_either():
    stream = Terminal()
    logs.configure(stream=stream)
    password = "hunter" + "2"
    try:
        raise ZeroDivisionError(len(password))
    except ZeroDivisionError as error:
        structlog.get_logger("x").error("defect", exc_info=error)
    assert "defect" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(("form", "stream"), [("json", Terminal()), ("auto", io.StringIO())])
def test_machines_get_json(form, stream):
    logs.configure(form=form, stream=stream)
    structlog.get_logger("x").warning("here")
    assert written(stream)[0]["event"] == "here"


def test_what_is_below_the_level_is_not_written():
    stream = io.StringIO()
    logs.configure(level="warning", stream=stream)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("asyncio").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert [entry["event"] for entry in written(stream)] == ["loud"]


def test_what_json_does_not_know_is_written_as_text():
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger("x").info("odd", value=object(), mapping={1: 2})
    (entry,) = written(stream)
    assert entry["value"].startswith("<object object")
    assert entry["mapping"] == {"1": 2}
