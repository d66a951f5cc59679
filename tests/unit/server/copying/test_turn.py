"""Groups claim in the order in which they were taken."""

import asyncio

from headrace_server.copying.turn import Claimed, Turn


async def test_those_who_wait_get_the_turn_in_the_order_they_came() -> None:
    lock, order = asyncio.Lock(), []

    async def claim(name: str) -> None:
        turn = await Turn.wait_for(lock)
        order.append(name)
        turn.pass_on()

    first = await Turn.wait_for(lock)
    waiting = [asyncio.create_task(claim(name)) for name in "abc"]
    await asyncio.sleep(0)
    first.pass_on()
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c"]


async def test_a_turn_is_passed_on_once_however_often_it_is_said() -> None:
    lock = asyncio.Lock()
    first = await Turn.wait_for(lock)
    first.pass_on()
    second = await Turn.wait_for(lock)
    first.pass_on()
    assert lock.locked(), "the second one has it still"
    second.pass_on()
    Turn.none().pass_on()
    assert not lock.locked()


async def test_whoever_has_claimed_gives_the_turn_away() -> None:
    lock = asyncio.Lock()
    claimed = Claimed(await Turn.wait_for(lock))
    assert not claimed
    claimed()
    assert claimed
    assert not lock.locked()
