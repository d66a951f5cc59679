"""The standard library's logging with a JSON formatter, into a file."""

from __future__ import annotations

import logging
from pathlib import Path

import orjson

from benchmarks.log_calls.caller import Features
from headrace import uuid7


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return orjson.dumps({"time": record.created, "event": record.msg, **vars(record)["event"]}).decode()


class StdlibLogging:
    """A logger of its own that propagates to nobody."""

    name = "logging with JSON"

    def __init__(self, folder: Path) -> None:
        self._handler = logging.FileHandler(folder / "inference.log")
        self._handler.setFormatter(_Json())
        self._logger = logging.getLogger("benchmarks.inference")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(self._handler)

    def call(self, features: Features) -> str:
        """Log an event."""
        event_id = uuid7()
        self._logger.info("inference", extra={"event": {"event_id": event_id, "features": features}})
        return event_id

    def settle(self) -> None:
        """Flush the file."""
        self._handler.flush()

    def close(self) -> None:
        """Close the file."""
        self._logger.removeHandler(self._handler)
        self._handler.close()
