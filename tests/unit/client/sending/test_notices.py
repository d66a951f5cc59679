"""Warnings are few and say how many were left out."""

from __future__ import annotations

import pytest

from headrace.sending.notices import Notices


def test_a_kind_is_warned_of_once_in_the_interval_and_others_are_not_held_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notices = Notices(60.0)
    for _ in range(3):
        notices.warn("a", "first kind")
    notices.warn("b", "second kind")
    assert [record.message for record in caplog.records] == ["first kind", "second kind"]


def test_the_next_warning_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("headrace.sending.notices.time.monotonic", lambda: now)
    notices = Notices(60.0)
    for _ in range(5):
        notices.warn("a", "again")
    now = 61.0
    notices.warn("a", "again")
    assert [record.message for record in caplog.records] == ["again", "again (4 more since the last warning)"]


def test_callbacks_get_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    drops: list[tuple[str, int]] = []
    notices = Notices(60.0, on_drop=lambda reason, rows: drops.append((reason, rows)))
    for rows in (1, 2):
        notices.dropped("DROP_NEWEST", rows, "words")
    assert drops == [("DROP_NEWEST", 1), ("DROP_NEWEST", 2)]
    assert len(caplog.records) == 1
