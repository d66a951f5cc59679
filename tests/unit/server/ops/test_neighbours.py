import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from headrace_server.ops.metrics import Metrics
from headrace_server.ops.neighbours import Neighbours, Seat

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def metrics():
    return [Metrics(version="1.2.3", instance=f"i{number}") for number in range(3)]


@pytest.fixture
def neighbours(metrics, tmp_path):
    tmp_path.chmod(0o700)
    return [Neighbours(Seat(number, 3, tmp_path), each) for number, each in enumerate(metrics)]


async def samples(of, accept=""):
    text, _ = await of.render(accept)
    parse = openmetrics if accept else prometheus
    families = list(parse(text.decode()))
    assert len({family.name for family in families}) == len(families), "each family once"
    return {
        (sample.name, sample.labels["worker"], sample.labels.get("reason")): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_whoever_is_asked_shows_the_numbers_of_all(metrics, neighbours, accept):
    for number, each in enumerate(metrics):
        each.rows_acked.inc(10 * number)
        each.rows_rejected.labels("TYPE_MISMATCH").inc(number)
        each.ack_latency_seconds.observe(0.003)
    async with AsyncExitStack() as answering:
        for each in neighbours:
            await answering.enter_async_context(each.answered())
        shown = [await samples(each, accept) for each in neighbours]
    for each in shown:
        for number in range(3):
            worker = str(number)
            assert each["headrace_rows_acked_total", worker, None] == 10 * number
            assert each["headrace_rows_rejected_total", worker, "TYPE_MISMATCH"] == number
            assert each["headrace_ack_latency_seconds_count", worker, None] == 1
            assert each["headrace_worker_up", worker, None] == 1


async def test_a_worker_that_does_not_answer_is_shown_as_down_and_the_others_are_shown(metrics, neighbours):
    metrics[0].rows_acked.inc(5)
    async with neighbours[0].answered():
        shown = await samples(neighbours[0])
    assert [shown["headrace_worker_up", str(number), None] for number in range(3)] == [1, 0, 0]
    assert shown["headrace_rows_acked_total", "0", None] == 5
    assert ("headrace_rows_acked_total", "1", None) not in shown


async def test_a_worker_that_is_started_again_answers_where_the_one_before_it_did(metrics, neighbours, tmp_path):
    (tmp_path / "1.sock").write_bytes(b"")  # what a killed one leaves
    async with neighbours[1].answered():
        assert (await samples(neighbours[0]))["headrace_worker_up", "1", None] == 1


async def test_one_that_hangs_holds_the_others_up_no_longer_than_is_bearable(neighbours, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace_server.ops.neighbours.ANSWER_S", 0.05)

    async def hang(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(hang, tmp_path / "2.sock"):
        assert (await samples(neighbours[0]))["headrace_worker_up", "2", None] == 0
