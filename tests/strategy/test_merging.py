"""Several subscriptions as one stream: the order, the waiting for silent ones, and every way to end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from strategy.kit import SECOND, ClockFeed, Scripted, bar, gap, halt, live, playing, quote, resume, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio.errors import ConfigurationError, DisconnectedError, FeedClosedError
from datafye_trio.model import FeedItem, Quote
from datafye_trio.strategy import Feed, merging, run_on_recording
from datafye_trio.strategy.merging import Merged, merge

Seen = list[tuple[float, FeedItem]]


async def all_of(merged: Merged) -> Seen:
    """Each item, and when it was seen, to the end."""
    return [(round(trio.current_time(), 6), item) async for item in merged]


async def merged_of(*scripts: Scripted, patience: float = 1.0) -> Seen:
    async with playing(*scripts), merge(ClockFeed(), *scripts, patience=patience) as merged:
        return await all_of(merged)


def items(seen: Seen) -> list[FeedItem]:
    return [item for _, item in seen]


async def test_the_order_is_that_of_market_time(autojump_clock: MockClock) -> None:
    one = Scripted([(1, quote(1)), (4, quote(4)), (6, quote(6))], end=10)
    other = Scripted([(2, trade(2)), (3, trade(3)), (5, trade(5))], end=10)
    seen = items(await merged_of(one, other))
    assert seen == [quote(1), trade(2), trade(3), quote(4), trade(5), quote(6)]


async def test_what_comes_late_is_put_in_its_place(autojump_clock: MockClock) -> None:
    one = Scripted([(1, quote(1)), (2, quote(2))], end=9)
    other = Scripted([(1.9, trade(0.9)), (2.8, trade(1.8))], end=9)
    seen = await merged_of(one, other)
    assert items(seen) == [trade(0.9), quote(1), trade(1.8), quote(2)]
    assert [time for time, _ in seen] == [1.9, 2, 2.8, 3]  # as soon as that is known, and no later than a second


async def test_of_equal_times_the_subscription_named_first_is_first(autojump_clock: MockClock) -> None:
    for order in [*itertools.permutations((quote, trade, halt))] * 3:  # trio draws lots about who runs first
        began = trio.current_time()
        scripts = [Scripted([(began + 1, make(1))], end=began + 5) for make in order]
        assert items(await merged_of(*scripts)) == [make(1) for make in order]


async def test_a_silent_subscription_holds_the_others_back_for_so_long(autojump_clock: MockClock) -> None:
    one = Scripted([(n / 4, quote(n / 4)) for n in range(1, 9)], end=10)
    silent = Scripted([(15, trade(15))], end=30)
    seen = await merged_of(one, silent, patience=0.5)
    # Each for half a second from when it came, not one after the other; and nobody waits for who has ended.
    assert seen == [(n / 4 + 0.5, quote(n / 4)) for n in range(1, 9)] + [(15, trade(15))]


async def test_no_patience(autojump_clock: MockClock) -> None:
    one = Scripted([(1, quote(1)), (2, quote(2))], end=9)
    silent = Scripted([(1.5, trade(0.5))], end=9)
    assert await merged_of(one, silent, patience=0) == [(1, quote(1)), (1.5, trade(0.5)), (2, quote(2))]


async def test_patience_without_end_waits_for_the_end(autojump_clock: MockClock) -> None:
    seen = await merged_of(Scripted([(1, quote(1))], end=2), Scripted([], end=1_000), patience=math.inf)
    assert seen == [(1_000, quote(1))]


async def test_a_held_item_is_not_held_longer_because_others_come_before_it(autojump_clock: MockClock) -> None:
    trailing = Scripted([(1 + n * 0.4, quote(n * 0.01)) for n in range(10)], end=50)
    ahead = Scripted([(1, trade(1))], end=50)
    silent = Scripted([], end=50)
    seen = await merged_of(trailing, ahead, silent)
    assert [time for time, item in seen if item == trade(1)] == [2]


async def test_a_bar_stands_where_its_span_ends(autojump_clock: MockClock) -> None:
    bars = Scripted([(60.5, bar(0)), (61.3, bar(60, final=False))], end=100)
    trades = Scripted([(59, trade(59)), (60, trade(60)), (60.5, trade(60.5))], end=100)
    # Both at second 60: the bars are named first. One that is still forming says nothing later than its beginning.
    assert items(await merged_of(bars, trades)) == [
        trade(59), bar(0), trade(60), bar(60, final=False), trade(60.5),
    ]  # fmt: skip


async def test_a_bar_of_a_day_that_ends_elsewhere_is_no_later_than_now(autojump_clock: MockClock) -> None:
    day = bar(-62_040, frequency="Day")  # of UTC, as crypto has them; by New York it would end five hours later
    bars, trades = Scripted([(60, day)], end=99), Scripted([(59.5, trade(59.5)), (60.5, trade(60.5))], end=99)
    assert await merged_of(bars, trades) == [(60, trade(59.5)), (60.5, day), (61.5, trade(60.5))]


async def test_gaps_and_marks_keep_their_place(autojump_clock: MockClock) -> None:
    one = Scripted([(1, quote(1)), (1.1, gap()), (1.2, quote(1.2)), (5, live()), (6, quote(6))], end=9)
    other = Scripted([(1, trade(0.5)), (1.2, trade(1.1)), (6, trade(5.5))], end=9)
    seen = await merged_of(one, other)
    assert items(seen) == [
        trade(0.5), quote(1), gap(), trade(1.1), quote(1.2), live(), trade(5.5), quote(6),
    ]  # fmt: skip
    assert (5, live()) in seen  # held back for nobody


async def test_what_is_late_goes_at_once(autojump_clock: MockClock) -> None:
    one, other = Scripted([(5, quote(5)), (8, quote(2)), (9, quote(3))], end=20), Scripted([], end=20)
    assert await merged_of(one, other) == [(6, quote(5)), (8, quote(2)), (9, quote(3))]


SCRIPTS = st.lists(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0, 0, 0.1, 0.4])), max_size=8), max_size=4)


@given(SCRIPTS.filter(bool))
def test_the_order_is_exact_where_nothing_is_later_than_the_patience(plans: list[list[tuple[int, float]]]) -> None:
    scripts = [
        [(time / 10 + delay, quote(time / 10, f"S{place}")) for time, delay in sorted(plan)]
        for place, plan in enumerate(plans)
    ]

    async def main() -> list[FeedItem]:
        made = [Scripted(sorted_by_coming(script), end=50) for script in scripts]
        return items(await merged_of(*made, patience=0.5))

    found = trio.run(main, clock=MockClock(autojump_threshold=0))
    everything = [item for script in scripts for _, item in script]  # sorting leaves what is equal in this order
    assert found == sorted(everything, key=lambda item: item.exchange_timestamp)


def sorted_by_coming(script: Sequence[tuple[float, Any]]) -> list[tuple[float, Any]]:
    """The same items in their order, none before the one that it follows."""
    latest, found = 0.0, []
    for time, item in script:
        latest = max(latest, time)
        found.append((latest, item))
    return found


async def test_ends_when_all_have_ended(autojump_clock: MockClock) -> None:
    one, other = Scripted([(1, quote(1))], end=2), Scripted([], end=5)
    async with playing(one, other), merge(ClockFeed(), one, other) as merged:
        assert len(await all_of(merged)) == 1
        assert trio.current_time() == 5
        with pytest.raises(StopAsyncIteration):
            await anext(merged)


async def test_an_error_comes_in_its_place_and_stays(autojump_clock: MockClock) -> None:
    broken = DisconnectedError(4001, "too slow")
    one = Scripted([(1, quote(1)), (2, quote(2))], end=2, failure=broken)
    other = Scripted([(1.5, trade(1.5)), (9, trade(9))], end=20)
    seen = []
    async with playing(one, other), merge(ClockFeed(), one, other) as merged:
        for _ in range(2):
            with pytest.raises(DisconnectedError, match="too slow") as caught:
                async for item in merged:
                    seen.append(item)  # noqa: PERF401
            assert caught.value is broken
    assert seen == [quote(1), trade(1.5), quote(2)]


async def test_an_error_that_nobody_met_is_raised_at_the_end(autojump_clock: MockClock) -> None:
    one = Scripted([(1, quote(1))], end=2, failure=DisconnectedError(4001, "too slow"))
    async with playing(one):
        with pytest.raises(DisconnectedError, match="too slow"):
            async with merge(ClockFeed(), one):
                await trio.sleep(5)
        one.held.clear()
        with pytest.raises(ValueError, match="mine"):  # but not over what the body raises
            async with merge(ClockFeed(), one):
                await trio.sleep(5)
                raise ValueError("mine")


async def test_cancelling_loses_nothing(autojump_clock: MockClock) -> None:
    one = Scripted([(n, quote(n)) for n in range(20)], end=25)
    other = Scripted([(n + 0.5, trade(n + 0.5)) for n in range(20)], end=25)
    seen: list[FeedItem] = []
    async with playing(one, other), merge(ClockFeed(), one, other) as merged:
        while len(seen) < 40:
            with trio.move_on_after(0.3):
                async for item in merged:
                    seen.append(item)  # noqa: PERF401
    assert seen == sorted(seen, key=lambda item: item.exchange_timestamp)
    assert len(seen) == 40


async def test_several_tasks_may_iterate(autojump_clock: MockClock) -> None:
    one = Scripted([(n, quote(n)) for n in range(10)], end=15)
    found: list[list[FeedItem]] = [[], []]

    async def read(merged: Merged, into: list[FeedItem]) -> None:
        async for item in merged:
            into.append(item)  # noqa: PERF401 -- one at a time

    async with playing(one), merge(ClockFeed(), one) as merged, trio.open_nursery() as nursery:
        for into in found:
            nursery.start_soon(read, merged, into)
    assert sorted(found[0] + found[1], key=lambda item: item.exchange_timestamp) == [quote(n) for n in range(10)]


async def test_what_is_held_is_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_CAPACITY", 50)
    one, other = Scripted([], end=1), Scripted([], end=1)
    feed = ClockFeed()
    async with merge(feed, one, other, patience=0.5) as merged:
        for n in range(5_000):
            one.put(quote(n * 1e-6))
        await wait_all_tasks_blocked()
        assert len(one.held) == 5_000 - 1_024  # a batch, and then it is full
        assert [await anext(merged) for _ in range(1_000)] == [quote(n * 1e-6) for n in range(1_000)]
        await wait_all_tasks_blocked()
        assert len(one.held) == 5_000 - 2 * 1_024  # there is room again
        assert trio.current_time() == 0.5
        assert len([await anext(merged) for _ in range(4_000)]) == 4_000


async def test_others_get_their_turn(autojump_clock: MockClock) -> None:
    one, turns = Scripted([]), 0
    for n in range(1_000):
        one.put(quote(n))

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with merge(ClockFeed(), one) as merged, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(1_000):
            await anext(merged)
        assert turns >= 10
        nursery.cancel_scope.cancel()


async def test_what_the_body_raises_leaves_it_bare(autojump_clock: MockClock) -> None:
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with merge(ClockFeed(), Scripted([])):
            raise mine
    assert caught.value is mine


async def test_is_entered_once(autojump_clock: MockClock) -> None:
    merging_once = merge(ClockFeed(), Scripted([]))
    async with merging_once:
        pass
    with pytest.raises(FeedClosedError, match="entered once"):
        async with merging_once:
            pytest.fail("entered")


async def test_merges_that_make_no_sense() -> None:
    feed = ClockFeed()
    with pytest.raises(ConfigurationError, match="name the subscriptions"):
        merge(feed)
    for patience in (-1, math.nan):
        with pytest.raises(ConfigurationError, match="patience"):
            merge(feed, Scripted([]), patience=patience)


TICKS = st.lists(st.tuples(st.integers(0, 10), st.sampled_from([quote, trade]), st.sampled_from(["A", "B"])))


@given(TICKS, st.sampled_from([0, 1.0]))
def test_on_a_recording_the_order_is_exact_and_without_patience_at_once(ticks: list[Any], patience: float) -> None:
    events = [make(time / 4, symbol, n + 1.0) for n, (time, make, symbol) in enumerate(ticks)]

    async def strategy(feed: Feed) -> list[FeedItem]:
        seen = []
        async with (
            feed.quotes("A") as one, feed.subscribe(["quotes", "trades"], "B") as two, feed.trades("A") as three,
            merge(feed, one, two, three, patience=patience) as merged,
        ):  # fmt: skip
            async for item in merged:
                assert 0 <= feed.now() - item.exchange_timestamp <= patience * SECOND + 2
                seen.append(item)
        return seen

    def place(event: Any) -> tuple[int, int]:
        return event.exchange_timestamp, 1 if event.symbol == "B" else 0 if isinstance(event, Quote) else 2

    both = [quote(3, "C"), trade(3, "C")]  # so that there is either channel
    assert run_on_recording(strategy, events + both) == sorted(events, key=place)


async def test_halts_stand_in_their_place(autojump_clock: MockClock) -> None:
    one = Scripted([(1, halt(1)), (4, resume(4))], end=9)
    other = Scripted([(2, trade(2)), (5, trade(5))], end=9)
    assert items(await merged_of(one, other)) == [halt(1), trade(2), resume(4), trade(5)]
