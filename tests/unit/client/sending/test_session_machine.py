"""A client's session in every order of mishaps that hypothesis can think of: each row is stored, told and counted once.

The client, its threads and gRPC are real; the service is the SDK's own fake, whose ledger would tell a row that came
twice (`duplicate`), a gap, or a session that should be over. `make model-test RUNS=n` does many more runs. A failure
prints its steps and what replays it.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from itertools import count

import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import headrace
from headrace.testing import FakeService, Status

RUNS = int(os.environ.get("HEADRACE_TEST_MODEL_RUNS", "12"))
STEPS = 20
HEALED_WITHIN_S = 30.0
# Waits so short that a run meets them.
IMPATIENT = headrace.Settings(
    backoff_initial_s=0.005,
    backoff_max_s=0.02,
    open_timeout_s=0.2,
    ack_timeout_s=0.3,
    linger_ms=1.0,
    overflow=headrace.Overflow.BLOCK,
)
PASSING = st.sampled_from(
    [
        Status(grpc.StatusCode.UNAVAILABLE),
        Status(grpc.StatusCode.INTERNAL),
        Status(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_after_s=0.0),
        Status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", retry_after_s=0.01),
    ]
)


class Mishaps(RuleBasedStateMachine):
    """A client that logs, and a service to which everything happens that a client has to bear."""

    def __init__(self) -> None:
        super().__init__()
        self.service = FakeService(heartbeat_ms=100)
        self.service.start()
        self.is_away = False
        self.numbers = count()
        self.logged: list[str] = []
        self.told: Counter[object] = Counter()
        self.client = headrace.connect(
            self.service.address, settings=IMPATIENT, on_result=lambda outcome: self.told.update(outcome.event_ids)
        )

    @rule(rows=st.integers(1, 40))
    def log(self, rows: int) -> None:
        """Log rows."""
        for number in (next(self.numbers) for _ in range(rows)):
            self.logged.append(self.client.model("m").log({"x": float(number)}, event_id=f"e{number}"))

    @rule(rows=st.integers(1, 40))
    def flush(self, rows: int) -> None:
        """Log rows and wait a moment for acks, which may come or not."""
        self.log(rows)
        with suppress(headrace.FlushTimeout):
            self.client.flush(0.02)

    @rule(batches=st.integers(1, 3))
    def lose_acks(self, batches: int) -> None:
        """The next batches are committed, and nobody is told."""
        self.service.behaviour.drop_acks = batches

    @rule(batches=st.integers(1, 3))
    def break_after_commits(self, batches: int) -> None:
        """The stream breaks between a commit and its ack."""
        self.service.behaviour.redeliver = batches

    @rule(status=PASSING)
    def end_streams(self, status: Status) -> None:
        """All streams end, for a cause that passes."""
        self.service.end_streams(status)

    @rule(deadline_ms=st.integers(0, 40))
    def drain(self, deadline_ms: int) -> None:
        """The replica stops."""
        self.service.drain(deadline_ms)

    @rule(status=st.none() | PASSING)
    def refuse(self, status: Status | None) -> None:
        """Every Open is refused, or none any more."""
        self.service.behaviour.refuse = status

    @rule(is_silent=st.booleans())
    def stand_still(self, is_silent: bool) -> None:
        """The service says nothing any more, or goes on."""
        self.service.behaviour.is_silent = is_silent

    @rule(repeats=st.booleans())
    def repeat_acks(self, repeats: bool) -> None:
        """Acks come twice."""
        self.service.behaviour.repeat_acks = repeats

    @rule(rows=st.sampled_from([1, 7, 100_000]), credit=st.sampled_from([0, 1_000, 64 << 20]))
    def grant(self, rows: int, credit: int) -> None:
        """Sessions from now on are told other limits."""
        self.service.behaviour.max_batch_rows, self.service.behaviour.credit_bytes = rows, credit

    @precondition(lambda self: not self.is_away)
    @rule()
    def go_away(self) -> None:
        """The process dies; its ledger, which is the database's, stays."""
        self.service.stop()
        self.is_away = True

    @precondition(lambda self: self.is_away)
    @rule()
    def come_back(self) -> None:
        """It is there again."""
        self.service.start()
        self.is_away = False

    def teardown(self) -> None:
        """Heal everything, and see where every row is."""
        if self.is_away:
            self.come_back()
        behaviour = self.service.behaviour
        behaviour.refuse, behaviour.is_silent, behaviour.drop_acks, behaviour.redeliver = None, False, 0, 0
        try:
            self.client.flush(HEALED_WITHIN_S)
            self.client.close(HEALED_WITHIN_S)
            self.expect_each_row_once()
        finally:
            self.service.stop()

    def expect_each_row_once(self) -> None:
        """Stored once, told once, counted once, and no seq left out."""
        stored = [event["event_id"] for event in self.service.events("m")]
        assert stored == self.logged
        assert self.told == Counter(self.logged)
        stats = self.client.stats()
        assert (stats.logged, stats.stored) == (len(self.logged), len(self.logged))
        assert stats.duplicate == stats.rejected == stats.unacked == stats.dropped_rows == stats.quarantined == 0
        for producer_id, producer in self.service.ledger.producers.items():
            seqs = {seq for sender, seq in self.service.received if sender == producer_id}
            assert seqs == set(range(1, producer.last_seq + 1))


@pytest.mark.timeout(0 if RUNS > 100 else 120)
def test_whatever_happens_each_row_is_stored_told_and_counted_once() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Mishaps,
        settings=settings(
            max_examples=RUNS, stateful_step_count=STEPS, deadline=None, suppress_health_check=checks, print_blob=True
        ),
    )
