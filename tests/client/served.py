"""A server in memory and a feed of it, for the tests of subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from support import memory_server

from datafye_trio import (
    FeedConfig,
    FeedItem,
    Reconnect,
    Server,
    Subscription,
    WireFeed,
    open_feed,
)  # fmt: skip


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[tuple[Server, WireFeed[FeedItem]]]:
    """A server in memory and a feed of it."""
    async with memory_server(**options) as server, open_feed("ws://test", dialing(server)) as feed:
        yield server, feed


def dialing(server: Server) -> FeedConfig:
    async def dial() -> trio.abc.Stream:
        return server.connect()

    return FeedConfig(Reconnect(first=0.01, ceiling=0.01), open_stream=dial)


async def take(sub: Subscription[Any], count: int) -> list[Any]:
    """So many items; those that do not come fail the test by their time."""
    found = []
    for _ in range(count):
        with trio.fail_after(60):
            found.append(await anext(sub))
    return found


def topics(server: Server) -> int:
    """What the server believes to be subscribed."""
    return sum(dataset.subscribed_topics() for dataset in server._broker.datasets.values())
