"""The memory budget: first come, first served; debts are paid before anybody reads; silent streams give back."""

import asyncio
from collections.abc import Callable

import pytest

from headrace_server.intake.admission import (
    FIRST_BYTES,
    SILENCE_S,
    SILENT_BYTES,
    SMALLEST_BYTES,
    MemoryBudget,
    ReadAllowance,
    Reservation,
)

MIB = 1024 * 1024


class Waiting:
    """Reservations that are asked for and may have to wait."""

    def __init__(self, budget: MemoryBudget, *sizes: int) -> None:
        self.tasks = [asyncio.ensure_future(budget.reserve(size)) for size in sizes]

    async def granted(self) -> list[bool]:
        """Which have got their memory, once everything has run that can."""
        await settled()
        return [task.done() and not task.cancelled() for task in self.tasks]

    def release(self, index: int) -> None:
        self.tasks[index].result().release()


async def settled() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the event loop's clock."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + ahead)

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    return move


async def test_what_fits_is_had_at_once() -> None:
    budget = MemoryBudget(100)
    first, second = await budget.reserve(60), await budget.reserve(40)
    assert budget.used_bytes == 100
    first.release()
    second.release()
    assert budget.used_bytes == 0


async def test_who_came_first_is_served_first() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(100)
    waiting = Waiting(budget, 10, 90, 10)
    assert await waiting.granted() == [False] * 3
    held.resize(50)
    assert await waiting.granted() == [True, False, False]  # the last would fit, but stands behind the second
    held.release()
    assert await waiting.granted() == [True, True, False]
    waiting.release(0)
    assert await waiting.granted() == [True, True, True]


async def test_a_newcomer_stands_behind_those_who_wait_even_where_it_would_fit() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(50)
    waiting = Waiting(budget, 60)
    await settled()
    newcomer = Waiting(budget, 10)
    assert await newcomer.granted() == [False]
    held.release()
    assert await waiting.granted() == await newcomer.granted() == [True]


async def test_more_than_the_whole_budget_is_had_alone() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(1)
    waiting = Waiting(budget, 500, 1)
    assert await waiting.granted() == [False, False]
    held.release()
    assert await waiting.granted() == [True, False]
    waiting.release(0)
    assert await waiting.granted() == [True, True]


async def test_a_debt_is_paid_before_anybody_reads() -> None:
    budget = MemoryBudget(100)
    first, second = await budget.reserve(10), await budget.reserve(10)
    first.resize(150)  # the message was larger than what was reserved for it
    assert budget.used_bytes == 160
    waiting = Waiting(budget, 10)
    second.release()
    assert await waiting.granted() == [False]
    first.resize(90)
    assert await waiting.granted() == [True]
    assert budget.used_bytes == 100


async def test_a_release_may_be_said_twice() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(70)
    held.release()
    held.release()
    assert budget.used_bytes == 0


async def test_a_waiter_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(50)
    waiting = Waiting(budget, 80, 50)
    assert await waiting.granted() == [False, False]
    waiting.tasks[0].cancel()
    assert await waiting.granted() == [False, True]
    assert waiting.tasks[0].cancelled()
    held.release()
    waiting.release(1)
    assert budget.used_bytes == 0


async def test_memory_granted_in_the_moment_of_cancelling_is_given_back() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(100)
    waiting = Waiting(budget, 80, 70)
    await settled()
    held.release()  # grants the first, whose task has not run yet
    waiting.tasks[0].cancel()
    assert await waiting.granted() == [False, True]
    assert budget.used_bytes == 70


async def test_memory_that_is_freed_in_the_moment_of_cancelling_goes_to_the_next() -> None:
    budget = MemoryBudget(100)
    held = await budget.reserve(100)
    waiting = Waiting(budget, 80, 70)
    await settled()
    waiting.tasks[0].cancel()  # its turn is cancelled, its task has not run yet
    held.release()
    assert await waiting.granted() == [False, True]
    assert budget.used_bytes == 70
    waiting.release(1)
    assert budget.used_bytes == 0


async def test_nobody_is_forgotten_when_many_come_and_go() -> None:
    budget = MemoryBudget(10)
    served: list[int] = []

    async def use(number: int) -> None:
        held = await budget.reserve(1 + number % 7)
        assert budget.used_bytes <= 10
        await asyncio.sleep(0)
        served.append(number)
        held.release()

    tasks = [asyncio.ensure_future(use(number)) for number in range(200)]
    await settled()
    for task in tasks[50::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    kept = [number for number in range(200) if not tasks[number].cancelled()]
    assert sorted(served) == kept
    assert len(kept) >= 150
    assert budget.used_bytes == 0


async def test_a_stream_reserves_what_its_largest_recent_message_took() -> None:
    budget = MemoryBudget(100 * MIB)
    allowance = ReadAllowance(budget)
    sizes = []
    for size in (10 * MIB, 1, 1, 1, 20 * MIB, 1):
        posted = await allowance.before_read()
        sizes.append(posted.reservation.size_bytes)
        posted.arrived(size)
        assert budget.used_bytes == size
        allowance.learn(size)
        posted.arrived(0)
    assert sizes == [FIRST_BYTES, 10 * MIB, 5 * MIB, 5 * MIB // 2, 5 * MIB // 4, 20 * MIB]
    for _ in range(20):
        allowance.learn(1)
    posted = await allowance.before_read()
    assert posted.reservation.size_bytes == SMALLEST_BYTES


async def test_a_silent_stream_gives_back_what_it_does_not_need(advance: Callable[[float], None]) -> None:
    budget = MemoryBudget(10 * MIB)
    allowance = ReadAllowance(budget)
    allowance.learn(10 * MIB)
    silent = await allowance.before_read()
    busy = Waiting(budget, 5 * MIB)
    advance(SILENCE_S / 2)
    assert await busy.granted() == [False]
    advance(SILENCE_S)
    assert await busy.granted() == [True]
    assert silent.reservation.size_bytes == SILENT_BYTES


async def test_thousands_of_silent_streams_do_not_starve_a_busy_one(advance: Callable[[float], None]) -> None:
    budget = MemoryBudget(32 * MIB)
    opened = [asyncio.ensure_future(ReadAllowance(budget).before_read()) for _ in range(2_000)]
    busy = Waiting(budget, 4 * MIB)
    assert await busy.granted() == [False]
    for _ in range(2_000 * FIRST_BYTES // (32 * MIB) + 5):
        advance(2 * SILENCE_S)
        await settled()
    assert await busy.granted() == [True]
    assert all(task.done() for task in opened)


async def test_a_message_that_has_arrived_keeps_its_memory(advance: Callable[[float], None]) -> None:
    budget = MemoryBudget(10 * MIB)
    allowance = ReadAllowance(budget)
    allowance.learn(10 * MIB)
    posted = await allowance.before_read()
    posted.arrived(9 * MIB)
    advance(10 * SILENCE_S)
    await settled()
    assert posted.reservation.size_bytes == 9 * MIB


async def test_a_read_that_ended_takes_nothing_back_when_its_time_of_silence_comes(
    advance: Callable[[float], None],
) -> None:
    budget = MemoryBudget(10 * MIB)
    allowance = ReadAllowance(budget)
    allowance.learn(MIB)
    posted = await allowance.before_read()
    posted.reservation.release()  # the stream was cancelled while it read
    advance(2 * SILENCE_S)
    await settled()
    assert budget.used_bytes == 0


async def test_a_reservation_counts_in_its_budget() -> None:
    budget = MemoryBudget(100)
    held = Reservation(budget, 0)
    held.resize(30)
    assert budget.used_bytes == 30
