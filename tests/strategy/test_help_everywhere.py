"""What helps strategies gives the same on the wire, in process and on a recording."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import trio
from strategy.kit import at, halt, quote, resume, trade
from strategy.ways import BARS, DAY, JUMPY, Market, everywhere, moment, play, ways

from datafye_trio.aggregates import event_time
from datafye_trio.errors import FillError
from datafye_trio.model import Event, FeedItem, Quote
from datafye_trio.strategy import Feed
from datafye_trio.strategy.merging import merge
from datafye_trio.strategy.paper import Fill, PaperBook
from datafye_trio.strategy.rolling import Rolling
from datafye_trio.strategy.timing import every
from datafye_trio.strategy.views import open_latest
from datafye_trio.strategy.windows import Window, count_windows, time_windows


async def take(items: Any, count: int) -> list[Any]:
    found: list[Any] = []
    async for item in items:
        found.append(item)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("patience", [0.0, 1.0])
def test_a_merge_of_ticks(patience: float) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with (
            feed.quotes("AAPL") as ones, feed.quotes("MSFT") as others, feed.trades("*") as trades,
            merge(feed, ones, others, trades, patience=patience) as merged,
        ):  # fmt: skip
            return await take(merged, 160)

    def place(event: Any) -> tuple[int, int]:
        return moment(event), 2 if not isinstance(event, Quote) else event.symbol == "MSFT"

    assert everywhere(strategy, DAY) == sorted(DAY, key=place)


def test_a_merge_of_bars_and_trades() -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with (
            feed.trades("*") as trades, feed.bars("*") as bars,
            merge(feed, bars, trades, patience=30) as merged,
        ):  # fmt: skip
            return await take(merged, 270)

    found: list[Event] = everywhere(strategy, Market(JUMPY, BARS))  # type: ignore[assignment]
    assert len([item for item in found if item not in JUMPY]) == 6  # two symbols, three minutes
    assert [event_time(item) for item in found] == sorted(event_time(item) for item in found)


def test_a_merge_where_somebody_leaves() -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.trades("*") as trades, feed.quotes("AAPL") as quotes:
            async with merge(feed, trades, quotes) as merged:
                found = await take(merged, 10)
            await trades.remove("MSFT")
            async with merge(feed, trades, quotes) as merged:
                return found + [item for item in await take(merged, 40) if item.symbol == "AAPL"]

    found = everywhere(strategy, DAY)
    assert {item.symbol for item in found[10:]} == {"AAPL"}
    assert found == sorted(found, key=moment)


def test_windows_of_time() -> None:
    async def strategy(feed: Feed) -> list[Window]:
        async with feed.trades(["AAPL", "MSFT"]) as trades:
            return await take(time_windows(feed, trades, 30), 6)

    found = everywhere(strategy, JUMPY)
    assert [item for one in found for item in one.items] == [one for one in JUMPY if moment(one) < at(180)]
    assert [(one.start, one.late, one.partial) for one in found] == [
        (at(30 * n), 0, n == 0) for n in range(6)
    ]  # fmt: skip


def test_windows_of_bars() -> None:
    async def strategy(feed: Feed) -> list[tuple[int, int, int]]:
        async with feed.bars("AAPL", frequency="Second") as bars:
            found = await take(time_windows(feed, bars, 20, patience=10), 8)
            return [(one.start, len(one.items), one.late) for one in found]

    starts = sorted({moment(one) // 10**9 * 10**9 for one in JUMPY if one.symbol == "AAPL"})
    assert everywhere(strategy, Market(JUMPY, BARS)) == [
        (begin, sum(begin <= start < begin + 20 * 10**9 for start in starts), 0)
        for begin in (at(20.0 * n) for n in range(8))
    ]


def test_windows_by_count() -> None:
    async def strategy(feed: Feed) -> list[Window]:
        async with feed.trades("MSFT") as trades:
            return await take(count_windows(trades, 16), 6)

    found = everywhere(strategy, JUMPY)
    assert [item for one in found for item in one.items] == [one for one in JUMPY if one.symbol == "MSFT"][:96]


def test_ticks_and_what_was_seen_by_then() -> None:
    async def strategy(feed: Feed) -> list[tuple[int, int, float]]:
        rolling, found = Rolling(seconds=4), []

        async def follow() -> None:
            async with feed.trades("AAPL") as trades:
                async for item in trades:
                    rolling.add(item.exchange_timestamp, item.price)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            async for tick in every(feed, 2.5):
                rolling.advance(tick)
                found.append((tick, rolling.count, rolling.sum))
                if len(found) == 4:
                    nursery.cancel_scope.cancel()
                    break
        return found

    prices = {moment(one): one.price for one in DAY if one.symbol == "AAPL" and not isinstance(one, Quote)}
    assert everywhere(strategy, DAY) == [
        (tick, len(seen), sum(seen))
        for tick in (at(2.5 * n) for n in range(1, 5))
        for seen in [[price for time, price in prices.items() if tick - 4 * 10**9 < time <= tick]]
    ]


@ways
def test_a_view(way: str) -> None:
    async def strategy(feed: Feed) -> list[float | None]:
        async with open_latest(feed.quotes(["AAPL", "MSFT"])) as latest:
            first = await latest.wait("MSFT")
            found = [first.bid_price]
            while await latest.changed():
                found.append(latest["MSFT"].bid_price)
                if latest["MSFT"] == DAY[-2]:
                    break
            return found

    found = play(way, strategy, DAY)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1.0, 40.0)


def test_a_paper_book() -> None:
    events = [
        quote(1, bid=10.0, ask=10.2), quote(2, bid=10.4, ask=10.6), halt(3), trade(4), resume(5),
        quote(6, bid=11.0, ask=11.2), trade(9),
    ]  # fmt: skip

    async def strategy(feed: Feed) -> tuple[list[Fill | str], Decimal, Decimal]:
        book, found = PaperBook(100), list[Fill | str]()
        async with feed.subscribe(["quotes", "trades"], "AAPL") as sub:
            async for item in sub:
                book.add(item)
                if item == events[-1]:
                    break
                try:
                    found.append(book.buy("AAPL", 1))
                except FillError as error:
                    found.append(str(error))
        return found, book.unrealised, book.equity

    fills, unrealised, equity = everywhere(strategy, events)
    told = "AAPL is halted since 22:14:03 UTC (LULD): wait for its resumption"
    # A halt comes on quotes and on trades alike.
    assert [fill if isinstance(fill, str) else float(fill.price) for fill in fills] == [
        10.2, 10.6, told, told, told, 10.6, 10.6, 11.2,
    ]  # fmt: skip
    assert (unrealised, equity) == (Decimal("1.8"), Decimal("101.8"))
