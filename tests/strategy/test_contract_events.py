"""What `Feed` promises of what comes, three ways alike: newest quotes, halts, what is made of trades."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from strategy.kit import bar, halt, quote, resume, trade
from strategy.ways import (
    BARS,
    JUMPY,
    TICKS,
    Market,
    collect,
    everywhere,
    play,
    ways,
)

from datafye_trio.model import Bar, Channel, FeedItem, Halt, Quote, Trade
from datafye_trio.strategy import Feed


@ways
@pytest.mark.parametrize("symbols", ["A", "*"])
@pytest.mark.parametrize("kept", [True, False])
def test_who_comes_later_gets_the_newest_quote_first(way: str, symbols: str, kept: bool) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        await trio.sleep(3.5)
        async with feed.quotes(symbols, snapshot=kept) as sub:
            return await collect(sub)

    events = [quote(1, "A"), quote(2, "B"), quote(3, "A", 99.0), quote(4, "A"), quote(5, "A")]
    first = [quote(3, "A", 99.0)] if symbols == "A" else [quote(3, "A", 99.0), quote(2, "B")]
    found = play(way, strategy, events)
    head, rest = found[:-2], found[-2:]
    assert rest == events[-2:]
    assert sorted(head, key=str) == sorted(first if kept else [], key=str)


@ways
def test_trades_have_no_newest(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        await trio.sleep(1.5)
        async with feed.trades("AAPL") as sub:
            return await collect(sub)

    assert play(way, strategy, [trade(1), trade(2)]) == [trade(2)]


@ways
@pytest.mark.parametrize("channels", ["quotes", "trades", ["quotes", "trades"]])
def test_halts_come_on_quotes_and_on_trades(way: str, channels: Any) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.subscribe(channels, "AAPL") as sub:
            return await collect(sub)

    events = [quote(1), trade(1), halt(2), resume(3), trade(4), quote(4)]
    wanted = [one for one in events if not isinstance(one, {"quotes": Trade, "trades": Quote}.get(str(channels), Bar))]
    if isinstance(channels, list):
        wanted = [quote(1), trade(1), halt(2), halt(2), resume(3), resume(3), trade(4), quote(4)]
    assert play(way, strategy, events) == wanted


@ways
def test_a_halt_stands_where_the_newest_quote_would(way: str) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        await trio.sleep(2.5)
        async with feed.quotes("AAPL") as sub:
            return await collect(sub, 1)

    assert isinstance(play(way, strategy, [quote(1), halt(2), quote(9)])[0], Halt)


@pytest.mark.parametrize("channel", ["bars", "sma", "ema"])
@pytest.mark.parametrize("frequency", ["Second", "Minute"])
@pytest.mark.parametrize("running", [False, True])
def test_what_is_made_of_trades_is_the_same_everywhere(channel: str, frequency: str, running: bool) -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.subscribe(channel, "*", frequency=frequency, running=running) as sub:
            return await collect(sub)

    found = everywhere(strategy, Market(JUMPY, BARS))
    assert len(found) > 4
    if channel == "bars":
        assert any(not one.final for one in found) == running


def test_ticks_bars_and_indicators_in_one_subscription() -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.subscribe(["trades", "bars", "ema"], ["AAPL", "MSFT"], frequency="Second") as sub:
            return await collect(sub)

    assert len(everywhere(strategy, Market(JUMPY, BARS))) > 700


def test_running_bars_for_one_who_comes_later_and_leaves() -> None:
    async def strategy(feed: Feed) -> list[Any]:
        found = []
        for seconds in (10, 25.2):
            await trio.sleep(seconds)
            async with feed.bars("AAPL", running=True) as sub:
                found.append(await collect(sub, 20.3))
        return found

    assert all(len(part) > 10 for part in everywhere(strategy, Market(JUMPY, BARS)))


def test_bars_that_are_published_as_such() -> None:
    async def strategy(feed: Feed) -> list[FeedItem]:
        async with feed.bars("*", frequency="Second") as sub:
            return await collect(sub)

    events = [bar(n, symbol, "Second") for n in range(5) for symbol in ("A", "B")]
    assert everywhere(strategy, Market(events, channels=(TICKS[1], Channel.AGGREGATES))) == events
