"""Brokers that are programs of their own as contenders: started here, and fed by a publisher that is this process.

A broker says nothing of how far its clients are. So the publisher is a subscriber, too, and has no more than `WINDOW`
messages on the way to itself: a bounded queue in the broker, whose subscribers take turns. It costs the broker one
delivery more than the clients get, and is not counted.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from benchmark.serving import Job, Loop, obey, tell

__all__ = ["WINDOW", "Publisher", "Stream", "free_port", "serve"]

WINDOW: Final = 1_000
_START_SECONDS: Final = 5.0
Pack: TypeAlias = Callable[[str, bytes], bytes]
"""A symbol and a text to what the broker is sent."""
Stream: TypeAlias = "tuple[asyncio.StreamReader, asyncio.StreamWriter]"
"""Both are to be kept: a writer that is forgotten closes the connection."""


class Publisher:
    """A `Server` whose messages go to the broker by one connection and come back by another."""

    def __init__(self, pack: Pack, publisher: asyncio.StreamWriter, subscriber: Stream) -> None:
        self._pack = pack
        self._publisher = publisher
        self._subscriber = subscriber
        self._under_way = 0
        self._came = asyncio.Event()
        self.tasks = [asyncio.create_task(self._read())]
        """What runs until the end."""

    async def _read(self) -> None:
        """Count what comes back, by the one brace that opens each message."""
        while data := await self._subscriber[0].read(65_536):
            self._under_way -= data.count(b"{")
            self._came.set()
        raise SystemExit("the broker has disconnected its publisher")

    async def publish(self, symbol: str, text: bytes) -> None:
        """To the broker."""
        self._publisher.write(self._pack(symbol, text))
        self._under_way += 1

    async def turn(self) -> None:
        """One round of the loop."""
        await asyncio.sleep(0)

    async def room(self) -> None:
        """One round of the loop, and more while the window is full."""
        await asyncio.sleep(0)
        while self._under_way > WINDOW:
            self._came.clear()
            await self._came.wait()


async def serve(
    job: Job, loop: Loop, command: Callable[[Path, int], list[str]], connect: Callable[[int], Awaitable[Publisher]]
) -> None:
    """Start a broker, which `command` configures in a folder for a port, connect to it, and obey.

    Raises:
        SystemExit: it did not start.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, _running(command(Path(folder), port), port):
        publisher = await connect(port)
        tell(port=port)
        await obey(publisher, loop, job.symbols)
        for task in publisher.tasks:
            task.cancel()


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{command[0]} did not start, or does not listen on port {port}") from None
                    time.sleep(0.02)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """A port that is free now: these programs do not tell which they would choose."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
