import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace_server.ops.metrics import Metrics
from headrace_server.ops.neighbours import UP

# reliability.md B2, which dashboards and alerts are written against.
PROMISED = {
    "headrace_rows_received_total": (),
    "headrace_rows_acked_total": (),
    "headrace_rows_rejected_total": ("reason",),
    "headrace_rows_duplicate_total": (),
    "headrace_rows_conflict_total": (),
    "headrace_rows_dead_lettered_total": (),
    "headrace_labels_total": ("state",),
    "headrace_client_dropped_rows_total": ("policy",),
    "headrace_batch_rows": (),
    "headrace_group_rows": (),
    "headrace_ack_latency_seconds": (),
    "headrace_copy_duration_seconds": (),
    "headrace_queue_bytes": (),
    "headrace_inflight_batches": (),
    "headrace_oldest_unacked_seconds": (),
    "headrace_backpressure_seconds_total": (),
    "headrace_db_pool_in_use": (),
    "headrace_stream_active": (),
    "headrace_fenced_total": (),
    "headrace_ledger_regressed_total": (),
    "headrace_build_info": ("instance", "version"),
    "grpc_server_started_total": ("grpc_method", "grpc_service", "grpc_type"),
    "grpc_server_handled_total": ("grpc_code", "grpc_method", "grpc_service", "grpc_type"),
    "grpc_server_msg_received_total": ("grpc_method", "grpc_service", "grpc_type"),
    "grpc_server_msg_sent_total": ("grpc_method", "grpc_service", "grpc_type"),
    "grpc_server_handling_seconds": ("grpc_method", "grpc_service", "grpc_type"),
}

OPERATIONS_PAGE = Path(__file__).parents[4] / "docs" / "operations.md"


@pytest.fixture
def metrics():
    return Metrics(version="1.2.3", instance="replica-1")


def touch_all(metrics):
    method = ("unary", "s", "m")
    metrics.rows_rejected.labels("WRONG_TYPE").inc()
    metrics.labels.labels("joined").inc()
    metrics.client_dropped("DROP_NEWEST", 3)
    metrics.grpc_handled.labels(*method, "OK").inc()
    for metric in (metrics.grpc_started, metrics.grpc_received, metrics.grpc_sent):
        metric.labels(*method).inc()
    metrics.grpc_seconds.labels(*method).observe(1)


def families(metrics):
    text, _ = metrics.render()
    return list(text_string_to_metric_families(text.decode()))


def test_every_promised_metric_is_there_with_its_labels(metrics):
    touch_all(metrics)
    found = {
        sample.name: tuple(sorted(set(sample.labels) - {"le"}))
        for family in families(metrics)
        for sample in family.samples
    }
    found |= {name.removesuffix("_count"): labels for name, labels in found.items() if name.endswith("_count")}
    assert {name: found.get(name) for name in PROMISED} == PROMISED


def test_the_operations_page_names_no_metric_that_is_not_there(metrics):
    touch_all(metrics)
    metrics.http_requests.labels("Models.list", "200").inc()
    text = metrics.render()[0].decode() + UP
    named = set(re.findall(r"\b(?:headrace|grpc_server)_[a-z_]+\b", OPERATIONS_PAGE.read_text()))
    assert len(named) > 20
    assert not {name for name in named if name not in text}


def test_every_metric_says_what_it_counts(metrics):
    touch_all(metrics)
    assert not [family.name for family in families(metrics) if not family.documentation]


def test_a_client_cannot_make_series_by_inventing_policies(metrics):
    for index in range(1_000):
        metrics.client_dropped(f"policy-{index}", 1)
    metrics.client_dropped("DROP_OLDEST", 7)
    get = metrics.registry.get_sample_value
    assert get("headrace_client_dropped_rows_total", {"policy": "other"}) == 1_000
    assert get("headrace_client_dropped_rows_total", {"policy": "DROP_OLDEST"}) == 7
    assert get("headrace_client_dropped_rows_total", {"policy": "policy-1"}) is None


def test_two_services_in_one_process_count_apart(metrics):
    other = Metrics(version="1.2.3", instance="replica-2")
    metrics.rows_received.inc(5)
    assert other.registry.get_sample_value("headrace_rows_received_total") == 0


def test_a_scraper_gets_the_format_it_asks_for(metrics):
    text, plain = metrics.render()
    assert plain.startswith("text/plain")
    openmetrics, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert openmetrics.endswith(b"# EOF\n")
    assert not text.endswith(b"# EOF\n")
