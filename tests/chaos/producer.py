"""One producer: a process that logs through the SDK, as a model server does, and keeps its oracle.

python -m chaos.producer ADDRESSES ORACLE NAME SEED [SPOOL]

It logs until its standard input closes, then it closes its client. With a spool it waits after each burst until that is
on disk, and notes that it is.

Its standard output says when rows are acked, `acked <lane> <moment> <moment when the oldest of them was logged>`, by
the clock that all processes share. Some of its labels are logged before their events, so that they wait in the inbox;
now and then it publishes a list instead of logging rows. A second thread sends rows of its own by unary calls.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import headrace
from chaos.oracle import OracleWriter
from chaos.rows import MODELS, Event, fingerprint
from chaos.unary_caller import UnaryCaller

BURST_ROWS = 25
PAUSE_S = 0.08
LABELLED = 5  # every so many events
PUBLISHED = 20  # every so many bursts
CLOSE_S = 120.0
# Nothing is dropped while a fault lasts: log() waits instead.
SETTINGS = headrace.Settings(overflow=headrace.Overflow.BLOCK, overflow_timeout_s=600.0, buffer_rows=20_000)
SPOOLED_S = 60.0


class Producer:
    """A client with its oracle."""

    def __init__(self, addresses: str, oracle: OracleWriter, name: str, seed: str, spool: str | None) -> None:
        self._oracle = oracle
        self._spools = spool is not None
        self._name = name
        self._random = Random(seed)
        self._number = 0
        self._caller = UnaryCaller(addresses, oracle, name, seed)
        self._logged_at: dict[tuple[str, object], float] = {}
        self._client = headrace.connect(
            addresses,
            settings=replace(SETTINGS, spool_dir=spool),
            on_result=self._on_result,
            on_error=lambda error: oracle.complains(f"on_error: {error!r}"),
            on_drop=lambda reason, rows: oracle.complains(f"on_drop: {rows} {reason}"),
        )
        self._models = {name: self._client.model(name) for name in MODELS}

    def run(self, stop: threading.Event) -> None:
        """Log until told to stop, then see the last unary call through and close."""
        calling = threading.Thread(target=self._caller.run, args=(stop,))
        calling.start()
        for burst in range(sys.maxsize):
            if stop.wait(PAUSE_S * self._random.uniform(0.2, 1.8)):
                break
            self._burst(self._random.choice(list(MODELS)), publishes=burst % PUBLISHED == PUBLISHED - 1)
        calling.join(CLOSE_S)
        ids = self._client.producer_ids
        self._client.close(CLOSE_S)
        stats = self._client.stats()
        if stats.unacked or stats.dropped_rows or stats.quarantined:
            self._oracle.complains(f"closed with {stats}")
        self._oracle.closed(ids.values(), stats.batches)

    def _burst(self, table: str, *, publishes: bool) -> None:
        model = self._models[table]
        events = [Event.made(self._name, number, self._random) for number in self._numbers()]
        labelled = [event for event in events if event.number % LABELLED == 0]
        self._intend(table, [(event.event_id, event.fingerprint) for event in events])
        self._intend(_labels(table), [(event.event_id, fingerprint([event.number])) for event in labelled])
        first, last = labelled[::2], labelled[1::2]
        for event in first:
            model.log_label(event.event_id, truth=event.number)
        if publishes:
            self._publish(table, events)
        else:
            for event in events:
                model.log(
                    {"amount": event.amount, "number": event.number, "word": event.word},
                    event.score,
                    event_id=event.event_id,
                    event_time=event.micros / 1e6,
                )
        for event in last:
            model.log_label(event.event_id, truth=event.number)
        if self._spools and self._is_spooled():
            self._oracle.kept(table, [event.event_id for event in events])
            self._oracle.kept(_labels(table), [event.event_id for event in labelled])

    def _is_spooled(self) -> bool:
        """Wait until all rows are on disk; while that is full, some are in memory alone."""
        try:
            self._client.flush_to_spool(SPOOLED_S)
        except headrace.FlushTimeout as error:
            self._oracle.not_kept(str(error))
            return False
        return True

    def _publish(self, table: str, events: Sequence[Event]) -> None:
        rows = [asdict(event) for event in events]
        for row in rows:
            row["event_time"] = row.pop("micros") / 1e6
        result = self._models[table].publish(rows)
        if result.stored != len(events):
            self._oracle.complains(f"published {len(events)}, told {result}")
        self._acked(table, [event.event_id for event in events])

    def _numbers(self) -> range:
        first, self._number = self._number, self._number + self._random.randrange(1, 2 * BURST_ROWS)
        return range(first, self._number)

    def _intend(self, table: str, rows: Sequence[tuple[str, str]]) -> None:
        if rows:
            now = time.monotonic()
            self._logged_at.update(((table, event_id), now) for event_id, _ in rows)
            self._oracle.intends(table, rows)

    def _on_result(self, outcome: headrace.BatchOutcome) -> None:
        """Every row was logged once, so anything but plain success is a fault.

        What a killed process had been told already, its service has forgotten, and says so to who sends it again.
        """
        is_events = outcome.kind == "EVENTS"
        good = outcome.stored if is_events else outcome.joined + outcome.parked + outcome.pending
        if good != outcome.rows and not (self._spools and outcome.replayed and outcome.result_expired):
            self._oracle.complains(f"told {outcome}")
        self._acked(outcome.model if is_events else _labels(outcome.model), outcome.event_ids)

    def _acked(self, table: str, event_ids: Sequence[object]) -> None:
        now = time.monotonic()
        oldest = min(self._logged_at.pop((table, event_id), now) for event_id in event_ids)
        self._oracle.acked(table, event_ids)
        lane = "events" if table in MODELS else "late"
        os.write(1, f"acked {lane} {now} {oldest}\n".encode())  # in one piece: lanes have a thread each


def _labels(table: str) -> str:
    return f"{table}_labels"


def main() -> None:
    """Run until standard input closes."""
    addresses, path, name, seed, *spool = sys.argv[1:]
    oracle, stop = OracleWriter(Path(path)), threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    try:
        Producer(addresses, oracle, name, seed, spool[0] if spool else None).run(stop)
    except Exception as error:
        oracle.complains(f"raised {error!r}")
        raise


if __name__ == "__main__":
    main()
