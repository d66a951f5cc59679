import json
from datetime import UTC, datetime

import pytest

from headrace_server.errors import EventNotFoundError, ReadersBusyError

MICROS = 1_000_000


def micros(*date):
    return int(datetime(*date, tzinfo=UTC).timestamp()) * MICROS


async def test_events_of_a_time_are_lines_of_json(door):
    answer = await door.get(
        "/v1/models/flight_delay/events?start_time=2013-01-01T00:00:00Z&end_time=2013-02-01T00:00:00+01:00"
        "&has_label=true&tag=a&limit=7&newest_first=true&columns=score,metadata"
    )
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in answer.body.splitlines()]
    assert rows == [
        {"event_id": "a", "score": 0.5, "metadata": {"k": [1]}},
        {"event_id": "b", "score": None, "metadata": None},
    ]
    (query,) = door.reader.asked
    assert (query.wanted.start, query.wanted.end) == (micros(2013, 1, 1), micros(2013, 1, 31, 23))
    assert (query.wanted.has_label, query.wanted.tag, query.limit, query.newest_first) == (True, "a", 7, True)
    assert query.columns == ["score", "metadata"]


async def test_without_a_limit_a_thousand_events_are_meant(door):
    await door.get("/v1/models/flight_delay/events")
    assert door.reader.asked[0].limit == 1_000


async def test_one_event_is_shown_with_what_came_late(door):
    answer = await door.get("/v1/projects/main/models/flight_delay/events/a?event_time=2013-01-01T00:00:00Z")
    assert answer.json["events"] == [{"event_id": "a", "score": 0.5, "metadata": {"k": [1]}}]
    assert answer.json["waiting_labels"] == [{"event_id": "b", "score": None, "metadata": None}]
    assert door.reader.asked[0].ids == ["a"]
    assert door.reader.asked[0].start == micros(2013, 1, 1)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=100001", "limit=x", "has_label=yes", "start_time=yesterday", "nothing=1", "newest_first=1"],
)
async def test_a_filter_that_is_none_is_told(door, query):
    assert (await door.get(f"/v1/models/flight_delay/events?{query}")).status == 400
    assert door.reader.asked == []


async def test_errors_are_told_before_the_answer_begins(door):
    assert (await door.get("/v1/models/nothing/events")).json["reason"] == "MODEL_NOT_FOUND"
    reversed_ = "start_time=2013-02-01T00:00:00Z&end_time=2013-01-01T00:00:00Z"
    assert (await door.get(f"/v1/models/flight_delay/events?{reversed_}")).json["reason"] == "TIME_RANGE_INVALID"
    door.reader.error = ReadersBusyError("busy")
    busy = await door.get("/v1/models/flight_delay/events")
    assert (busy.status, busy.headers["Retry-After"]) == (429, "1")
    door.reader.error = EventNotFoundError("no such event")
    assert (await door.get("/v1/models/flight_delay/events/x")).status == 404
