"""What `Feed` promises of a subscription in use, three ways alike: full buffers, several tasks, cancellation."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from strategy.kit import quote, trade
from strategy.ways import BARS, DAY, Market, bought, collect, play, ways

from datafye_trio.errors import BufferOverflowError, FeedClosedError
from datafye_trio.model import Bar, FeedItem, Gap, Trade
from datafye_trio.strategy import Feed


def burst(count: int, seconds: float = 1) -> list[Trade]:
    return [bought(seconds, n=n) for n in range(count)]


def numbers(items: list[Any]) -> list[int]:
    return [int(item.trade_id) for item in items if isinstance(item, Trade)]


@ways
def test_wait_loses_nothing_of_a_burst_while_the_program_reads(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("AAPL", buffer=4) as sub:
            return await collect(sub)

    assert numbers(play(way, strategy, burst(500))) == list(range(500))


@ways
@pytest.mark.parametrize("running", [True, False])
def test_bars_of_every_symbol_outlive_those_of_the_other_kind(way: str, running: bool) -> None:
    # Bug: the end of `*` on final bars took `*` on running ones off the wire as well, and nobody was told.
    async def strategy(feed: Feed) -> Any:
        async with feed.bars("*", frequency="Second", running=running) as sub:
            async with feed.bars("*", frequency="Second", running=not running):
                await trio.sleep(5.5)
            return [item.start for item in await collect(sub, 100) if isinstance(item, Bar) and item.final]

    bars = play(way, strategy, Market([bought(second + 0.25) for second in range(1, 20)], BARS))
    assert len(bars) == 19


@ways
def test_wait_tells_what_a_program_that_does_not_read_has_lost(way: str) -> None:
    # A server keeps some for who comes back. Either way each one comes, or is in a gap that stands in its place.
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("AAPL", buffer=8) as sub:
            await trio.sleep(3_600)
            assert sub.statistics().paused
            return await collect(sub, 1_000)

    events = [bought(n + 1, n=n) for n in range(4_000)]
    found = play(way, strategy, events)
    account: list[int] = []
    for item in found:
        account += [int(item.trade_id)] if isinstance(item, Trade) else range(item.first - 1, item.last)
    assert account == list(range(4_000))
    assert [item.reason for item in found if isinstance(item, Gap)] == ["expired"]


@ways
def test_drop_oldest_says_what_it_has_dropped(way: str) -> None:
    async def strategy(feed: Feed) -> Any:
        async with feed.trades("AAPL", policy="drop_oldest", buffer=4) as sub:
            await trio.sleep(5)
            statistics = sub.statistics()
            return await collect(sub, 1), statistics.dropped, statistics.capacity

    found, dropped, capacity = play(way, strategy, burst(10))
    assert (found[0].first, found[0].last, found[0].reason) == (1, 6, "buffer_full")
    assert numbers(found) == [6, 7, 8, 9]
    assert (dropped, capacity) == (6, 4)


@ways
def test_latest_keeps_the_newest(way: str) -> None:
    async def strategy(feed: Feed) -> Any:
        async with feed.trades(["AAPL", "MSFT"], policy="latest") as sub:
            await trio.sleep(5)
            return await collect(sub, 1), sub.statistics().conflated

    events = [*burst(10), bought(2, "MSFT", n=7)]
    found, conflated = play(way, strategy, events)
    assert numbers(found) == [9, 7]
    assert conflated == 9


@ways
def test_error_says_so_after_what_was_held(way: str) -> None:
    async def strategy(feed: Feed) -> list[int]:
        found: list[FeedItem] = []
        async with feed.trades("AAPL", policy="error", buffer=4) as sub:
            await trio.sleep(5)
            with pytest.raises(BufferOverflowError, match="4 events wait"):
                async for item in sub:
                    found.append(item)  # noqa: PERF401 -- kept, though it fails
        return numbers(found)

    assert play(way, strategy, burst(10)) == [0, 1, 2, 3]


@ways
def test_one_that_does_not_read_harms_nobody(way: str) -> None:
    async def strategy(feed: Feed) -> list[int]:
        async with feed.trades("AAPL", buffer=2), feed.trades("AAPL") as sub:
            return numbers(await collect(sub, 2_000))

    assert play(way, strategy, [bought(n + 1, n=n) for n in range(200)]) == list(range(200))


@ways
def test_each_item_goes_to_one_of_several_tasks(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        found: list[FeedItem] = []

        async def read() -> None:
            with trio.move_on_after(100):
                async for item in sub:
                    found.append(item)  # noqa: PERF401 -- all tasks do

        async with feed.trades("*") as sub, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
        return found

    trades = [one for one in DAY if isinstance(one, Trade)]
    found = play(way, strategy, DAY)
    assert sorted(found, key=str) == sorted(trades, key=str)


@ways
def test_a_subscription_is_entered_once_and_used_within(way: str) -> None:
    async def strategy(feed: Feed) -> None:
        sub = feed.trades("AAPL")
        with pytest.raises(FeedClosedError, match="not entered"):
            await anext(sub)
        async with sub:
            with pytest.raises(FeedClosedError, match="entered once"):
                await sub.__aenter__()
        with pytest.raises(FeedClosedError, match="has ended"):
            await anext(sub)
        with pytest.raises(FeedClosedError, match="entered once"):
            await sub.__aenter__()
        for change in (sub.add, sub.remove):
            with pytest.raises(FeedClosedError):
                await change("MSFT")
        with pytest.raises(FeedClosedError):
            await sub.receive_many()

    play(way, strategy, DAY)


@ways
@pytest.mark.parametrize("checkpoints", range(8))
def test_cancelled_while_entering_or_adding_nothing_is_left(way: str, checkpoints: int) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, scope, checkpoints)
                async with feed.trades("A") as sub:
                    await sub.add("B")
                    scope.cancel()
        async with feed.trades(["A", "B"]) as sub:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, scope, checkpoints)
                    await sub.add("C")
            if "C" in sub.symbols:
                await sub.remove("C")
            return await collect(sub)

    events = [trade(n, symbol) for n in (1, 2) for symbol in ("A", "B", "C")]
    assert play(way, strategy, events) == [one for one in events if one.symbol != "C"]


async def cancel_after(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


@ways
def test_cancelled_while_iterating_no_item_is_lost(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        found: list[FeedItem] = []
        async with feed.trades("*") as sub:
            for _ in range(200):
                with trio.move_on_after(0.1):
                    found.append(await anext(sub))
        return found

    events = [trade(n * 0.3 + 1) for n in range(30)]
    assert play(way, strategy, [*events, quote(60)]) == events


@ways
def test_many_at_once(way: str) -> None:
    async def strategy(feed: Feed) -> Any:
        found = []
        async with feed.trades("AAPL") as sub:
            await trio.sleep(5)
            assert sub.statistics().waiting == 5_000
            found = [len(await sub.receive_many()) for _ in range(3)]
            return found, sub.statistics()

    found, statistics = play(way, strategy, [*burst(5_000), quote(60)])
    assert found == [2_048, 2_048, 904]
    assert (statistics.delivered, statistics.waiting, statistics.gaps, statistics.paused) == (5_000, 0, 0, False)
