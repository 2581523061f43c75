"""`websockets` as a contender: `broadcast` on asyncio's own loop, on uvloop and on Trio.

Processor of a delivery to one of 100 clients: 4.5 us on either loop of asyncio, with a round of the loop every message
or every ten and with write buffers of 32 KiB or 1 MiB alike; on Trio 29 us, and 35 with `send` to one after the other.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from benchmark.serving import ANSWER, Job, Loop, Topics, obey, tell
from benchmark.serving_loops import on_asyncio, on_trio, on_uvloop

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.trio.server import ServerConnection as TrioConnection

__all__ = ["run_asyncio", "run_trio", "run_uvloop"]


class Broadcast:
    """`broadcast` to all who want a message."""

    def __init__(self) -> None:
        from websockets.asyncio.server import broadcast
        from websockets.exceptions import ConnectionClosed

        self.topics = Topics()
        self._closed = ConnectionClosed
        self._broadcast = broadcast

    async def handle(self, connection: ServerConnection) -> None:
        """One connection."""
        try:
            with suppress(self._closed):
                async for request in connection:
                    self.topics.subscribe(connection, request)
                    await connection.send(ANSWER)
        finally:
            self.topics.remove(connection)

    async def publish(self, symbol: str, text: bytes) -> None:
        """Into the buffers of the transports, and mostly to the sockets at once."""
        self._broadcast(self.topics.wanting(symbol), text, text=True)

    async def turn(self) -> None:
        """One round of the loop."""
        await asyncio.sleep(0)

    async def room(self) -> None:
        """One round of the loop, and more while a transport holds more than its limit."""
        await asyncio.sleep(0)
        for connection in [one for one in self.topics.everybody if one.paused]:
            await connection.drain()


class TrioBroadcast:
    """`broadcast` of the Trio side: a nursery a message, with a task a connection."""

    def __init__(self) -> None:
        from websockets.exceptions import ConnectionClosed
        from websockets.trio.server import broadcast

        self.topics = Topics()
        self._closed = ConnectionClosed
        self._broadcast = broadcast

    async def handle(self, connection: TrioConnection) -> None:
        """One connection."""
        try:
            with suppress(self._closed):
                async for request in connection:
                    self.topics.subscribe(connection, request)
                    await connection.send(ANSWER)
        finally:
            self.topics.remove(connection)

    async def publish(self, symbol: str, text: bytes) -> None:
        """Returns when every socket has taken it, so buffers are bounded, and each send is a checkpoint."""
        await self._broadcast(self.topics.wanting(symbol), text, text=True)

    async def turn(self) -> None:
        """Nothing is left to do."""

    async def room(self) -> None:
        """Nothing is left to do."""


async def _serve_asyncio(job: Job, loop: Loop) -> None:
    from websockets.asyncio.server import serve

    server = Broadcast()
    async with serve(server.handle, "127.0.0.1", 0, ssl=job.tls(), compression=None, ping_interval=None) as listening:
        tell(port=next(iter(listening.sockets)).getsockname()[1])
        await obey(server, loop, job.symbols)
        for connection in server.topics.everybody:
            connection.transport.abort()  # nobody waits for the end of a thousand close handshakes


async def _serve_trio(job: Job, loop: Loop) -> None:
    from websockets.trio.server import serve

    server = TrioBroadcast()
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(
            partial(
                serve,
                server.handle,
                0,
                host="127.0.0.1",
                ssl=job.tls(),
                compression=None,
                ping_interval=None,
            )
        )
        tell(port=listening.listeners[0].socket.getsockname()[1])
        await obey(server, loop, job.symbols)
        nursery.cancel_scope.cancel()


def run_asyncio(job: Job) -> None:
    """On asyncio's own loop, until stdin says `quit` or ends."""
    on_asyncio(partial(_serve_asyncio, job))


def run_uvloop(job: Job) -> None:
    """On uvloop."""
    on_uvloop(partial(_serve_asyncio, job))


def run_trio(job: Job) -> None:
    """On Trio."""
    on_trio(partial(_serve_trio, job))
