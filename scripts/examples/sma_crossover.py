"""A strategy: buy where the short average of closes rises above the long one, sell where it falls below.

    datafye-trio run scripts/examples/sma_crossover.py:strategy [URL|RECORDING] --set fast=10 --set slow=50
    python scripts/examples/sma_crossover.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
The same function runs on a server and on a recording, and decides the same there: it looks at nothing but its bars.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import NamedTuple

import trio

from datafye_trio import Bar, Gap, open_feed
from datafye_trio.strategy import Feed, Rolling


class Decision(NamedTuple):
    """What to do, of which symbol, at the end of which bar (by its start) and price."""

    action: str
    symbol: str
    bar: datetime
    close: float


class Averages:
    """The two averages of one symbol, and which of them was above."""

    def __init__(self, fast: int, slow: int) -> None:
        self.fast, self.slow = Rolling(count=fast), Rolling(count=slow)
        self.was_above: bool | None = None

    def crossed(self, bar: Bar, close: float) -> str | None:
        """Take in a bar; "buy" or "sell" where the averages cross."""
        for window in (self.fast, self.slow):
            window.add(bar.start, close)
        if not self.slow.full:
            return None
        was_above, self.was_above = self.was_above, self.fast.mean > self.slow.mean
        if was_above is None or was_above == self.was_above:
            return None
        return "buy" if self.was_above else "sell"


async def strategy(
    feed: Feed,
    symbols: tuple[str, ...] = ("*",),
    frequency: str = "Second",
    fast: int = 5,
    slow: int = 20,
    most: int | None = None,
) -> list[Decision]:
    """Follow bars; returns the decisions once there are `most`, or where the data ends."""
    averages: dict[str, Averages] = {}
    decisions: list[Decision] = []
    async with feed.bars(symbols, frequency=frequency) as bars:
        async for bar in bars:
            if isinstance(bar, Gap):
                averages.pop(bar.topic.symbol, None)  # an average across a hole is none
            if not isinstance(bar, Bar) or bar.close is None:
                continue
            if bar.symbol not in averages:
                averages[bar.symbol] = Averages(fast, slow)
            if (action := averages[bar.symbol].crossed(bar, bar.close)) is not None:
                decisions.append(Decision(action, bar.symbol, bar.time, bar.close))
            if len(decisions) == most:
                break
    return decisions


async def main(url: str | None) -> None:
    """Print the first five decisions."""
    async with open_feed(url) as feed:
        for decision in await strategy(feed, most=5):
            print(*decision)


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
