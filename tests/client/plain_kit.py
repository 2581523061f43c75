"""A feed of the plain server, and one event of each kind with only what such a server tells of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from client.plain_server import BASE, PlainConfig, PlainServer, open_plain_server
from support import START_NS

from datafye_trio import Bar, Ema, FeedConfig, FeedItem, Line, Reconnect, Sma, WireFeed, open_feed

LINE = Line(9, 3, 10.5)
MINUTE = Bar("AAPL", "Minute", START_NS, 1, 2, 1, 2, 100, 0, None)
SECOND = Bar("AAPL", "Second", START_NS, 1, 2, 1, 2, 100, 0, None)
SMA = Sma("AAPL", "Minute", START_NS, 10.5, LINE, LINE, 0.0, "NONE")
EMA = Ema("AAPL", "Minute", START_NS, 10.5, LINE, LINE, 0.0, "", LINE, "NONE", "NONE", "NONE", "NONE")


def dialing(server: PlainServer, **options: Any) -> FeedConfig:
    async def dial() -> trio.abc.Stream:
        return server.connect()

    return FeedConfig(Reconnect(first=0.01, ceiling=0.01), open_stream=dial, **options)


@asynccontextmanager
async def served(config: PlainConfig | None = None) -> AsyncIterator[tuple[PlainServer, WireFeed[FeedItem]]]:
    """A plain server in memory and a feed of it; what the feed asks beyond Datafye's samples fails the test."""
    async with open_plain_server(config) as server:
        async with open_feed("ws://test", dialing(server)) as feed:
            yield server, feed
        assert server.faults == []


def asked(server: PlainServer, path: str) -> list[list[str]]:
    """The symbols of each request on a path."""
    return [request["symbols"] for where, request in server.requests if where == f"{BASE}/live/{path}"]


async def enter_and_leave(feed: WireFeed[FeedItem], symbol: str) -> None:
    """Subscribe to trades for a moment."""
    async with feed.trades(symbol):
        pass
