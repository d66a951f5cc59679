"""Labels in random order against events over 60 weekly chunks: the short form of `make labels-at-size`."""

from __future__ import annotations

import random

import asyncpg
import pytest

from headrace_server.joining.resolver import Resolver
from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect
from support.label_rows import event, week
from support.write_path import EVENTS, LABELS, WritePath

WEEKS = 60
A_WEEK = 50
A_BATCH = 500


@pytest.mark.parametrize("with_times", [True, False])
async def test_every_label_finds_its_event_and_no_other(
    service: WritePath, connection: asyncpg.Connection, registry: Registry, opened: Connect, with_times: bool
) -> None:
    events = [event(f"e{number}", week(number % WEEKS), dep_delay=float(number)) for number in range(WEEKS * A_WEEK)]
    await service.send(EVENTS, sorted(events, key=lambda row: row["event_time"]))
    labels = [{"event_id": row["event_id"], "minutes": row["dep_delay"]} for row in events]
    if with_times:
        labels = [{**label, "event_time": row["event_time"]} for label, row in zip(labels, events, strict=True)]
    strangers = [{"event_id": f"nobody{number}", "minutes": 1.0} for number in range(30)]
    sent = [*labels, *strangers]
    random.Random(7).shuffle(sent)
    joined = waiting = 0
    for start in range(0, len(sent), A_BATCH):
        result = await service.send(LABELS, sent[start : start + A_BATCH])
        joined, waiting = joined + result.joined, waiting + result.parked + result.pending
    assert joined + waiting == len(sent)
    if with_times:
        assert (joined, waiting) == (len(labels), len(strangers))
    await Resolver(opened, registry).resolve(connection)
    wrong = "SELECT count(*) FROM main.flight_delay_joined WHERE minutes IS DISTINCT FROM dep_delay"
    assert await connection.fetchval(wrong) == 0
    assert await connection.fetchval("SELECT count(*) FROM main.flight_delay_labels") == len(labels)
    orphans = await connection.fetch("SELECT event_id FROM main.flight_delay_orphans")
    assert {row[0] for row in orphans} == {row["event_id"] for row in strangers}
