"""A server, a relay of it, and clients of the relay: all in memory, in one run, under a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import trio
from support import RawClient, virtual_wall_clock

from datafye_trio import Program, Server, ServerConfig, Source, open_server
from datafye_trio.client import FeedConfig, Reconnect, WireFeed, open_feed
from datafye_trio.model import FeedItem
from datafye_trio.relay import RelayConfig, open_relay

WAIT = 30


class Upstream:
    """A server that may be stopped and started anew; `dial` waits for it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.server: Server | None = None
        self.reachable = True
        self.streams: list[trio.abc.Stream] = []
        self._nursery = nursery
        self._stop = trio.Event()
        self._stopped = trio.Event()

    async def start(self, epoch: str = "first", source: Source | None = None) -> Server:
        """Start a server of its own."""
        return await self.begin(
            open_server(
                sources=[source or Program()], listen=False, wall_clock=virtual_wall_clock, new_epoch=lambda: epoch
            )
        )

    async def begin(self, opening: AbstractAsyncContextManager[Server]) -> Server:
        """Start any server."""
        self._stop, self._stopped = trio.Event(), trio.Event()
        server: Server = await self._nursery.start(self._run, opening)
        return server

    async def stop(self) -> None:
        self._stop.set()
        await self._stopped.wait()

    async def cut(self) -> None:
        """Reset every connection."""
        for stream in self.streams:
            await stream.aclose()
        self.streams.clear()

    async def dial(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.server is None or not self.reachable:
            raise OSError("nobody there")
        stream = self.server.connect()
        self.streams.append(stream)
        return stream

    async def _run(self, opening: AbstractAsyncContextManager[Server], task_status: trio.TaskStatus[Server]) -> None:
        async with opening as server:
            self.server = server
            task_status.started(server)
            await self._stop.wait()
            self.server = None
        self._stopped.set()


@asynccontextmanager
async def relaying(
    upstream: Upstream,
    config: ServerConfig | None = None,
    relay: RelayConfig | None = None,
    attempts: int | None = None,
    url: str = "ws://up",
) -> AsyncIterator[Server]:
    """A relay of it, served."""
    async with AsyncExitStack() as stack:
        feed = FeedConfig(open_stream=upstream.dial, reconnect=Reconnect(attempts=attempts))
        sources = await stack.enter_async_context(open_relay(url, feed, config=relay))
        yield await stack.enter_async_context(
            open_server(config, sources, listen=False, wall_clock=virtual_wall_clock, new_epoch=lambda: "relay's own")
        )


def feed_of(server: Server) -> open_feed:
    """A client of a server."""

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return server.connect()

    return open_feed("ws://relay", FeedConfig(open_stream=dial))


async def take(subscription: Any, count: int) -> list[Any]:
    """The next items."""
    found = []
    with trio.fail_after(WAIT):
        while len(found) < count:
            found.append(await anext(subscription))
    return found


def subscriptions(server: Server) -> dict[str, int]:
    """How many clients each topic of a server has, by channel and symbol."""
    found = {}
    for dataset in server._broker.datasets.values():
        for key, board in dataset.boards.items():
            if board.wildcards:
                found[f"{key.channel}:*"] = len(board.wildcards)
            for topic in board.topics.values():
                if topic.subscribers:
                    found[f"{key.channel}:{topic.symbol}"] = len(topic.subscribers)
    return found


__all__ = ["WireFeed", "FeedItem", "RawClient", "Upstream", "feed_of", "relaying", "subscriptions", "take"]
