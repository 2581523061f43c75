"""What the tests of stored data share: a feed of a server that has some, through a proxy that can cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from connection.stored import Stored
from support import memory_server

from datafye_trio import (
    FeedConfig,
    Reconnect,
    WireFeed,
    open_feed,
    open_raw_feed,
)  # fmt: skip
from datafye_trio.model import FeedItem
from datafye_trio.testing import Proxy, open_proxy

URL = "ws://test"
DAY: dict[str, Any] = {"start": "2023-11-14T00:00:00Z", "end": "2023-11-15T00:00:00Z", "channel": "trades"}
QUICK = Reconnect(first=0.001, ceiling=0.001)


@asynccontextmanager
async def stored_feed(*sources: Stored, **options: Any) -> AsyncIterator[tuple[WireFeed[FeedItem], Proxy]]:
    """A feed of a server with stored data, through a proxy that can cut. Nothing is left behind at the end."""
    opening = open_raw_feed if options.pop("raw", False) else open_feed
    server_config = options.pop("server", None)
    async with memory_server(server_config, sources) as server:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        async def dial() -> trio.abc.Stream:
            return proxy.connect()

        async with open_proxy(upstream) as proxy:
            config = FeedConfig(open_stream=dial, **{"reconnect": QUICK, **options})
            async with opening(URL, config) as feed:
                await feed.wait_connected()
                yield feed, proxy  # type: ignore[misc]  # raw feeds, too
                await settle(lambda: proxy.statistics().open <= 1 and not any(source.open for source in sources))


async def settle(ready: Callable[[], bool]) -> None:
    """Wait for what is to come true by itself; fails after half a minute."""
    with trio.fail_after(30):
        while not ready():  # noqa: ASYNC110 -- what tests wait for has no event
            await trio.sleep(0.01)


async def whole(feed: WireFeed[FeedItem], **options: Any) -> list[FeedItem]:
    async with feed.history("AAPL", **(DAY | options)) as stream:
        return [event async for event in stream]
