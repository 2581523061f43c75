"""Time on a recording: exact, standing still while anybody has something to do, and alike on each run."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy.kit import SECOND, START, at, bar, quote, trade
from strategy.ways import BARS, DAY, bought, moment

from datafye_trio.model import Bar, FeedItem, Gap, Trade
from datafye_trio.strategy import Feed, RecordingOptions, run_on_recording
from datafye_trio.strategy.timing import every

MINUTE = 60 * SECOND
DAY_NS = 86_400 * SECOND


def at_ns(time: int, symbol: str = "AAPL") -> Trade:
    return Trade(symbol, time, 100.0, 10)


def test_the_clocks_say_the_time_of_the_event() -> None:
    async def strategy(feed: Feed) -> None:
        opened = trio.current_time()
        async with feed.trades("*") as sub:
            async for one in sub:
                assert feed.now() == moment(one)
                assert trio.current_time() - opened == pytest.approx((moment(one) - at(1)) / 1e9, abs=1e-9)

    run_on_recording(strategy, DAY)


def test_time_stands_still_while_a_task_works() -> None:
    async def strategy(feed: Feed) -> None:
        async with feed.trades("*") as sub:
            await anext(sub)
            for _ in range(1_000):
                await trio.lowlevel.checkpoint()
            assert feed.now() == at(1)

    run_on_recording(strategy, DAY)


@settings(max_examples=25)
@given(
    start=st.sampled_from([0, START, 2**62]),
    gaps=st.lists(st.integers(0, 3 * SECOND) | st.sampled_from([1, 7, 10**6, SECOND, DAY_NS]), min_size=2, max_size=8),
    until=st.booleans(),
)
def test_a_sleep_until_the_moment_of_an_event_comes_before_it(start: int, gaps: list[int], until: bool) -> None:
    times = [start]
    for gap in gaps:
        times.append(times[-1] + gap)

    async def strategy(feed: Feed) -> list[tuple[str, int]]:
        seen = []

        async def sleeper(time: int) -> None:
            if until:
                assert await feed.sleep_until(time)
            else:
                await trio.sleep((time - start) / 1e9)
            seen.append(("slept", time))
            assert feed.now() == time

        async with feed.trades("*") as sub, trio.open_nursery() as nursery:
            for time in sorted(set(times[1:])):
                nursery.start_soon(sleeper, time)
            async for one in sub:
                seen.append(("saw", moment(one)))
                assert feed.now() == moment(one)
        return seen

    seen = run_on_recording(strategy, [at_ns(time) for time in times])
    slept = {time: seen.index(("slept", time)) for time in set(times[1:]) - {start}}
    assert all(place < seen.index(("saw", time)) for time, place in slept.items())
    assert [time for _, time in seen] == sorted(time for _, time in seen)


def test_sleeping_in_steps_meets_each_event_before_it_comes() -> None:
    async def strategy(feed: Feed) -> list[int]:
        waiting = []
        async with feed.trades("*") as sub:
            await anext(sub)
            for _ in range(999):
                await trio.sleep(0.1)  # which no float holds exactly
                waiting.append(sub.statistics().waiting)
        return waiting

    assert run_on_recording(strategy, [at_ns(START + n * SECOND // 10) for n in range(1_000)]) == list(range(999))


def test_years_of_days() -> None:
    # A float of seconds is not exact to the nanosecond then; market time and the order of things are.
    async def strategy(feed: Feed) -> int:
        days = 0
        async with feed.trades("*") as sub:
            async for one in sub:
                assert 0 <= feed.now() - moment(one) < 100
                before = feed.now()
                await trio.sleep(86_400)
                assert feed.now() >= before + DAY_NS - 100
                assert sub.statistics().waiting == 0
                days += 1
        return days

    assert run_on_recording(strategy, [at_ns(n * DAY_NS) for n in range(1_000)]) == 1_000


@pytest.mark.parametrize("start", [START, 0])
def test_market_time_is_exact_after_a_year(start: int) -> None:
    times = [start + n * (DAY_NS + 7_919_000_003) for n in range(400)]

    async def strategy(feed: Feed) -> int:
        count = 0
        async with feed.trades("*") as sub:
            async for one in sub:
                assert feed.now() == moment(one)
                count += 1
                if count % 3 == 0 and count < len(times):
                    between = moment(one) + DAY_NS // 3 + count
                    assert await feed.sleep_until(between)
                    assert feed.now() == between
        return count

    assert run_on_recording(strategy, [at_ns(time) for time in times]) == len(times)


def test_timeouts_are_of_market_time() -> None:
    async def strategy(feed: Feed) -> list[float]:
        seen = []
        async with feed.trades("*") as sub:
            await anext(sub)
            for seconds in (10, 100):
                with trio.move_on_after(seconds) as scope:
                    await anext(sub)
                seen.append((scope.cancelled_caught, (feed.now() - at(1)) / SECOND))
            with pytest.raises(trio.TooSlowError), trio.fail_after(0):
                await trio.sleep_forever()
            with trio.move_on_at(trio.current_time() - 5):
                await trio.sleep_forever()
        return seen

    assert run_on_recording(strategy, [trade(1), trade(61), quote(500)]) == [(True, 10.0), (False, 60.0)]


def test_waits_shorter_than_a_microsecond() -> None:
    async def strategy(feed: Feed) -> list[int]:
        seen = []
        async with feed.trades("*"):
            for n in (1, 2, 3, 400, 401):
                await feed.sleep_until(START + n)
                seen.append(feed.now() - START)
        return seen

    assert run_on_recording(strategy, [at_ns(START), at_ns(START + 402)]) == [1, 2, 3, 400, 401]


def test_waits_that_are_given_up_leave_nothing() -> None:
    async def strategy(feed: Feed) -> int:
        for _ in range(5):
            with trio.move_on_after(0.5):
                await feed.sleep_until(at(30))
        assert feed.now() == at(3.5)
        return await feed.sleep_until(at(9)) and feed.now()

    assert run_on_recording(strategy, [trade(1), trade(20)]) == at(9)


def test_bars_that_end_with_the_data_come_when_their_span_does() -> None:
    async def strategy(feed: Feed) -> list[Any]:
        seen: list[Any] = []

        async def ticks() -> None:
            async for tick in every(feed, 20):
                seen.append(tick)  # noqa: PERF401 -- beside others

        async with (
            feed.bars("*", frequency="Second") as seconds, feed.bars("*") as minutes, trio.open_nursery() as nursery,
        ):  # fmt: skip
            nursery.start_soon(ticks)
            for sub in (seconds, minutes):
                async for one in sub:
                    assert isinstance(one, Bar)
                    seen.append((one.frequency, feed.now()))
        return seen

    events = [trade(1), trade(2.5)]
    assert run_on_recording(strategy, events, RecordingOptions(aggregation=BARS)) == [
        ("Second", at(2.5)), ("Second", at(3)), at(20), at(40), ("Minute", at(60)), at(60),
    ]  # fmt: skip


def test_the_day_does_not_go_on_for_bars_that_nobody_wants() -> None:
    async def strategy(feed: Feed) -> int:
        async with feed.trades("*") as sub:
            assert [item async for item in sub]
        return feed.now()

    assert run_on_recording(strategy, [trade(1), trade(2.5)]) == at(2.5)


def test_a_recorded_bar_is_known_when_its_span_ends_and_stored_from_then_on() -> None:
    async def strategy(feed: Feed) -> list[Any]:
        seen = []
        async with feed.bars("*") as sub:
            async for one in sub:
                async with feed.history("*", start=at(0)) as stored:
                    seen.append((feed.now(), one, [item async for item in stored][-1]))
        return seen

    bars = [bar(n * 60) for n in range(3)]
    assert run_on_recording(strategy, bars) == [(at(n * 60 + 60), bar(n * 60), bar(n * 60)) for n in range(3)]


@pytest.mark.parametrize("buffer", [1, 3, 100])
def test_hours_of_sleep_with_a_full_buffer_hang_nothing(buffer: int) -> None:
    async def strategy(feed: Feed) -> list[Any]:
        found: list[FeedItem] = []
        async with feed.trades("*", buffer=buffer) as sub, feed.quotes("*", buffer=buffer) as unread:
            while True:
                await trio.sleep(3_600)
                with trio.move_on_after(0):
                    async for item in sub:
                        found.append(item)  # noqa: PERF401 -- kept when it is cancelled
                if sub.statistics().waiting == 0 and feed.now() > at(8 * 3_600):
                    assert unread.statistics().paused
                    return found

    events = [bought(n * 10, "AB"[n % 2], n=n) for n in range(3_000)] + [quote(n * 10.0) for n in range(3_000)]
    account: dict[str, list[int]] = {"A": [], "B": []}
    for item in run_on_recording(strategy, events):
        if isinstance(item, Gap):
            account[item.topic.symbol] += range(item.first or 0, (item.last or 0) + 1)
        else:
            account[item.symbol].append(int(item.trade_id) // 2 + 1)
    for numbers in account.values():  # each one came, or is in a gap that stands in its place
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 1_000
