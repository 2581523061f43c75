"""`picows` on uvloop as a contender: `send` to each who wants it.

Each is a call of the system, 1.5 to 2 us of processor, and 0.7 where clients lag and what they are sent is joined in
the transport's buffer. No form was faster: a round of the loop every ten messages in place of each, write buffers of
1 MiB in place of 64 KiB, or uvloop's own transports in place of those of aiofastnet, which picows takes by itself.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from benchmark.serving import ANSWER, Job, Loop, Topics, obey, tell
from benchmark.serving_loops import on_uvloop

__all__ = ["run"]


class Each:
    """One after the other; each `send` is a call of the system while the socket takes it."""

    def __init__(self) -> None:
        from picows import WSMsgType  # type: ignore[import-not-found, unused-ignore]

        self.topics = Topics()
        self._text = WSMsgType.TEXT
        self._lagging: set[object] = set()
        self._caught_up = asyncio.Event()

    def lags(self, connection: object) -> None:
        """Its transport holds more than its limit."""
        self._lagging.add(connection)

    def caught_up(self, connection: object) -> None:
        """It does no more, or is gone."""
        self._lagging.discard(connection)
        if not self._lagging:
            self._caught_up.set()

    async def publish(self, symbol: str, text: bytes) -> None:
        """To the sockets at once; what does not fit goes into the buffers of the transports."""
        kind = self._text
        for connection in self.topics.wanting(symbol):
            connection.send(kind, text)

    async def turn(self) -> None:
        """One round of the loop."""
        await asyncio.sleep(0)

    async def room(self) -> None:
        """One round of the loop, and more while a transport holds more than its limit."""
        await asyncio.sleep(0)
        while self._lagging:
            self._caught_up.clear()
            await self._caught_up.wait()


async def _serve(job: Job, loop: Loop) -> None:
    from picows import WSListener, WSMsgType, ws_create_server

    server = Each()

    class Listener(WSListener):  # type: ignore[misc, unused-ignore]  # its base is unknown where it is not installed
        def on_ws_connected(self, transport: Any) -> None:
            self._transport = transport

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                server.topics.subscribe(transport, frame.get_payload_as_bytes())
                transport.send(WSMsgType.TEXT, ANSWER)

        def on_ws_disconnected(self, transport: Any) -> None:
            server.topics.remove(transport)
            server.caught_up(transport)

        def pause_writing(self) -> None:
            server.lags(self._transport)

        def resume_writing(self) -> None:
            server.caught_up(self._transport)

    listening = await ws_create_server(lambda _: Listener(), "127.0.0.1", 0, ssl=job.tls())
    tell(port=listening.sockets[0].getsockname()[1])
    await obey(server, loop, job.symbols)


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends."""
    on_uvloop(partial(_serve, job))
