"""Market time: led by events, going on by itself, never back; and those that wait for it."""

from __future__ import annotations

import pytest
import trio
from strategy.kit import SECOND, START, at, bar, halt, quote
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio.client.market_time import MarketTime
from datafye_trio.errors import FeedClosedError


async def test_goes_on_by_itself(autojump_clock: MockClock) -> None:
    market = MarketTime(START)
    assert market.now() == START
    await trio.sleep(1.5)
    assert market.now() == at(1.5)


async def test_the_first_event_may_set_it_back_and_no_other(autojump_clock: MockClock) -> None:
    market = MarketTime(at(1_000))
    market.suppose(at(500))
    assert market.now() == at(500)
    market.saw(quote(10))
    assert market.now() == at(10)
    market.suppose(at(500))
    market.saw(quote(3))
    assert market.now() == at(10)
    market.saw(halt(12))
    assert market.now() == at(12)
    market.saw(bar(0))
    assert market.now() == at(60)


async def test_waits_until_an_event_is_as_late(autojump_clock: MockClock) -> None:
    market = MarketTime(START)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(market.wait_until, at(3_600))
        await wait_all_tasks_blocked()
        market.saw(quote(4_000))
    assert trio.current_time() == 0


async def test_an_event_that_is_ahead_brings_the_end_of_waits_nearer(autojump_clock: MockClock) -> None:
    market, woken = MarketTime(START), []

    async def wait(seconds: float) -> None:
        assert await market.wait_until(at(seconds))
        woken.append((seconds, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for seconds in (60, 30, 61):
            nursery.start_soon(wait, seconds)
        await trio.sleep(1)
        market.saw(quote(50))  # a catch-up, or a replay that is fast
    assert [(seconds, pytest.approx(time, abs=1e-5)) for seconds, time in woken] == [(30, 1), (60, 11), (61, 12)]


async def test_a_time_that_was_supposed_moves_waits_both_ways(autojump_clock: MockClock) -> None:
    market = MarketTime(START)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(market.wait_until, at(60))
        await trio.sleep(1)
        market.suppose(at(-40))
        await trio.sleep(98)
        assert nursery.child_tasks
        market.suppose(at(59.5))
        await trio.sleep(0.6)
        assert not nursery.child_tasks


async def test_times_that_have_passed_and_very_short_waits(autojump_clock: MockClock) -> None:
    market = MarketTime(START)
    for time in (0, START - 1, START):
        with assert_checkpoints():
            assert await market.wait_until(time)
    assert await market.wait_until(START + 1)
    assert START < market.now() < START + 2_000


async def test_given_up(autojump_clock: MockClock) -> None:
    market = MarketTime(START)
    with trio.move_on_after(1) as scope:
        await market.wait_until(at(5))
    assert scope.cancelled_caught
    assert market.next_wait(2**63) == 2**63
    assert await market.wait_until(at(5))
    assert trio.current_time() == pytest.approx(5, abs=1e-5)


@pytest.mark.parametrize("failure", [None, FeedClosedError("gone")])
async def test_an_end_ends_waits(failure: FeedClosedError | None, autojump_clock: MockClock) -> None:
    market, said = MarketTime(START), []

    async def wait() -> None:
        try:
            said.append(await market.wait_until(at(60)))
        except FeedClosedError as error:
            said.append(error is failure)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(wait)
        await trio.sleep(1)
        market.end(failure)
    assert trio.current_time() == pytest.approx(1)
    assert said == ([True, True] if failure else [False, False])
    said.clear()
    await wait()
    assert said == [bool(failure)]
    await trio.sleep(60)
    assert market.now() == at(61)  # it goes on
    if failure is None:
        assert await market.wait_until(at(60))


async def test_moved_by_hand_it_wakes_nobody_by_itself(autojump_clock: MockClock) -> None:
    market, woken = MarketTime(START, by_hand=True), []

    async def wait(seconds: float) -> None:
        await market.wait_until(at(seconds))
        woken.append(seconds)

    async with trio.open_nursery() as nursery:
        for seconds in (2, 1, 3):
            nursery.start_soon(wait, seconds)
        await wait_all_tasks_blocked()
        assert market.next_wait(at(9)) == at(1)
        assert market.next_wait(at(0.5)) == at(0.5)
        assert market.due() is None
        market.reach(at(2))
        await wait_all_tasks_blocked()
        assert woken == []
        while (wake := market.due()) is not None:
            wake()
            await wait_all_tasks_blocked()
        assert woken == [1, 2]
        for wake in market.ending(None):
            wake()
    assert woken == [1, 2, 3]


async def test_it_never_goes_back_while_it_is_moved_by_hand(autojump_clock: MockClock) -> None:
    market = MarketTime(at(5), by_hand=True)
    market.reach(at(4))
    market.suppose(at(3))
    assert market.now() == at(5)
    market.reach(at(5) + SECOND)
    assert market.now() == at(6)
