"""A strategy on two symbols: where their ratio is far from its average, sell the dear one and buy the cheap one.

    datafye-trio run scripts/examples/pair_monitor.py:strategy [URL|RECORDING] --set pair=MSFT,NVDA --set entry=3
    python scripts/examples/pair_monitor.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
Two subscriptions become one stream in order of market time. The fills are those of a `PaperBook`: a model, and no
promise of what a market would have paid.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable
from datetime import datetime
from typing import NamedTuple

import trio

from datafye_trio import FeedItem, Gap, Quote, open_feed
from datafye_trio.strategy import Feed, Fill, Latest, PaperBook, Rolling, merge


class Move(NamedTuple):
    """A step of the monitor: "open" or "close", how far the ratio is from its average, and the fills."""

    what: str
    time: datetime
    deviations: float
    fills: tuple[Fill, Fill]


class Monitor:
    """The ratio of a pair, and what is held of it: 0, or 1 share of the first against as much of the second."""

    def __init__(self, pair: tuple[str, str], seconds: float, entry: float) -> None:
        self.pair, self.entry = pair, entry
        self.book, self.latest = PaperBook(), Latest()
        self.ratios = Rolling(seconds=seconds)
        self.middles: dict[str, float] = {}
        self.side = 0

    def take(self, item: FeedItem) -> Move | None:
        """Take in what comes; what is done at it."""
        self.book.add(item)
        self.latest.add(item)  # knows who is halted
        if isinstance(item, Gap):
            self.middles.pop(item.topic.symbol, None)
        if not isinstance(item, Quote):
            return None
        self.middles.pop(item.symbol, None)
        if item.bid_price and item.ask_price:  # a side may be empty, which some venues write as 0
            self.middles[item.symbol] = (item.bid_price + item.ask_price) / 2
        first, second = self.pair
        if len(self.middles) < 2 or self.latest.halt(first) or self.latest.halt(second):
            return None
        ratio = self.middles[first] / self.middles[second]
        self.ratios.add(item.exchange_timestamp, ratio)
        if not self.ratios.full or self.ratios.count < 2 or (deviation := self.ratios.std) == 0:
            return None
        return self._decide(item, (ratio - self.ratios.mean) / deviation, ratio)

    def _decide(self, quote: Quote, deviations: float, ratio: float) -> Move | None:
        first, second = self.pair
        if self.side == 0 and abs(deviations) >= self.entry:
            self.side = -1 if deviations > 0 else 1
            buy, sell = (first, second) if self.side > 0 else (second, first)
            shares = {first: 1.0, second: float(f"{ratio:.4g}")}  # digits, not places: a ratio may be 1e-6
            fills = self.book.buy(buy, shares[buy]), self.book.sell(sell, shares[sell])
            return Move("open", quote.time, deviations, fills)
        if self.side != 0 and deviations * self.side >= 0:  # it has come back
            bought, sold = (first, second) if self.side > 0 else (second, first)
            self.side = 0
            held = self.book.holding
            fills = self.book.sell(bought, held(bought).quantity), self.book.buy(sold, -held(sold).quantity)
            return Move("close", quote.time, deviations, fills)
        return None


async def follow(items: AsyncIterable[FeedItem], monitor: Monitor, most: int | None) -> list[Move]:
    """What is done at a stream of quotes."""
    moves: list[Move] = []
    async for item in items:
        if (move := monitor.take(item)) is not None:
            moves.append(move)
        if len(moves) == most:
            break
    return moves


async def strategy(
    feed: Feed,
    pair: tuple[str, str] = ("AAPL", "MSFT"),
    seconds: float = 20.0,
    entry: float = 2.0,
    most: int | None = None,
) -> list[Move]:
    """Follow two symbols; returns the moves once there are `most`, or where the data ends."""
    first, second = pair
    async with feed.quotes(first) as ones, feed.quotes(second) as others, merge(feed, ones, others) as quotes:
        return await follow(quotes, Monitor(pair, seconds, entry), most)


async def main(url: str | None) -> None:
    """Print the first four moves."""
    async with open_feed(url) as feed:
        for what, time, deviations, fills in await strategy(feed, most=4):
            filled = ", ".join(f"{fill.quantity:+.4f} {fill.symbol} at {fill.price}" for fill in fills)
            print(f"{time:%H:%M:%S.%f} {what} at {deviations:+.2f} deviations: {filled}")


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
