"""What the tests of the proxy share: a server that is nothing but the other ends of its connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from datafye_trio.testing import Proxy
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
