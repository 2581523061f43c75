"""Plain trio-websocket as a contender: `send_message` to each who wants it.

31 us of processor a delivery to one of 100 clients. No less where each client has a task of its own with a queue (31;
54 where the queue is always awaited), and more with a nursery a message (36).
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from benchmark.serving import ANSWER, Job, Loop, Topics, obey, tell
from benchmark.serving_loops import on_trio

__all__ = ["run"]


class Each:
    """One after the other."""

    def __init__(self) -> None:
        self.topics = Topics()

    async def handle(self, request: WebSocketRequest) -> None:
        """One connection."""
        connection = await request.accept()
        try:
            with suppress(ConnectionClosed):
                while True:
                    self.topics.subscribe(connection, await connection.get_message())
                    await connection.send_message(ANSWER)
        finally:
            self.topics.remove(connection)

    async def publish(self, symbol: str, text: bytes) -> None:
        """Returns when every socket has taken it, so buffers are bounded, and each send is a checkpoint."""
        message = text.decode()  # bytes would make binary frames
        for connection in list(self.topics.wanting(symbol)):
            try:
                await connection.send_message(message)
            except ConnectionClosed:
                self.topics.remove(connection)

    async def turn(self) -> None:
        """Nothing is left to do."""

    async def room(self) -> None:
        """Nothing is left to do."""


async def _serve(job: Job, loop: Loop) -> None:
    server = Each()
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(partial(serve_websocket, server.handle, "127.0.0.1", 0, job.tls()))
        tell(port=listening.port)
        await obey(server, loop, job.symbols)
        nursery.cancel_scope.cancel()


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends."""
    on_trio(partial(_serve, job))
