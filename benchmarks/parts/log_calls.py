"""What `log()` costs its caller, beside confluent-kafka, OpenTelemetry and the standard library."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Sequence

from benchmarks.arena import Arena
from benchmarks.figures import percentile, rounded
from benchmarks.log_calls.caller import Caller, Features, paced, unpaced
from benchmarks.log_calls.headrace_log import HeadraceLog
from benchmarks.log_calls.kafka_produce import KafkaProduce
from benchmarks.log_calls.otel_logs import OtelLogs
from benchmarks.log_calls.stdlib_logging import StdlibLogging
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.tables import make_table
from headrace import Identity

A_SECOND = 1_000
SHARES = (0.5, 0.99, 0.999)
NOTE = (
    "Nanoseconds by the clock around each call: 11 features, an id made and returned, the time stamped. Delivery goes "
    "on meanwhile, on the same two cores. Paced: 1,000 calls a second, the thread asleep between them."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Let the callers take turns, three rounds; percentiles are of all calls together."""
    table = make_table(arena, "log_calls", THIRTEEN, Identity.APPEND)
    makers: list[Callable[[], Caller]] = [
        lambda: HeadraceLog(arena, table),
        KafkaProduce,
        OtelLogs,
        lambda: StdlibLogging(arena.folder),
    ]
    own = list(THIRTEEN.types)
    events = [{name: row[name] for name in own} for row in THIRTEEN.rows(scale.share(0.2))]
    took: dict[str, tuple[array[int], array[int]]] = {}
    for _ in range(3):
        for make in makers:
            _turn(make(), events, round(scale.seconds / 3 * A_SECOND), took)
    lines = []
    for name, samples in took.items():
        at = [rounded(percentile(calls, share) / 1e3) for calls in samples for share in SHARES]
        lines.append([name, *at])
    heads = ["µs a call", *(f"{way} {p}" for way in ("unpaced", "paced") for p in ("p50", "p99", "p99.9"))]
    outcome = Outcome(grids=[Grid("A log call", heads, lines, NOTE)])
    _name(outcome, took)
    return outcome


def _turn(
    caller: Caller, events: Sequence[Features], paced_calls: int, took: dict[str, tuple[array[int], array[int]]]
) -> None:
    unpaced(caller, events[:2_000])
    caller.settle()
    gc.collect()
    gc.freeze()
    fast = unpaced(caller, events)
    caller.settle()
    slow = paced(caller, (list(events) * (paced_calls // len(events) + 1))[:paced_calls], A_SECOND)
    caller.settle()
    caller.close()
    gc.unfreeze()
    all_fast, all_slow = took.setdefault(caller.name, (array("q"), array("q")))
    all_fast.extend(fast)
    all_slow.extend(slow)


def _name(outcome: Outcome, took: dict[str, tuple[array[int], array[int]]]) -> None:
    fast, slow = took[HeadraceLog.name]
    p50 = percentile(fast, 0.5)
    figures = outcome.figures
    figures["log_call.p50_us"] = p50 / 1e3
    figures["log_call.p99_us"] = percentile(fast, 0.99) / 1e3
    figures["log_call.p999_us"] = percentile(fast, 0.999) / 1e3
    figures["log_call.paced_p50_us"] = percentile(slow, 0.5) / 1e3
    figures["log_call.paced_p99_us"] = percentile(slow, 0.99) / 1e3
    figures["log_call.paced_p999_us"] = percentile(slow, 0.999) / 1e3
    figures["ratio.log_call_vs_confluent"] = p50 / percentile(took[KafkaProduce.name][0], 0.5)
    figures["ratio.log_call_vs_otel"] = p50 / percentile(took[OtelLogs.name][0], 0.5)
    figures["ratio.log_call_vs_logging"] = p50 / percentile(took[StdlibLogging.name][0], 0.5)
