"""A plain server, cut again and again while it publishes: in order, nothing twice, and no hole without a gap."""

from __future__ import annotations

import contextlib
from random import Random

import pytest
import trio
from client.plain_server import open_plain_server
from support import trade
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from datafye_trio import FeedConfig, FeedItem, Reconnect, Trade, open_feed

SENT = 400


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(3))
async def test_no_hole_without_a_gap(autojump_clock: MockClock, seed: int) -> None:
    random = Random(seed)
    streams: list[trio.abc.Stream] = []
    found: list[FeedItem] = []
    async with open_plain_server() as server, trio.open_nursery() as nursery:

        async def dial() -> trio.abc.Stream:
            streams.append(server.connect())
            return streams[-1]

        async def collect() -> None:
            async for item in sub:
                found.append(item)
                await trio.sleep(random.choice([0, 0, 0.05]))

        config = FeedConfig(Reconnect(first=0.01, ceiling=0.01), open_stream=dial)
        async with open_feed("ws://test", config) as feed, feed.trades("AAPL", buffer=16) as sub:
            nursery.start_soon(collect)
            for n in range(SENT):
                with contextlib.suppress(ConnectionClosed):  # cut while it was sending
                    await server.publish(trade(n=n))
                if random.random() < 0.05:
                    await trio.aclose_forcefully(streams[-1])
                await trio.sleep(random.choice([0.001, 0.01, 1.2]))
            await trio.sleep(10)
            await server.publish(trade(n=SENT))
            await trio.sleep(10)
            (entry,) = feed.ledger().values()
            nursery.cancel_scope.cancel()
    numbers = [int(item.trade_id or "") for item in found if isinstance(item, Trade)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == SENT
    assert 0 < len(numbers) < SENT
    assert entry.restarts > 5
    last, gap = -1, False
    for item in found:
        if isinstance(item, Trade):
            number = int(item.trade_id or "")
            assert number == last + 1 or gap, (last, number)
            last, gap = number, False
        else:
            gap = True
