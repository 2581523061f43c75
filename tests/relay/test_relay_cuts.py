"""Cuts on both sides of a relay, and relays started anew: whatever the server still holds reaches everybody."""

from __future__ import annotations

from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from relay.kit import Upstream, relaying
from support import trade

from datafye_trio.client import FeedConfig, Reconnect, open_feed

SYMBOLS = ("AAPL", "MSFT", "NVDA")


class Reader:
    """A client of the relay, and all that it got, by symbol."""

    def __init__(self, wanted: list[str]) -> None:
        self.wanted = wanted
        self.got: dict[str, list[Any]] = {symbol: [] for symbol in SYMBOLS}
        self.ready = trio.Event()

    async def run(self, relay: Upstream) -> None:
        config = FeedConfig(open_stream=relay.dial, reconnect=Reconnect(first=0.1, ceiling=0.5))
        async with open_feed("ws://relay", config) as feed, feed.trades(self.wanted) as sub:
            self.ready.set()
            async for item in sub:
                symbol = item.symbol if hasattr(item, "symbol") else item.topic.symbol
                self.got[symbol].append(int(item.trade_id) if hasattr(item, "trade_id") else item)


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_or_repeated(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    random = Random(seed)
    up, relay = Upstream(nursery), Upstream(nursery)
    server = await up.start()
    await server.publish([trade(symbol, 0) for symbol in SYMBOLS])
    await relay.begin(relaying(up))
    readers = [Reader(list(SYMBOLS[: 1 + n % 3])) for n in range(4)] + [Reader(["*"])]
    published = dict.fromkeys(SYMBOLS, 0)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(trio.open_nursery())
        for reader in readers:
            tasks.start_soon(reader.run, relay)
            await reader.ready.wait()
        for _ in range(40):
            for _ in range(random.randrange(5)):
                symbol = random.choice(SYMBOLS)
                published[symbol] += 1
                await server.publish(trade(symbol, published[symbol]))
            match random.randrange(6):
                case 0:
                    await up.cut()
                case 1:
                    await relay.cut()
                case 2 if random.random() < 0.5:
                    await relay.stop()
                    await relay.begin(relaying(up))
                case _:
                    await trio.sleep(random.random())
        await trio.sleep(60)
        tasks.cancel_scope.cancel()
    for reader in readers:
        for symbol in SYMBOLS if reader.wanted == ["*"] else reader.wanted:
            assert reader.got[symbol] == list(range(1, published[symbol] + 1)), (reader.wanted, symbol)
    await relay.stop()
    await up.stop()
