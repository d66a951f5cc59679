"""Gauges: what they show is looked at whenever somebody asks."""

from datetime import UTC, datetime

from headrace_server.app.write_path import WritePath
from headrace_server.ops.metrics import Metrics
from headrace_server.storage.database import Database


def show(metrics: Metrics, path: WritePath, database: Database) -> None:
    """Let the gauges look at what they show whenever somebody asks."""

    def oldest_s() -> float:
        now = datetime.now(UTC)
        return max(((now - batch.received_at).total_seconds() for batch in path.unsettled), default=0.0)

    metrics.queue_bytes.set_function(
        lambda: sum(budget.used_bytes for budget in (path.service.reading, path.service.budget))
    )
    metrics.inflight_batches.set_function(lambda: len(path.unsettled))
    metrics.oldest_unacked_seconds.set_function(oldest_s)
    metrics.db_pool_in_use.set_function(lambda: database.pool.get_size() - database.pool.get_idle_size())
