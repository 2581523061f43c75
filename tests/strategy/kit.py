"""Fakes for tests of what helps strategies: a feed that is nothing but a clock, and subscriptions with a script."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self

import trio

from datafye_trio.client.market_time import MarketTime
from datafye_trio.errors import FeedError
from datafye_trio.model import Bar, Channel, FeedItem, Frequency, Gap, Halt, Live, Quote, Resume, TopicKey, Trade

SECOND = 1_000_000_000
START = 1_700_000_040 * SECOND
"""Market time at trio time 0: a full minute."""


def at(seconds: float) -> int:
    """Market time, so many seconds after the start."""
    return START + round(seconds * SECOND)


class ClockFeed:
    """Market time that follows trio's, and an end of the data."""

    def __init__(self) -> None:
        self.market = MarketTime(START)

    def now(self) -> int:
        return self.market.now()

    async def sleep_until(self, time_ns: int) -> bool:
        return await self.market.wait_until(time_ns)

    async def end(self, seconds: float, failure: FeedError | None = None) -> None:
        await trio.sleep_until(seconds)
        self.market.end(failure)


class Scripted:
    """A subscription whose items come at planned seconds of trio time; then it ends, fails, or stays silent.

    As the real one: `receive_many` takes all that waits and is empty at the end, iterating pops one at a time.
    """

    def __init__(self, script: Iterable[tuple[float, FeedItem]], end: float | None = None, failure: Any = None) -> None:
        self.script = list(script)
        self.end = end
        self.failure = failure
        self.held: deque[FeedItem] = deque()
        self.lot = trio.lowlevel.ParkingLot()
        self.ended = False
        self.entered = self.left = 0

    async def play(self) -> None:
        for time, item in self.script:
            await trio.sleep_until(time)
            self.put(item)
        if self.end is not None:
            await trio.sleep_until(self.end)
            self.ended = True
            self.lot.unpark_all()

    def put(self, item: FeedItem) -> None:
        self.held.append(item)
        self.lot.unpark_all()

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left += 1

    def __aiter__(self) -> Self:
        return self

    async def _wait(self) -> bool:
        await trio.lowlevel.checkpoint()
        while not self.held:
            if self.ended:
                if self.failure is not None:
                    raise self.failure
                return False
            await self.lot.park()
        return True

    async def __anext__(self) -> FeedItem:
        if not self.held and not await self._wait():
            raise StopAsyncIteration
        return self.held.popleft()

    async def receive_many(self) -> list[FeedItem]:
        await trio.lowlevel.checkpoint()
        if not self.held and not await self._wait():
            return []
        return [self.held.popleft() for _ in range(min(1_024, len(self.held)))]

    def statistics(self) -> SimpleNamespace:
        return SimpleNamespace(waiting=len(self.held))


@asynccontextmanager
async def playing(*scripts: Scripted) -> AsyncIterator[None]:
    """The scripts play while the body runs."""
    async with trio.open_nursery() as nursery:
        for script in scripts:
            nursery.start_soon(script.play)
        yield
        nursery.cancel_scope.cancel()


def quote(seconds: float, symbol: str = "AAPL", bid: float | None = 100.0, ask: float | None = 100.5) -> Quote:
    return Quote(symbol, at(seconds), bid, 100, ask, 200)


def trade(seconds: float, symbol: str = "AAPL", price: float = 100.0, size: float = 10) -> Trade:
    return Trade(symbol, at(seconds), price, size)


def bar(start: float, symbol: str = "AAPL", frequency: str = "Minute", *, final: bool = True) -> Bar:
    return Bar(symbol, frequency, at(start), 1.0, 2.0, 0.5, 1.5, 10, 2, 1.2, final)


def gap(symbol: str = "AAPL", channel: Channel = Channel.QUOTES) -> Gap:
    return Gap(topic(symbol, channel), "epoch-1", 3, 4, "slow_consumer")


def live(symbol: str = "AAPL", channel: Channel = Channel.TRADES) -> Live:
    return Live(topic(symbol, channel), "epoch-1", 7)


def halt(seconds: float, symbol: str = "AAPL") -> Halt:
    return Halt(symbol, at(seconds), "LULD")


def resume(seconds: float, symbol: str = "AAPL") -> Resume:
    return Resume(symbol, at(seconds), "LULD")


def topic(symbol: str, channel: Channel) -> TopicKey:
    return TopicKey("SIP", "stocks", channel, symbol, Frequency.MINUTE if channel.has_frequency else None)  # type: ignore[arg-type]
