"""What the tests of the proxy share: a server that is nothing but the ends of its connections, and one of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from support import RawClient, memory_server, upgrade_head

from datafye_trio import Server, ServerConfig, Source
from datafye_trio.testing import Proxy, open_proxy
from datafye_trio.testing.dialect import Dialect
from datafye_trio.testing.door import Door
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.log import Log
from datafye_trio.wire import MemoryStream, memory_transport


class FarEnd:
    """A server that is nothing but the other ends of what was connected to it."""

    def __init__(self) -> None:
        self.ends: list[MemoryStream] = []
        self.reached = trio.Event()

    async def __call__(self) -> trio.abc.Stream:
        near, far = memory_transport()
        self.ends.append(far)
        self.reached.set()
        return near


@asynccontextmanager
async def pair(proxy: Proxy, server: FarEnd) -> AsyncIterator[tuple[MemoryStream, MemoryStream]]:
    """A client's end and the server's end of a connection through the proxy."""
    client = proxy.connect()
    await trio.testing.wait_all_tasks_blocked()
    yield client, server.ends[-1]


async def rest(stream: trio.abc.Stream) -> bytes:
    """What comes before the end, whichever end it is."""
    found = b""
    try:
        while data := await stream.receive_some(65_536):
            found += data
    except trio.BrokenResourceError:
        pass
    return found


class Front:
    """A server behind a proxy with a log and faults: what a test server is made of, without its comforts."""

    def __init__(self, server: Server, proxy: Proxy, log: Log, faults: Faults) -> None:
        self.server, self.proxy, self.log, self.faults = server, proxy, log, faults

    def connect(self) -> MemoryStream:
        return self.proxy.connect()

    async def client(self, path: str = "/datafye-ws/v1", *headers: str) -> RawClient:
        """A client that is connected, and has been greeted."""
        client = RawClient(self.connect())
        await client.stream.send_all(upgrade_head(path, *headers))
        assert (await client.http_answer())[0] == 101
        assert (await client.message())["type"] == "connected"
        return client

    async def subscribed(self, *symbols: str, channel: str = "trades") -> RawClient:
        """A client that is subscribed."""
        client = await self.client()
        await client.send(action="subscribe", channels=[channel], symbols=list(symbols or ("AAPL",)), snapshot=False)
        assert (await client.message())["type"] == "subscribed"
        return client


@asynccontextmanager
async def front(
    config: ServerConfig | None = None,
    sources: Sequence[Source] = (),
    *,
    seed: int = 0,
    dialect: type[Dialect] | None = None,
    **hooks: Any,
) -> AsyncIterator[Front]:
    """A server in memory, as its clients see it through the door."""
    async with memory_server(config, sources) as server:

        async def upstream() -> trio.abc.Stream:
            return server.connect()

        log = Log()
        faults = Faults(log, seed, **hooks)
        async with open_proxy(upstream, greet=Door(log, faults, dialect=dialect), seed=seed) as proxy:
            proxy.gate = faults.refuses
            server.set_beating(faults.beats)
            yield Front(server, proxy, log, faults)
