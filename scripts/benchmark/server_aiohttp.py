"""`aiohttp` as a contender, on uvloop and on asyncio's own loop: its writer's `send_frame` to each who wants it.

The writer behind a connection is private; the public ways take longer (processor of a delivery to one of 100 clients):
2.8 us with the writer, 3.2 with `send_str` of a text made once, 6.3 with all sends of a message in one `gather`. One
round of the loop every ten messages in place of each was no faster.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from benchmark.serving import ANSWER, Job, Loop, Topics, obey, tell
from benchmark.serving_loops import on_asyncio, on_uvloop

__all__ = ["run_asyncio", "run_uvloop"]


class Each:
    """One after the other."""

    def __init__(self) -> None:
        from aiohttp import ClientConnectionResetError, WSMsgType  # type: ignore[import-not-found, unused-ignore]

        self.topics = Topics()
        self._text = WSMsgType.TEXT
        self._gone = ClientConnectionResetError

    async def handle(self, request: Any) -> Any:
        """One connection."""
        from aiohttp.web import WebSocketResponse  # type: ignore[import-not-found, unused-ignore]

        connection = WebSocketResponse(compress=False)
        await connection.prepare(request)
        try:
            async for message in connection:
                self.topics.subscribe(connection, message.data)
                await connection.send_str(ANSWER)
        finally:
            self.topics.remove(connection)
        return connection

    async def publish(self, symbol: str, text: bytes) -> None:
        """It waits by itself where a connection lags, but looks only once in 64 KiB."""
        kind = self._text
        for connection in list(self.topics.wanting(symbol)):
            try:
                await connection._writer.send_frame(text, kind)
            except self._gone:
                self.topics.remove(connection)

    async def turn(self) -> None:
        """One round of the loop."""
        await asyncio.sleep(0)

    room = turn


async def _serve(job: Job, loop: Loop) -> None:
    from aiohttp import web

    server = Each()
    application = web.Application()
    application.router.add_get("/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=job.tls())
    await site.start()
    tell(port=runner.addresses[0][1])
    await obey(server, loop, job.symbols)


def run_asyncio(job: Job) -> None:
    """On asyncio's own loop, until stdin says `quit` or ends."""
    on_asyncio(partial(_serve, job))


def run_uvloop(job: Job) -> None:
    """On uvloop."""
    on_uvloop(partial(_serve, job))
