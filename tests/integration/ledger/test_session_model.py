"""Sessions of one producer on two replicas, in every order that hypothesis can think of, held against a model.

The replicas' write paths and PostgreSQL are real; the table has no unique index, so nothing but the ledger keeps a row
from being stored twice. `make model-test RUNS=n` does many more runs. A failure prints its steps and what replays it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch
from headrace_server.errors import DatabaseUnavailableError, FencedError
from headrace_server.models.registry import Registry
from headrace_server.models.schema import Identity
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import connect, create_pool
from support.ledger_model import Answer, Content, LedgerModel
from support.model_definitions import flights as flight_model
from support.replica import START, Session, open_on, settled
from support.write_path import WritePath

RUNS = int(os.environ.get("HEADRACE_TEST_MODEL_RUNS", "12"))
STEPS = 20
INSTANCES = ("one", "two")
LOST, BATCHES = st.integers(1, 3), st.permutations((1, 2, 3))
CUTS = st.sampled_from((False, False, False, True))
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'headrace/' || $1 AND datname = current_database() AND pid != pg_backend_pid()
"""

Returned = TypeVar("Returned")


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Every cut is told in the log, hundreds of times."""
    with capture_logs():
        yield


class Replicas:
    """Two replicas on one database, on a loop of their own, and a connection that looks on."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self.runs = count()
        self.do(self._start(url))

    def do(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Do something on their loop."""
        return self._runner.run(work)

    async def _start(self, url: str) -> None:
        self.connects = {name: partial(connect, url, instance=name) for name in INSTANCES}
        self.onlooker = await connect(url, instance="onlooker")
        await migrate(self.onlooker)
        self._pool = await create_pool(url, instance="onlooker", size=2)
        self._registry = Registry(self._pool, self.connects["one"])
        await self._registry.register("main", flight_model(identity=Identity.APPEND))
        self.paths = {name: self._started(name) for name in INSTANCES}

    def _started(self, name: str) -> WritePath:
        path = WritePath(self._registry, self.connects[name], copiers=1, search_budget_s=0.3)
        path.start()
        return path

    async def restart(self, name: str) -> None:
        """Stop a replica where it stands, and start it anew."""
        await self.paths[name].stop()
        self.paths[name] = self._started(name)

    def close(self) -> None:
        """End everything."""

        async def end() -> None:
            for path in self.paths.values():
                await path.stop()
            await self._pool.close()
            await self.onlooker.close()

        self.do(end())
        self._runner.close()


class SessionsOfOneProducer(RuleBasedStateMachine):
    """A producer that does everything a network, a supervisor and a careless deployment can make it do."""

    replicas: Replicas

    def __init__(self) -> None:
        super().__init__()
        self.producer: UUID = uuid4()
        self.model = LedgerModel()
        self.sessions: list[tuple[str, Session]] = []  # oldest first
        self.results: dict[int, result_pb2.BatchResult] = {}
        self.began = START + timedelta(hours=next(self.replicas.runs))
        self.must_open = False  # answers were lost; what can be done next must not depend on what they were

    @initialize(on=st.sampled_from(INSTANCES))
    def begin(self, on: str) -> None:
        """Nothing can be sent before the first session."""
        self.open(on)

    @rule(on=st.sampled_from(INSTANCES))
    def open(self, on: str) -> None:
        """A session opens: at first, after a break, or beside one that knows nothing of it."""
        session = self.replicas.do(open_on(self.replicas.paths[on], self.replicas.connects[on], self.producer))
        assert session.opening.epoch == self.model.open(session.opening.last_seq)
        assert session.opening.committed_seq == session.opening.last_seq
        self.sessions.append((on, session))
        self.must_open = False

    def has_session(self) -> bool:
        return bool(self.sessions) and not self.must_open

    @precondition(has_session)
    @rule(which=st.integers(0, 9), good=st.integers(0, 3), bad=st.integers(0, 1))
    def send(self, which: int, good: int, bad: int) -> None:
        """The next batch is sent, by the newest session or by one that was fenced."""
        self._contents(self.model.last_seq + 1, good + (not bad), bad)
        self._see_through(which, [self.model.last_seq + 1])

    @precondition(has_session)
    @rule(which=st.integers(0, 9), back=st.integers(0, 9))
    def send_again(self, which: int, back: int) -> None:
        """A batch is sent that was committed before, if any was."""
        self._see_through(which, [max(1, self.model.last_seq - back)])

    @precondition(has_session)
    @rule(which=st.integers(0, 9), order=BATCHES, again=st.integers(0, 3), twice=st.booleans(), cut=CUTS)
    def send_out_of_order(self, which: int, order: list[int], again: int, twice: bool, cut: bool) -> None:
        """Batches under way together come in another order, some twice, and the replica may lose its connections."""
        seqs = [self.model.last_seq + ahead for ahead in (order * 2 if twice else order)]
        seqs += range(max(1, self.model.last_seq - again + 1), self.model.last_seq + 1)
        self._see_through(which, seqs, cut=cut)

    @precondition(has_session)
    @rule(which=st.integers(0, 9), beyond=st.integers(2, 4))
    def leave_one_out(self, which: int, beyond: int) -> None:
        """A batch comes whose predecessor never does; its session is over, and the next one is told where to resume."""
        self._see_through(which, [self.model.last_seq + beyond])

    @precondition(has_session)
    @rule(which=st.integers(0, 9), batches=LOST)
    def drop_the_stream(self, which: int, batches: int) -> None:
        """The client goes away with batches in flight, and never hears of them."""

        async def send_and_go() -> None:
            for batch in await self._put(session, seqs):
                batch.abandon(lambda: None)

        _, session = self._session(which)
        seqs = [self.model.last_seq + ahead for ahead in range(1, batches + 1)]
        self.replicas.do(send_and_go())
        self.model.lose_answers(session.opening.epoch, seqs)
        self.must_open = True

    @precondition(has_session)
    @rule(which=st.integers(0, 9), batches=LOST, rounds=st.integers(0, 40))
    def restart_the_service(self, which: int, batches: int, rounds: int) -> None:
        """The replica is stopped a moment after batches came; each is answered, and what was acked is committed."""

        async def send_and_stop() -> list[PendingBatch]:
            sent = await self._put(session, seqs)
            for _ in range(rounds):
                await asyncio.sleep(0)
            await self.replicas.restart(on)
            return sent

        on, session = self._session(which)
        seqs = [self.model.last_seq + ahead for ahead in range(1, batches + 1)]
        sent = self.replicas.do(send_and_stop())
        assert all(batch.settled.done() for batch in sent), "the service stopped and left a batch unsettled"
        self.sessions = [each for each in self.sessions if each[0] != on]
        self.model.lose_answers(session.opening.epoch, seqs)
        self.must_open = True
        for batch in sent:
            error = batch.settled.exception()
            if error is None:
                assert self.model.send(session.opening.epoch, batch.seq) is Answer.STORED
                self._check_result(batch.settled.result())
            else:
                assert isinstance(error, DatabaseUnavailableError | FencedError)

    def teardown(self) -> None:
        """Whatever happened: after one more Open, what is in the tables is what the model says, and nothing else."""
        if sys.exc_info()[0] is not None:  # a step has failed already, and is to be told
            return
        self.open("one")
        self._check_tables()

    def _session(self, which: int) -> tuple[str, Session]:
        """The newest one more often than not."""
        return self.sessions[-1 - which % len(self.sessions) if which >= 6 else -1]

    def _contents(self, seq: int, good: int, bad: int) -> Content:
        """What the batch holds: as when it was first sent."""
        return self.model.contents.setdefault(seq, Content(good, bad))

    async def _put(self, session: Session, seqs: list[int]) -> list[PendingBatch]:
        return [await session.put(self._rows(seq), seq=seq) for seq in seqs]

    def _rows(self, seq: int) -> list[dict[str, Any]]:
        content = self._contents(seq, 1 + seq % 3, seq % 2)
        time = self.began + timedelta(seconds=seq)
        good = [{"event_id": f"{seq}-{n}", "event_time": time, "dep_delay": n} for n in range(content.good_rows)]
        return good + [{"event_id": f"{seq}", "event_time": time, "dep_delay": "soon"}] * content.bad_rows

    def _see_through(self, which: int, seqs: list[int], *, cut: bool = False) -> None:
        """Send batches at once and hold each one's answer against the model's, which takes them in order."""

        async def send() -> list[result_pb2.BatchResult | BaseException]:
            batches = await self._put(session, seqs)
            if cut:
                await self.replicas.onlooker.execute(CUT, on)
            return await asyncio.gather(*map(settled, batches), return_exceptions=True)

        on, session = self._session(which)
        committed_before = self.model.last_seq
        told = self.replicas.do(send())
        fresh: Counter[int] = Counter()
        for seq, answer in sorted(zip(seqs, told, strict=True), key=lambda each: each[0]):
            match self.model.send(session.opening.epoch, seq):
                case Answer.FENCED:
                    assert isinstance(answer, FencedError)
                case Answer.MISSING:
                    assert isinstance(answer, DatabaseUnavailableError)
                    assert "missing" in answer.message
                case _:
                    assert isinstance(answer, result_pb2.BatchResult), repr(answer)
                    self._check_result(answer)
                    fresh[seq] += not answer.replayed
        for seq, firsts in fresh.items():
            # Whose connection broke at COMMIT cannot tell its own commit from an earlier one, so a cut may show two.
            assert cut or firsts == (seq > committed_before), f"batch {seq} was called new {firsts} times"

    def _check_result(self, result: result_pb2.BatchResult) -> None:
        """A batch has one result for ever; that it is a replay is all that may be said besides."""
        content = self.model.contents[result.seq]
        assert (result.stored, result.rejected) == (content.good_rows, content.bad_rows)
        first = result_pb2.BatchResult()
        first.CopyFrom(result)
        first.replayed = False
        assert first == self.results.setdefault(result.seq, first)

    def _check_tables(self) -> None:
        async def look() -> tuple[dict[int, int], Any, int]:
            rows = await self.replicas.onlooker.fetch(
                "SELECT split_part(event_id, '-', 1)::int AS seq, count(*) AS rows FROM main.flight_delay"
                " WHERE event_time >= $1 AND event_time < $2 GROUP BY 1",
                self.began,
                self.began + timedelta(hours=1),
            )
            ledger = await self.replicas.onlooker.fetchrow(
                "SELECT epoch, last_seq, stored, rejected FROM headrace.producers WHERE producer_id = $1", self.producer
            )
            letters = await self.replicas.onlooker.fetchval(
                "SELECT count(*) FROM headrace.dead_letters WHERE producer_id = $1", self.producer
            )
            return {row["seq"]: row["rows"] for row in rows}, ledger, letters

        rows, ledger, letters = self.replicas.do(look())
        model = self.model
        assert rows == {seq: held for seq, held in model.rows().items() if held}
        bad = sum(model.contents[seq].bad_rows for seq in model.rows())
        assert tuple(ledger) == (model.epoch, model.last_seq, sum(rows.values()), bad)
        assert letters == bad


@pytest.fixture
def replicas(database_url: str) -> Iterator[Replicas]:
    replicas = Replicas(database_url)
    yield replicas
    replicas.close()


@pytest.mark.timeout(0 if RUNS > 100 else 120)
def test_every_step_is_answered_as_the_model_says(replicas: Replicas) -> None:
    machine = type("Machine", (SessionsOfOneProducer,), {"replicas": replicas})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"runs={next(replicas.runs)} violations=0")
