"""What the tests of the seam share: a market whose past and present a test decides, and a feed of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio
import trio.lowlevel
from sources.test_history_recorded import Tape
from support import START_NS, memory_server, virtual_wall_clock

from datafye_trio import (
    AssetClass,
    Channel,
    FeedConfig,
    FeedItem,
    Frequency,
    Live,
    Reconnect,
    Server,
    ServerConfig,
    TopicKey,
    Trade,
    WireFeed,
    open_feed,
    open_raw_feed,
    open_server,
)  # fmt: skip
from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.model import DatasetInfo, Event
from datafye_trio.sources import Publisher, RecordedHistory
from datafye_trio.testing import Proxy, open_proxy

URL = "ws://test"
SECOND = 10**9
START = START_NS - START_NS % (60 * SECOND)
QUICK = Reconnect(first=0.001, ceiling=0.001)
FOLDED = Aggregation(every_trade, (Frequency.SECOND,), lateness=3.0, sma=None, ema=None)


def tick(n: int, seconds: float, symbol: str = "A") -> Trade:
    """A trade so many seconds after the start; `n` tells it from others."""
    return Trade(symbol, START + round(seconds * SECOND), 10.0 + n % 7, 100, "XNAS", str(n))


class Market:
    """A source that publishes a tape as far as it is told, and stores a part of it, or another one."""

    def __init__(self, tape: Sequence[Event], stored: Sequence[Event] | None = None, channels: Any = None) -> None:
        self.dataset = DatasetInfo("Market", AssetClass.STOCKS, (Channel.TRADES,))
        self.aggregation = FOLDED
        self.history = RecordedHistory(Tape(tape if stored is None else stored, channels or (Channel.TRADES,)), FOLDED)
        self.tape = tape
        self.played = 0
        self._publisher: Publisher | None = None
        self._running = trio.Event()

    async def run(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._running.set()
        await trio.sleep_forever()

    async def play(self, count: int = 10**9) -> None:
        await self._running.wait()
        assert self._publisher is not None
        events = self.tape[self.played : self.played + count]
        self.played += len(events)
        for n in range(0, len(events), 1_000):
            await self._publisher.publish(events[n : n + 1_000])


@asynccontextmanager
async def feed_of(*sources: Any, **options: Any) -> AsyncIterator[tuple[WireFeed[FeedItem], Proxy]]:
    opening = open_raw_feed if options.pop("raw", False) else open_feed
    async with memory_server(options.pop("server", None), sources) as server:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        async def dial() -> trio.abc.Stream:
            return proxy.connect()

        async with (
            open_proxy(upstream) as proxy,
            opening(URL, FeedConfig(open_stream=dial, reconnect=QUICK, **options)) as feed,
        ):
            await feed.wait_connected()
            yield feed, proxy  # type: ignore[misc]  # raw feeds, too
            with trio.fail_after(30):
                while proxy.statistics().open > 1 or feed.ledger():  # noqa: ASYNC110 -- there is no event
                    await trio.sleep(0.01)
            assert not feed._hub.histories


async def read(sub: Any, seconds: float = 5) -> list[Any]:
    """What comes until nothing has come for so long."""
    found = []
    while True:
        with trio.move_on_after(seconds) as waiting:
            found.append(await anext(sub))
        if waiting.cancelled_caught:
            return found


def split(items: Sequence[Any]) -> tuple[list[Any], list[Live], list[Any]]:
    """The stored ones, the marks, the live ones."""
    marks = [item for item in items if isinstance(item, Live)]
    first = items.index(marks[0])
    rest = [item for item in items[first:] if not isinstance(item, Live)]
    return list(items[:first]), marks, rest


def sub_key(channel: Channel, symbol: str = "A") -> TopicKey:
    return TopicKey("Market", AssetClass.STOCKS, channel, symbol, Frequency.SECOND if channel.has_frequency else None)


async def since_zero(feed: WireFeed[FeedItem], market: Market | None = None, **options: Any) -> list[Any]:
    """What a subscription to trades yields from the start of the tape on."""
    async with feed.trades("A", since=START, **options) as sub:
        found = await read(sub)
        if market is not None:
            await market.play()
            found += await read(sub)
    return found


TAPE = [tick(n, n / 10) for n in range(300)]


async def steadily(market: Market) -> None:
    while market.played < len(market.tape):
        await market.play(3)
        await trio.lowlevel.checkpoint()


def living(market: Market, epoch: str) -> AbstractAsyncContextManager[Server]:
    return open_server(ServerConfig(), [market], listen=False, new_epoch=lambda: epoch, wall_clock=virtual_wall_clock)


async def cancel_after(scope: trio.CancelScope, checkpoints: int) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()
