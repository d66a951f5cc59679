"""A table that refuses everything is left alone for a while."""

import pytest

from headrace_server.copying import stopped_tables
from headrace_server.copying.stopped_tables import STOPPED_FOR_S, StoppedTables


def test_a_stopped_table_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(stopped_tables, "monotonic", lambda: now)
    stopped = StoppedTables()
    stopped.stop("main.flights", "permission denied")
    assert stopped.why("main.flights") == "permission denied"
    assert stopped.why("main.weather") is None
    now += STOPPED_FOR_S
    assert stopped.why("main.flights") is None
