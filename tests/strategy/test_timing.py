"""Ticks on market time: aligned, planned, skipped where a program is late, and ended with the data."""

from __future__ import annotations

import math

import pytest
import trio
from strategy.kit import SECOND, ClockFeed, at, quote
from trio.testing import MockClock, assert_checkpoints

from datafye_trio.errors import ConfigurationError, FeedClosedError
from datafye_trio.strategy.timing import every


async def test_ticks_stand_at_whole_multiples(autojump_clock: MockClock) -> None:
    feed = ClockFeed()
    await trio.sleep(25)
    ticks, seen = every(feed, 60), []
    async for tick in ticks:
        seen.append((tick, round(trio.current_time(), 6)))
        if len(seen) == 3:
            break
    assert seen == [(at(60), 60), (at(120), 120), (at(180), 180)]
    assert all(tick % (60 * SECOND) == 0 for tick, _ in seen)
    assert await anext(ticks) == at(240)  # a loop that was left goes on


async def test_the_first_tick_is_after_the_beginning(autojump_clock: MockClock) -> None:
    assert await anext(every(ClockFeed(), 60)) == at(60)


async def test_a_tick_comes_after_the_events_of_its_nanosecond(autojump_clock: MockClock) -> None:
    feed, order = ClockFeed(), []

    async def event() -> None:
        await feed.sleep_until(at(1))
        await trio.lowlevel.checkpoint()  # as a task would that is woken by another one
        order.append("event")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(event)
        await anext(every(feed, 1))
        order.append("tick")
    assert order == ["event", "tick"]


async def test_a_program_that_is_late_gets_the_newest_tick_and_none_between(autojump_clock: MockClock) -> None:
    ticks = every(ClockFeed(), 10)
    assert await anext(ticks) == at(10)
    await trio.sleep(37)
    assert await anext(ticks) == at(40)
    assert trio.current_time() == pytest.approx(47)
    assert await anext(ticks) == at(50)
    assert trio.current_time() == pytest.approx(50)


async def test_a_program_that_is_late_by_less_than_a_span_misses_nothing(autojump_clock: MockClock) -> None:
    ticks = every(ClockFeed(), 10)
    assert await anext(ticks) == at(10)
    await trio.sleep(14)
    assert await anext(ticks) == at(20)
    assert await anext(ticks) == at(30)


async def test_ends_with_the_data(autojump_clock: MockClock) -> None:
    feed = ClockFeed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.end, 35)
        ticks = every(feed, 10)
        assert [tick async for tick in ticks] == [at(10), at(20), at(30)]
        assert trio.current_time() == pytest.approx(35)
        with pytest.raises(StopAsyncIteration):  # and stays so
            await anext(ticks)


async def test_a_tick_at_the_very_end_of_the_data_counts(autojump_clock: MockClock) -> None:
    feed = ClockFeed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.end, 20)
        assert [tick async for tick in every(feed, 10)] == [at(10), at(20)]


async def test_a_feed_that_fails_says_why(autojump_clock: MockClock) -> None:
    feed = ClockFeed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.end, 5, FeedClosedError("gone"))
        with pytest.raises(FeedClosedError, match="gone"):
            await anext(every(feed, 10))


async def test_giving_up_loses_no_tick(autojump_clock: MockClock) -> None:
    ticks = every(ClockFeed(), 10)
    with trio.move_on_after(4) as scope:
        await anext(ticks)
    assert scope.cancelled_caught
    await trio.sleep(13)  # the one that was waited for has passed meanwhile
    assert await anext(ticks) == at(10)
    assert await anext(ticks) == at(20)


async def test_the_first_event_of_a_replay_sets_the_ticks_back(autojump_clock: MockClock) -> None:
    feed, ticks = ClockFeed(), []

    async def replayed() -> None:
        await trio.sleep(25)
        feed.market.saw(quote(-1_000_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(replayed)
        async for tick in every(feed, 10):
            ticks.append(tick)
            if len(ticks) == 5:
                break
    assert ticks == [at(10), at(20), at(-999_990), at(-999_980), at(-999_970)]
    assert trio.current_time() == pytest.approx(55)


async def test_each_tick_is_a_checkpoint(autojump_clock: MockClock) -> None:
    ticks = every(ClockFeed(), 10)
    for _ in range(2):
        await trio.sleep(25)
        with assert_checkpoints():
            await anext(ticks)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e-10])
async def test_spans_that_make_no_sense(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="every: seconds above 0"):
        every(ClockFeed(), seconds)
