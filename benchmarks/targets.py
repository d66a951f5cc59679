"""What the figures are held against: the least (or the most) that each public figure has to be."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.figures import rounded
from benchmarks.outcome import Grid


@dataclass(frozen=True)
class Target:
    """A bound of one figure.

    Attributes:
        figure: Its public name.
        bound: The bound.
        text: What it means, for people.
        at_most: The figure has to be at most the bound; else at least.
    """

    figure: str
    bound: float
    text: str
    at_most: bool = False

    def is_met(self, value: float) -> bool:
        """Return whether a value keeps the bound."""
        return value <= self.bound if self.at_most else value >= self.bound


TARGETS = (
    Target(
        "ratio.columns_append_vs_copy", 0.90, "columns, APPEND, of a DataFrame, against raw COPY into the same table"
    ),
    Target(
        "ratio.columns_unique_vs_copy", 0.90, "columns, UNIQUE, of a DataFrame, against raw COPY into the same table"
    ),
    Target("ratio.dicts_append_vs_copy", 0.90, "the same from dicts, APPEND"),
    Target("ratio.dicts_unique_vs_copy", 0.90, "the same from dicts, UNIQUE"),
    Target("ratio.columns_append_vs_asyncpg_best", 1.2, "from dicts, APPEND, against the best asyncpg script"),
    Target("ratio.columns_unique_vs_asyncpg_best", 0.9, "from dicts, UNIQUE, against the best asyncpg script"),
    Target("ratio.columns_vs_asyncpg_1000", 2.5, "from dicts, against asyncpg COPY in calls of 1,000 rows"),
    Target("ratio.columns_vs_executemany", 15, "from dicts, against executemany"),
    Target("ratio.columns_vs_json_service", 10, "from dicts, against the JSON service"),
    Target("ratio.columns_repeats_01pct_vs_copy", 0.5, "UNIQUE with 0.1 % repeats, against raw COPY"),
    Target("ratio.columns_repeats_100pct_vs_copy", 0.3, "UNIQUE with 100 % repeats, against raw COPY"),
    Target("dead_per_stored.repeats_01pct", 1.2, "dead tuples a stored row, 0.1 % repeats", at_most=True),
    Target("dead_per_stored.repeats_100pct", 1.2, "dead tuples a stored row, 100 % repeats", at_most=True),
    Target("ratio.log_vs_copy", 0.40, "a loop of log(), durable, against raw COPY"),
    Target("ratio.log_call_vs_confluent", 0.7, "log() p50 against confluent-kafka produce(orjson)", at_most=True),
    Target("ratio.log_call_vs_otel", 0.06, "log() p50 against OpenTelemetry logs", at_most=True),
    Target("log_call.paced_p99_us", 25, "log() p99, paced at 1,000/s, µs", at_most=True),
    Target("log_call.paced_p999_us", 6_000, "log() p99.9, paced at 1,000/s, µs", at_most=True),
    Target("loss.busy_thread", 0.02, "throughput that a busy thread loses to 1,000 log() a second", at_most=True),
    Target("ratio.streams_1000_vs_one", 0.5, "1,000 streams of small batches against one of big ones"),
    Target("ack_ms.p50", 5, "one event, idle service, durable ack, p50 ms", at_most=True),
    Target("ack_ms.p99", 20, "one event, idle service, durable ack, p99 ms", at_most=True),
    Target("events_per_s.rows", 40_000, "row messages a second"),
    Target("events_per_s.json", 100_000, "JSON rows a second"),
    Target("service_cpu_us_per_row.total", 2.0, "service CPU a row, µs (columns, 13 columns)", at_most=True),
    Target("server.rss_peak_mb", 300, "resident memory of the service at its worst, MB", at_most=True),
    Target("growth.append_last_vs_first", 1.15, "cost a row at 20 M rows against 1 M, APPEND", at_most=True),
    Target("growth.unique_last_vs_first", 1.15, "cost a row at 20 M rows against 1 M, UNIQUE", at_most=True),
    Target("width.worst_distance", 0.25, "cost a row, 5 to 200 columns: distance from a line", at_most=True),
)


def held_against(figures: dict[str, float], spreads: dict[str, tuple[float, float]]) -> Grid:
    """Return the measured figures beside their bounds."""
    lines = []
    for target in TARGETS:
        value = figures.get(target.figure)
        if value is None:
            continue
        low_high = spreads.get(target.figure)
        shown = rounded(value) + (f" ({rounded(low_high[0])} – {rounded(low_high[1])})" if low_high else "")
        bound = f"{'≤' if target.at_most else '≥'} {rounded(target.bound)}"
        lines.append([target.text, bound, shown, "yes" if target.is_met(value) else "**no**"])
    return Grid("Against the targets", ["figure", "target", "measured", "met"], lines)
