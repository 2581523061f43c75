"""Cuts on both sides of a relay whose server numbers nothing: in order, nothing twice, and no hole without a gap."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from client.plain_server import open_plain_server
from relay.kit import Upstream
from support import trade, virtual_wall_clock
from trio_websocket import ConnectionClosed

from datafye_trio import open_server
from datafye_trio.client import FeedConfig, Reconnect, open_feed
from datafye_trio.model import Trade
from datafye_trio.relay import RelayConfig, open_relay

SYMBOLS = ("AAPL", "MSFT")
QUICK = Reconnect(first=0.01, ceiling=0.05)


async def read(relay: Upstream, wanted: list[str], got: dict[str, list[Any]], ready: trio.Event) -> None:
    """A client of the relay; what it got, by symbol: numbers, and None for a gap."""
    async with open_feed("ws://relay", FeedConfig(QUICK, open_stream=relay.dial)) as feed, feed.trades(wanted) as sub:
        ready.set()
        async for item in sub:
            if isinstance(item, Trade):
                got[item.symbol].append(int(item.trade_id or ""))
            else:
                got[item.topic.symbol].append(None)


def judge(got: list[int | None], last: int) -> None:
    """Every number in order and once; where one is left out, a gap stands between."""
    before, gap = got[0] or 0, False
    for item in got:
        if item is None:
            gap = True
        else:
            assert item == before or item == before + 1 or (gap and item > before), (before, item)
            before, gap = item, False
    numbers = [item for item in got if item is not None]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == last


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(5))
async def test_no_hole_without_a_gap(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, seed: int) -> None:
    random = Random(seed)
    streams: list[trio.abc.Stream] = []
    relay = Upstream(nursery)
    found: list[dict[str, list[Any]]] = []
    async with open_plain_server() as up:

        async def dial() -> trio.abc.Stream:
            streams.append(up.connect())
            return streams[-1]

        config = RelayConfig(linger=random.choice([1, 20]), check=0.5)
        opening = open_relay("ws://up", FeedConfig(QUICK, open_stream=dial), dataset="SIP", config=config)
        async with opening as sources, trio.open_nursery() as readers:
            await relay.begin(open_server(None, sources, listen=False, wall_clock=virtual_wall_clock))
            for n in range(200):
                if n in (0, 50, 90):
                    found.append({symbol: [] for symbol in SYMBOLS})
                    ready, relay.reachable = trio.Event(), True
                    readers.start_soon(read, relay, list(SYMBOLS[: 1 + n % 4]), found[-1], ready)
                    await ready.wait()
                with contextlib.suppress(ConnectionClosed):  # cut while it was sending
                    await up.publish(*(trade(symbol, n) for symbol in SYMBOLS))
                if random.random() < 0.1:
                    await random.choice([relay.cut, streams[-1].aclose])()
                if random.random() < 0.02:
                    relay.reachable = False
                    await relay.cut()
                relay.reachable = relay.reachable or random.random() < 0.2
                await trio.sleep(random.choice([0.001, 0.01, 1.2]))
            relay.reachable = True
            await trio.sleep(30)
            await up.publish(*(trade(symbol, 200) for symbol in SYMBOLS))
            await trio.sleep(10)
            readers.cancel_scope.cancel()
        await relay.stop()
    assert up.faults == []
    streams_of = [got for each in found for got in each.values() if got]
    assert len(streams_of) == 5
    for got in streams_of:
        judge(got, 200)
    assert any(None in got for got in streams_of)
