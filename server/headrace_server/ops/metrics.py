"""The numbers of one service process, in one registry of its own.

Made once by the composition root and handed to the rooms, which add to its attributes; the HTTP door shows it as
/metrics. Units are seconds, bytes and rows. No label takes a value that a client chooses: names of producers, models
and projects are unbounded, and a series is kept for ever.
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

ROWS_A_BATCH: Final = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
# Commits take from 1 ms (an idle database) to tens of seconds (a checkpoint on a slow disk).
COMMIT_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# A stream lives for hours.
CALL_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0, 36_000.0)

# The overflow policies of the SDK; what else a client reports is counted as "other".
OVERFLOW_POLICIES: Final = frozenset({"BLOCK", "DROP_NEWEST", "DROP_OLDEST", "RAISE", "SPOOL"})

METHOD: Final = ("grpc_type", "grpc_service", "grpc_method")


class Metrics:
    """Every metric of the service as an attribute.

    Args:
        version: Version of the service.
        instance: Name of this replica.
    """

    def __init__(self, *, version: str, instance: str) -> None:
        # Creation times double every series and tell nothing that the process's start time does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Info("headrace_build", "Version of the service and name of the replica", registry=self.registry).info(
            {"version": version, "instance": instance}
        )
        self._rows()
        self._batches()
        self._flow()
        self._sessions()
        self._calls()

    def _rows(self) -> None:
        """Where every row went: received = acked + rejected + duplicate + conflict + skipped + what is in flight."""
        self.rows_received = self._counter("headrace_rows_received", "Rows in batches that were taken in")
        self.rows_acked = self._counter("headrace_rows_acked", "Rows committed and acknowledged as stored")
        self.rows_rejected = self._counter("headrace_rows_rejected", "Rows refused", "reason")
        self.rows_duplicate = self._counter("headrace_rows_duplicate", "Rows that were there before, equal")
        self.rows_conflict = self._counter("headrace_rows_conflict", "Rows whose identity another row has")
        self.rows_skipped = self._counter("headrace_rows_skipped", "Rows of events outside their model's sample")
        self.rows_dead_lettered = self._counter("headrace_rows_dead_lettered", "Rows kept as dead letters")
        self.labels = self._counter("headrace_labels", "Labels by what became of them", "state")
        self._client_dropped = self._counter(
            "headrace_client_dropped_rows", "Rows that clients report having dropped themselves", "policy"
        )

    def _batches(self) -> None:
        self.batch_rows = self._histogram("headrace_batch_rows", "Rows in a batch", ROWS_A_BATCH)
        self.group_rows = self._histogram("headrace_group_rows", "Rows in a commit", ROWS_A_BATCH)
        self.ack_latency_seconds = self._histogram(
            "headrace_ack_latency_seconds", "From a batch's last byte to its ack", COMMIT_SECONDS
        )
        self.copy_duration_seconds = self._histogram(
            "headrace_copy_duration_seconds", "One group's transaction, ledger lock to commit", COMMIT_SECONDS
        )

    def _flow(self) -> None:
        self.queue_bytes = self._gauge("headrace_queue_bytes", "Memory reserved for batches not yet settled")
        self.inflight_batches = self._gauge("headrace_inflight_batches", "Batches taken in and not yet settled")
        self.oldest_unacked_seconds = self._gauge("headrace_oldest_unacked_seconds", "Age of the oldest of them")
        self.backpressure_seconds = self._counter(
            "headrace_backpressure_seconds", "Time that streams waited for memory before their next read"
        )
        self.quota_seconds = self._counter(
            "headrace_quota_seconds", "Time that streams waited for their project's quota before their next read"
        )
        self.db_pool_in_use = self._gauge("headrace_db_pool_in_use", "Database connections that are in use")

    def _sessions(self) -> None:
        self.stream_active = self._gauge("headrace_stream_active", "Open Ingest streams")
        self.fenced = self._counter("headrace_fenced", "Sessions that a newer one of their producer took over")
        self.ledger_regressed = self._counter(
            "headrace_ledger_regressed", "Opens that showed the database went back in time: acked rows are lost"
        )

    def _calls(self) -> None:
        """The names that go-grpc-prometheus made customary, so that ready-made dashboards work."""
        self.grpc_started = self._counter("grpc_server_started", "Calls begun", *METHOD)
        self.grpc_handled = self._counter("grpc_server_handled", "Calls ended, by code", *METHOD, "grpc_code")
        self.grpc_received = self._counter("grpc_server_msg_received", "Messages received", *METHOD)
        self.grpc_sent = self._counter("grpc_server_msg_sent", "Messages sent", *METHOD)
        self.grpc_seconds = self._histogram("grpc_server_handling_seconds", "Duration of calls", CALL_SECONDS, *METHOD)
        self.http_requests = self._counter("headrace_http_requests", "Requests at the HTTP door", "route", "code")

    def client_dropped(self, policy: str, rows: int) -> None:
        """Count rows that a client reports having dropped since its last report."""
        self._client_dropped.labels(policy if policy in OVERFLOW_POLICIES else "other").inc(rows)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics and their content type, in the best exposition format that `accept` admits."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(name, help_text, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)
