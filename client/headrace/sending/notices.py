"""What a client says unasked: warnings in the log, at most once a minute each, and the user's callbacks.

Callbacks run on the client's own threads. One that raises is logged and does no harm to delivery.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import ParamSpec

from headrace.errors import HeadraceError
from headrace.logged.sampling import Samples
from headrace.results import BatchOutcome
from headrace.v1 import model_pb2

logger = logging.getLogger("headrace")

P = ParamSpec("P")


class Notices:
    """Warnings and callbacks of one client.

    Args:
        interval_s: Least time between two warnings of one kind, in seconds.
        on_result: Called with the outcome of each batch of logged rows.
        on_error: Called when a batch is set aside or a session is over.
        on_drop: Called with reason and number of rows that were dropped here.
    """

    def __init__(
        self,
        interval_s: float,
        *,
        on_result: Callable[[BatchOutcome], object] | None = None,
        on_error: Callable[[HeadraceError], object] | None = None,
        on_drop: Callable[[str, int], object] | None = None,
    ) -> None:
        self.on_result = on_result
        self._on_error = on_error
        self._on_drop = on_drop
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._warned_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self.models: dict[str, model_pb2.Model] = {}
        self.samples = Samples()

    def warn(self, kind: str, message: str) -> None:
        """Warn, unless a warning of this kind was given a moment ago; how many were left out is said with the next."""
        now = time.monotonic()
        with self._lock:
            if now - self._warned_at.get(kind, float("-inf")) < self._interval_s:
                self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
                return
            self._warned_at[kind] = now
            unsaid = self._unsaid.pop(kind, 0)
        logger.warning("%s%s", message, f" ({unsaid} more since the last warning)" if unsaid else "")

    def error(self, error: HeadraceError) -> None:
        """Say that rows will not get through as they are."""
        logger.error("%s", error)
        if self._on_error is not None:
            self.guard(self._on_error, error)

    def dropped(self, reason: str, rows: int, message: str) -> None:
        """Say that rows were dropped; the caller has counted them."""
        self.warn(f"dropped {reason}", f"dropped rows: {message}")
        if self._on_drop is not None:
            self.guard(self._on_drop, reason, rows)

    def model_updated(self, model: model_pb2.Model) -> None:
        """Keep the newest schema of a model."""
        known = self.models.get(model.name)
        if known is None or known.revision < model.revision:
            self.models[model.name] = model
            self.samples.changed(model.name, model.sampling_rate or 1.0)

    def guard(self, callback: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `callback`; what it raises is logged."""
        try:
            callback(*args, **kwargs)
        except Exception:
            logger.exception("a callback has failed")

    def after_fork_in_child(self) -> None:
        """Be usable in a forked child, whoever held the lock."""
        self._lock = threading.Lock()
