"""What the tests of bars share: trades of a minute, and a client of a program whose trades are folded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from connection.kit import BASE
from support import START_NS, RawClient, memory_server

from datafye_trio import Program, Trade
from datafye_trio.aggregates import Aggregation, every_trade
from datafye_trio.model import Channel

MINUTE = 60 * 10**9
START = START_NS - START_NS % MINUTE
ALL = Aggregation(every_trade)


def at(seconds: float, price: float = 10.0, size: float = 1, symbol: str = "A", conditions: str = "") -> Trade:
    return Trade(symbol, START + round(seconds * 1e9), price, size, conditions=tuple(conditions) or None)


@asynccontextmanager
async def client(
    aggregation: Aggregation = ALL, path: str = "/stream", channels: tuple[Channel, ...] = (Channel.TRADES,)
) -> AsyncIterator[tuple[RawClient, Any]]:
    """A client of a program whose trades are folded; `connected` is read."""
    async with memory_server(None, [Program("P", channels=channels, aggregation=aggregation)]) as server:
        peer = await RawClient.connect(server, BASE + path)
        assert (await peer.message())["type"] == "connected"
        yield peer, server


async def subscribe(peer: RawClient, *channels: str, **fields: Any) -> dict[str, Any]:
    answer = await peer.ask(action="subscribe", channels=list(channels), **{"symbols": ["*"], **fields})
    assert answer["type"] == "subscribed", answer
    return answer
