"""Windows: what is in them, when they are handed out, and how they end."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from strategy.kit import SECOND, START, ClockFeed, Scripted, at, bar, gap, live, playing, quote, trade
from trio.testing import MockClock, assert_checkpoints

from datafye_trio.errors import ConfigurationError, DisconnectedError
from datafye_trio.model import Ema, FeedItem, Line, Sma
from datafye_trio.strategy import Feed, run_on_recording
from datafye_trio.strategy.merging import merge
from datafye_trio.strategy.windows import Window, time_windows


async def all_of(windows: Any) -> list[tuple[float, Window]]:
    """Each window, and when it was handed out."""
    return [(round(trio.current_time(), 6), window) async for window in windows]


async def by_time(script: Scripted, seconds: float, patience: float = 1.0) -> list[tuple[float, Window]]:
    feed = ClockFeed()
    async with playing(script), trio.open_nursery() as nursery:
        nursery.start_soon(feed.end, math.inf if script.end is None else script.end)
        found = await all_of(time_windows(feed, script, seconds, patience=patience))
        nursery.cancel_scope.cancel()
    return found


def window(start: float, end: float, *items: FeedItem, late: int = 0, partial: bool = False) -> Window:
    return Window(at(start), at(end), items, late, partial)


async def test_windows_stand_at_whole_multiples_and_come_when_they_are_over(autojump_clock: MockClock) -> None:
    script = Scripted([(n, trade(n)) for n in (62, 119, 120, 179.5, 185)], end=190)
    assert await by_time(script, 60) == [
        (121, window(60, 120, trade(62), trade(119), partial=True)),  # it began in the middle
        (181, window(120, 180, trade(120), trade(179.5))),
        (190, window(180, 240, trade(185), partial=True)),
    ]


async def test_a_window_of_a_silent_feed_comes_all_the_same(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (35, trade(35))], end=41)
    assert await by_time(script, 10, patience=0) == [
        (10, window(0, 10, trade(0))), (20, window(10, 20)), (30, window(20, 30)),
        (40, window(30, 40, trade(35))),
    ]  # fmt: skip


async def test_the_last_window_is_whole_where_the_data_ends_with_it(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (15, trade(15))], end=20)
    assert await by_time(script, 10) == [(11, window(0, 10, trade(0))), (20, window(10, 20, trade(15)))]


async def test_windows_without_items_before_the_last_are_not_left_out(autojump_clock: MockClock) -> None:
    script = Scripted([(9, trade(9)), (20.5, trade(20.5))], end=20.6)
    assert await by_time(script, 10, patience=100) == [
        (20.6, window(0, 10, trade(9), partial=True)), (20.6, window(10, 20)),
        (20.6, window(20, 30, trade(20.5), partial=True)),
    ]  # fmt: skip


async def test_patience_is_for_what_comes_late(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (10.5, trade(10.5)), (10.9, trade(9.9)), (11.5, trade(9.8))], end=30)
    assert await by_time(script, 10) == [
        (11, window(0, 10, trade(0), trade(9.9))),
        (21, window(10, 20, trade(10.5), trade(9.8), late=1)),
    ]


async def test_what_is_older_than_the_first_window_is_late(autojump_clock: MockClock) -> None:
    """A snapshot, say: the newest quote of a symbol may be hours old."""
    script = Scripted([(5, quote(-7_200)), (6, quote(6))], end=10)
    assert await by_time(script, 10) == [(10, window(0, 10, quote(-7_200), quote(6), late=1, partial=True))]


async def test_bars_count_where_they_end(autojump_clock: MockClock) -> None:
    bars = [(60.0 * n + 60, bar(60.0 * n)) for n in range(7)]
    forming = [(390.0, bar(360, final=False))]
    found = await by_time(Scripted(sorted(bars + forming, key=lambda one: one[0]), end=430), 300)
    items = [bar(60.0 * n) for n in range(7)]
    assert [one for _, one in found] == [
        Window(START - 240 * SECOND, at(60), (items[0],), 0, True), window(60, 360, *items[1:6]),
        window(360, 660, bar(360, final=False), items[6], partial=True),
    ]  # fmt: skip


async def test_indicators_count_where_the_span_of_their_bar_ends(autojump_clock: MockClock) -> None:
    line = Line(2, 2, 1.0)
    sma = Sma("A", "Minute", at(0), 1.0, line, line, 0.0, "NONE")
    ema = Ema("A", "Minute", at(60), 1.0, line, line, 0.0, "NONE", line, "NONE", "NONE", "NONE", "NONE")
    found = await by_time(Scripted([(60, sma), (120, ema)], end=130), 60)
    assert [one for _, one in found] == [window(0, 60, sma, partial=True), window(60, 120, ema)]


async def test_gaps_and_marks_keep_their_place(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (1, gap()), (2, trade(2)), (10.5, live()), (12, trade(12))], end=12)
    assert await by_time(script, 10) == [
        (11, window(0, 10, trade(0), gap(), trade(2), live())), (12, window(10, 20, trade(12), partial=True)),
    ]  # fmt: skip


async def test_gaps_and_marks_are_never_late(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (12, gap()), (25, trade(15)), (26, live())], end=28)
    assert await by_time(script, 10) == [
        (11, window(0, 10, trade(0))), (21, window(10, 20, gap())),
        (28, window(20, 30, trade(15), live(), late=1, partial=True)),
    ]  # fmt: skip


async def test_a_stream_may_begin_with_a_gap(autojump_clock: MockClock) -> None:
    script = Scripted([(12, gap()), (13, trade(13))], end=20)
    assert await by_time(script, 10) == [(20, window(10, 20, gap(), trade(13), partial=True))]


async def test_a_bar_that_comes_first_is_not_late_within_the_patience(autojump_clock: MockClock) -> None:
    for delay, start, late in ((0.9, 0, 0), (1.1, 60, 1)):
        feed, script = ClockFeed(), Scripted([])
        async with playing(script):
            await feed.sleep_until(at(60 + delay))
            script.put(bar(0))
            windows = time_windows(feed, script, 60)
            found = await anext(windows)
            assert (found.start, found.late, found.partial) == (at(start), late, True)


async def test_a_bar_of_a_day_that_ends_elsewhere_is_no_later_than_now(autojump_clock: MockClock) -> None:
    day = bar(-62_040, frequency="Day")  # of UTC, as crypto has them; by New York it would end five hours later
    script = Scripted([(60, day), (61, trade(61))], end=63)
    assert await by_time(script, 10) == [(63, window(60, 70, day, trade(61), partial=True))]


class Slow(Scripted):
    """Each item takes a turn."""

    async def __anext__(self) -> FeedItem:
        await trio.lowlevel.checkpoint()
        return await super().__anext__()


async def test_all_that_waits_is_read_however_many_turns_it_takes(autojump_clock: MockClock) -> None:
    feed, script = ClockFeed(), Slow([(n / 100, trade(n / 100)) for n in range(2_000)], end=50)
    async with playing(script):
        windows = time_windows(feed, script, 10)
        found = [await anext(windows)]
        await trio.sleep(20)
        found.append(await anext(windows))
    assert [(len(one.items), one.late) for one in found] == [(1_000, 0)] * 2


async def test_what_waits_is_read_before_a_window_is_over(autojump_clock: MockClock) -> None:
    feed, script = ClockFeed(), Scripted([(n / 100, trade(n / 100)) for n in range(2_500)], end=25)
    async with playing(script):
        windows = time_windows(feed, script, 10)
        await trio.sleep(26)  # busy elsewhere: nothing was read
        found = await anext(windows)
    # Nothing was asked for before, so the windows begin with the one that is not over.
    assert (found.start, len(found.items), found.late, found.partial) == (at(20), 2_500, 2_000, True)


async def test_a_busy_program_gets_its_windows_right(autojump_clock: MockClock) -> None:
    feed, script = ClockFeed(), Scripted([(n / 100, trade(n / 100)) for n in range(4_000)], end=50)
    async with playing(script):
        windows = time_windows(feed, script, 10)
        found = [await anext(windows)]
        await trio.sleep(24)
        found += [await anext(windows) for _ in range(3)]
        assert trio.current_time() == pytest.approx(41)
    assert [(len(one.items), one.late) for one in found] == [(1_000, 0)] * 4


async def test_an_error_comes_after_what_was_received_and_stays(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0)), (12, trade(12))], end=13, failure=DisconnectedError(4001, "too slow"))
    async with playing(script):
        windows = time_windows(ClockFeed(), script, 10)
        assert await anext(windows) == window(0, 10, trade(0))
        assert await anext(windows) == window(10, 20, trade(12), partial=True)
        for _ in range(2):
            with pytest.raises(DisconnectedError):  # bare
                await anext(windows)


async def test_a_feed_that_fails_ends_the_windows_by_their_items(autojump_clock: MockClock) -> None:
    feed, broken = ClockFeed(), DisconnectedError(4001, "too slow")
    script = Scripted([(0, trade(0))], end=5, failure=broken)
    async with playing(script), trio.open_nursery() as nursery:
        nursery.start_soon(feed.end, 4, broken)
        windows = time_windows(feed, script, 10)
        assert await anext(windows) == window(0, 10, trade(0), partial=True)
        with pytest.raises(DisconnectedError):
            await anext(windows)
        assert trio.current_time() == 5


async def test_without_items_there_are_no_windows(autojump_clock: MockClock) -> None:
    assert await by_time(Scripted([], end=100), 10) == []


async def test_giving_up_loses_nothing(autojump_clock: MockClock) -> None:
    script = Scripted([(n, trade(n)) for n in range(30)], end=35)
    found: list[Window] = []
    async with playing(script):
        windows = time_windows(ClockFeed(), script, 10)
        while len(found) < 3:
            with trio.move_on_after(0.7):
                found.append(await anext(windows))
    assert [item for one in found for item in one.items] == [trade(n) for n in range(30)]
    assert not any(one.late for one in found)


async def test_each_window_is_a_checkpoint(autojump_clock: MockClock) -> None:
    script = Scripted([(0, trade(0))])
    async with playing(script):
        windows = time_windows(ClockFeed(), script, 10)
        await anext(windows)
        await trio.sleep(100)
        with assert_checkpoints():
            assert (await anext(windows)).items == ()


async def test_windows_over_a_merge(autojump_clock: MockClock) -> None:
    one, other = Scripted([(1, quote(1)), (9.5, quote(9.5))], end=15), Scripted([(3, trade(3))], end=15)
    feed = ClockFeed()
    async with playing(one, other), merge(feed, one, other) as merged:
        found = await anext(time_windows(feed, merged, 10))
    assert found == window(0, 10, quote(1), trade(3), quote(9.5), partial=True)


TRADES = st.lists(st.integers(0, 400), min_size=1).map(sorted)


@given(TRADES, st.sampled_from([1, 2.5, 7]), st.sampled_from([0, 0.3]))
def test_on_a_recording_each_trade_is_in_its_window(times: list[int], seconds: float, patience: float) -> None:
    events = [trade(time / 10, price=1.0 + n) for n, time in enumerate(times)]

    async def strategy(feed: Feed) -> list[Window]:
        async with feed.trades("AAPL") as trades:
            found = []
            async for one in time_windows(feed, trades, seconds, patience=patience):
                assert feed.now() > one.end or one.end >= events[-1].exchange_timestamp
                found.append(one)
            return found

    found = run_on_recording(strategy, events)
    span = round(seconds * SECOND)
    assert [event for one in found for event in one.items] == events
    assert all(one.start <= event.exchange_timestamp < one.end for one in found for event in one.items)
    assert all(one.start % span == 0 and one.end - one.start == span and not one.late for one in found)
    assert all(after.start == before.end for before, after in itertools.pairwise(found))
    last = events[-1].exchange_timestamp
    assert [one.partial for one in found] == [
        one.start < events[0].exchange_timestamp or one.end > last for one in found
    ]  # fmt: skip


def test_bars_of_a_recording_are_in_their_window() -> None:
    events = [trade(n * 20.0, price=100.0 + n) for n in range(60)]

    async def strategy(feed: Feed) -> list[tuple[int, list[int]]]:
        async with feed.bars("AAPL") as bars:
            return [
                (one.start, [item.start for item in one.items])  # type: ignore[union-attr]
                async for one in time_windows(feed, bars, 300)
            ]

    starts = [at(60.0 * n) for n in range(20)]
    assert run_on_recording(strategy, events) == [
        (begin, [start for start in starts if begin <= start < begin + 300 * SECOND])
        for begin in range(START - 240 * SECOND, at(1_200), 300 * SECOND)
    ]


async def test_windows_that_make_no_sense() -> None:
    script = Scripted([])
    for seconds in (0, math.nan):
        with pytest.raises(ConfigurationError, match="time_windows: seconds above 0"):
            time_windows(ClockFeed(), script, seconds)
    for patience in (-1, math.nan, math.inf):
        with pytest.raises(ConfigurationError, match="patience"):
            time_windows(ClockFeed(), script, 1, patience=patience)
