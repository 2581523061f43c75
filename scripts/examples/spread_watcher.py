"""A strategy: tell where a spread is much wider than it was on average lately, and where it is back.

    datafye-trio run scripts/examples/spread_watcher.py:strategy [URL|RECORDING] --set factor=4 --set seconds=300
    python scripts/examples/spread_watcher.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
Quotes that are crossed or one-sided, and those of a halted symbol, say nothing about a spread and are passed over.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import NamedTuple

import trio

from datafye_trio import Gap, Quote, open_feed
from datafye_trio.strategy import Feed, Latest, Rolling


class Notice(NamedTuple):
    """A spread in basis points of the middle that has become "wide", or "normal" again; and the average before."""

    what: str
    symbol: str
    time: datetime
    spread: float
    average: float


def spread_of(quote: Quote) -> float | None:
    """Basis points of the middle; None where there is no spread to speak of."""
    if not quote.bid_price or not quote.ask_price or quote.ask_price < quote.bid_price:
        return None  # a side is empty, which some venues write as 0; or they are crossed
    return 20_000 * (quote.ask_price - quote.bid_price) / (quote.ask_price + quote.bid_price)


async def strategy(
    feed: Feed,
    symbols: tuple[str, ...] = ("*",),
    factor: float = 3.0,
    seconds: float = 5.0,
    most: int | None = None,
) -> list[Notice]:
    """Follow quotes; returns the notices once there are `most`, or where the data ends."""
    latest = Latest()
    spreads: dict[str, Rolling] = {}
    wide: set[str] = set()
    notices: list[Notice] = []
    async with feed.quotes(symbols) as quotes:
        async for quote in quotes:
            latest.add(quote)  # knows who is halted
            if isinstance(quote, Gap):
                spreads.pop(quote.topic.symbol, None)
            if not isinstance(quote, Quote) or latest.halt(quote.symbol) or (spread := spread_of(quote)) is None:
                continue
            symbol, now = quote.symbol, quote.exchange_timestamp
            window = spreads.setdefault(symbol, Rolling(seconds=seconds))
            window.advance(now)
            if window.full and window.count and (spread > factor * window.mean) != (symbol in wide):
                wide ^= {symbol}
                what = "wide" if symbol in wide else "normal"
                notices.append(Notice(what, symbol, quote.time, spread, window.mean))
            window.add(now, spread)
            if len(notices) == most:
                break
    return notices


async def main(url: str | None) -> None:
    """Print the first five notices."""
    async with open_feed(url) as feed:
        for what, symbol, time, spread, average in await strategy(feed, most=5):
            print(f"{time:%H:%M:%S.%f} {symbol}: {spread:.2f} bp is {what}, beside {average:.2f} on average")


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
