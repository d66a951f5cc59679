import pytest
from prometheus_client.parser import text_string_to_metric_families


async def test_alive_is_alive_whether_ready_or_not(door):
    door.ready = False
    assert (await door.get("/healthz")).status == 200


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_ready_follows_the_service(door, ready, status):
    door.ready = ready
    assert (await door.get("/readyz")).status == status


async def test_metrics_are_what_prometheus_reads(door):
    door.metrics.rows_received.inc(7)
    answer = await door.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert samples["headrace_rows_received_total"] == 7


async def test_the_page_says_what_this_is_and_where_the_doors_are(door):
    answer = await door.get("/")
    assert answer.headers["Content-Type"].startswith("text/html")
    for words in ("headrace 1.2.3", "127.0.0.1:50051", door.address, 'href="/metrics"', 'href="/v1/models"'):
        assert words in answer.body.decode()


async def test_the_page_does_not_say_what_a_header_puts_in_its_mouth(door):
    answer = await door.get("/", Host="<script>alert(1)</script>")
    assert b"<script>" not in answer.body


async def test_what_is_not_there_is_a_problem_document(door):
    answer = await door.get("/v2/anything")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.json["title"] == "Not Found"
    assert door.counted("none", "404") == 1


async def test_a_wrong_method_is_a_problem_document_that_names_the_right_one(door):
    answer = await door.get("/v1/models/flight_delay/labels")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.json["status"] == 405
