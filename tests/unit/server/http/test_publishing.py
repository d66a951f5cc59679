import asyncio
import uuid

import pytest

from headrace.v1 import batch_pb2, error_reason_pb2
from headrace_server.config import Http
from headrace_server.errors import (
    DrainingError,
    EmptyBatchError,
    OverloadedError,
    RequestIdInvalidError,
    RequestIdReusedError,
)

EVENTS = "/v1/models/flight_delay/events"
LABELS = "/v1/models/flight_delay/labels"
ROWS = b' [ {"event_id":"a","score":1e400} ] '


async def test_an_array_goes_on_byte_for_byte(door):
    answer = await door.post(EVENTS, ROWS)
    assert answer.status == 200
    (asked,) = door.publish.asked
    assert asked.batch.json.rows == ROWS
    assert (asked.batch.model, asked.batch.kind, asked.batch.model_version, asked.batch.seq, asked.project) == (
        "flight_delay",
        batch_pb2.RECORD_KIND_EVENTS,
        "",
        0,
        "",
    )


async def test_labels_go_as_labels_and_a_project_may_be_named(door):
    await door.post("/v1/projects/bank/models/fraud/labels", ROWS)
    (asked,) = door.publish.asked
    assert (asked.batch.kind, asked.batch.model, asked.project) == (batch_pb2.RECORD_KIND_LABELS, "fraud", "bank")


async def test_an_object_may_hold_the_rows_beside_the_model_version(door):
    await door.post(EVENTS, {"rows": [{"event_id": "a"}], "model_version": "v7"})
    (asked,) = door.publish.asked
    assert (asked.batch.json.rows, asked.batch.model_version) == (b'[{"event_id":"a"}]', "v7")


async def test_the_query_may_name_the_model_version_of_an_array(door):
    await door.post(EVENTS + "?model_version=v8", ROWS)
    assert door.publish.asked[0].batch.model_version == "v8"


@pytest.mark.parametrize("written", ["{}", '"{}"'])
async def test_the_idempotency_key_is_the_request_s_id_and_comes_back(door, written):
    key = str(uuid.uuid4())
    answer = await door.post(EVENTS, ROWS, Idempotency_Key=written.format(key))
    assert door.publish.asked[0].request_id == key
    assert answer.headers["Idempotency-Key"] == key
    assert answer.json["request_id"] == key


async def test_without_a_key_one_is_made_and_told(door):
    answer = await door.post(EVENTS, ROWS)
    made = door.publish.asked[0].request_id
    assert uuid.UUID(made)
    assert answer.headers["Idempotency-Key"] == made


async def test_an_error_tells_the_key_too_so_that_it_can_be_tried_again(door):
    door.publish.error = DrainingError("this replica is stopping")
    answer = await door.post(EVENTS, ROWS)
    assert answer.headers["Idempotency-Key"] == door.publish.asked[0].request_id


async def test_a_settled_batch_is_200_and_says_which_rows_were_refused(door):
    door.publish.result = {
        "rows": 10,
        "stored": 5,
        "duplicate": 2,
        "conflict": 1,
        "rejected": 2,
        "errors": [
            {
                "reason": error_reason_pb2.ERROR_REASON_WRONG_TYPE,
                "column": "dep_delay",
                "message": "'abc' is no number",
                "rows": {"starts": [2, 7], "lengths": [1, 1]},
            }
        ],
        "duplicate_rows": {"starts": [3], "lengths": [2]},
        "conflict_rows": {"starts": [9], "lengths": [1]},
    }
    answer = await door.post(EVENTS, ROWS)
    assert answer.status == 200
    assert answer.json == {
        "summary": "5 of 10 rows stored, 2 duplicate, 1 conflict, 2 rejected",
        "request_id": door.publish.asked[0].request_id,
        "rows": 10,
        "stored": 5,
        "duplicate": 2,
        "conflict": 1,
        "rejected": 2,
        "joined": 0,
        "parked": 0,
        "pending": 0,
        "skipped": 0,
        "errors": [
            {
                "reason": "WRONG_TYPE",
                "column": "dep_delay",
                "message": "'abc' is no number",
                "rows": [{"first": 2, "last": 2}, {"first": 7, "last": 7}],
            }
        ],
        "duplicate_rows": [{"first": 3, "last": 4}],
        "conflict_rows": [{"first": 9, "last": 9}],
        "parked_rows": [],
        "pending_rows": [],
        "skipped_rows": [],
        "replayed": False,
        "result_expired": False,
        "validate_only": False,
    }


async def test_a_replay_says_so(door):
    door.publish.result = {"rows": 2, "stored": 2, "replayed": True}
    assert (await door.post(EVENTS, ROWS)).json["summary"] == "2 of 2 rows stored (the result of the first time)"
    door.publish.result = {"replayed": True, "result_expired": True}
    assert "no longer kept" in (await door.post(EVENTS, ROWS)).json["summary"]


async def test_a_batch_refused_as_a_whole_says_so(door):
    door.publish.result = {"errors": [{"reason": error_reason_pb2.ERROR_REASON_UNDECODABLE, "message": "no JSON"}]}
    answer = await door.post(LABELS, b"[}")
    assert (answer.status, answer.json["errors"][0]["reason"]) == (200, "UNDECODABLE")
    assert "refused" in answer.json["summary"]


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (EmptyBatchError("no rows"), 400, None),
        (RequestIdInvalidError("no UUID"), 400, None),
        (RequestIdReusedError("other bytes"), 409, None),
        (DrainingError("stopping"), 503, "1"),
        (OverloadedError("no memory"), 429, "1"),
    ],
)
async def test_errors_are_problem_documents_with_reason_and_whether_to_retry(door, error, status, retry_after):
    door.publish.error = error
    answer = await door.post(EVENTS, ROWS)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == retry_after
    assert answer.json | {"metadata": {}, "fields": []} == {
        "type": f"urn:headrace:reason:{error.reason}",
        "title": error.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "reason": error.reason,
        "retryable": error.retryable,
        "metadata": {},
        "fields": [],
    }


async def test_a_defect_is_told_as_an_incident(door):
    door.publish.error = ZeroDivisionError("secret of the house")
    answer = await door.post(EVENTS, ROWS)
    assert (answer.status, answer.json["reason"]) == (500, "INTERNAL")
    assert answer.json["metadata"]["incident"] in answer.json["detail"]
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b'"rows"', b"{}", b'{"rows": 1}', b'{"rows": [], "x": 1}', b'{"rows":[],"model_version":1}'],
)
async def test_a_body_that_is_neither_form_is_named_and_goes_nowhere(door, body):
    answer = await door.post(EVENTS, body)
    assert (answer.status, answer.json["reason"]) == (400, "MESSAGE_UNREADABLE")
    assert "send a JSON array" in answer.json["detail"]
    assert door.publish.asked == []


async def test_rows_nested_without_end_are_refused_and_no_defect(door):
    answer = await door.post(EVENTS, b'{"rows": [' + b"[" * 500 + b"]" * 500 + b"]}")
    assert (answer.status, answer.json["reason"]) == (400, "MESSAGE_UNREADABLE")


async def test_a_body_over_the_limit_is_refused_by_its_announced_length(door):
    answer = await door.post(EVENTS, b"[" + b" " * 10_000 + b"]")
    assert (answer.status, answer.json["reason"]) == (413, "BATCH_TOO_LARGE")
    assert answer.json["metadata"] == {"max_batch_bytes": "10000"}
    assert door.publish.asked == []


async def test_a_body_of_unannounced_length_is_read_no_further_than_the_limit(door):
    reader, writer = await asyncio.open_connection(*door.address.split(":"))
    head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    for _ in range(11):
        writer.write(b"3e8\r\n" + b" " * 1_000 + b"\r\n")
    await writer.drain()
    # The last chunk never comes: the answer does.
    status = await asyncio.wait_for(reader.readline(), 20)
    assert status.startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()
    assert door.publish.asked == []


@pytest.mark.parametrize(
    "headers", [{"Content_Type": "text/plain"}, {"Content_Type": ""}, {"Content_Encoding": "gzip"}]
)
async def test_what_a_web_page_could_make_a_browser_send_is_refused(door, headers):
    answer = await door.post(EVENTS, ROWS, **headers)
    assert answer.status == 415
    assert door.publish.asked == []


async def test_requests_are_counted_by_route_and_not_by_names_in_paths(door):
    await door.post(EVENTS, ROWS)
    await door.post("/v1/models/other/events", ROWS)
    await door.post(EVENTS, b"{")
    assert door.counted("Publishing.events", "200") == 2
    assert door.counted("Publishing.events", "400") == 1


class TestTightBounds:
    @pytest.fixture
    def settings(self):
        return Http(max_posts=1, body_timeout_s=0.2, answer_timeout_s=0.2)

    async def test_a_body_that_does_not_come_is_not_waited_for(self, door):
        reader, writer = await asyncio.open_connection(*door.address.split(":"))
        head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
        writer.write(head.encode())
        assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 408")
        writer.close()
        await writer.wait_closed()

    async def test_rows_that_are_not_settled_in_time_are_to_be_sent_again(self, door):
        door.publish.held = asyncio.Event()
        answer = await door.post(EVENTS, ROWS)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "same Idempotency-Key" in answer.json["detail"]

    async def test_a_client_that_goes_away_frees_its_place(self, door):
        _, writer = await asyncio.open_connection(*door.address.split(":"))
        head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
        writer.write(head.encode() + b"[")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(20):
            while (await door.post(EVENTS, ROWS)).status != 200:
                pass


class TestOnePostAtATime:
    @pytest.fixture
    def settings(self):
        return Http(max_posts=1)

    async def test_a_post_beyond_is_told_to_come_back_and_the_place_is_free_again_after(self, door):
        door.publish.held = asyncio.Event()
        first = asyncio.create_task(door.post(EVENTS, ROWS))
        async with asyncio.timeout(20):
            while not door.publish.asked:
                await asyncio.sleep(0.01)
        second = await door.post(EVENTS, ROWS)
        assert (second.status, second.json["reason"], second.headers["Retry-After"]) == (429, "OVERLOADED", "1")
        door.publish.held.set()
        assert (await first).status == 200
        assert (await door.post(EVENTS, ROWS)).status == 200
