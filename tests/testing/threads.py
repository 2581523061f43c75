"""Clients that are not Trio's, for tests of the threaded server: plain ones by websockets, and one that answers."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from datafye_trio.testing.bridge import Bridge


@asynccontextmanager
async def nothing() -> AsyncIterator[list[str]]:
    """In place of a server, for a bridge alone."""
    yield []


@contextmanager
def bridged(name: str = "a bridge") -> Iterator[Bridge[list[str]]]:
    """A bridge with nothing behind it."""
    bridge = Bridge(nothing, name)
    bridge.start()
    try:
        yield bridge
    finally:
        bridge.stop()


def send(client: ClientConnection, **fields: Any) -> None:
    """Send a request."""
    client.send(json.dumps(fields))


def receive(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of a type, past all others."""
    while True:
        found: dict[str, Any] = json.loads(client.recv(timeout=5))
        if found["type"] == kind:
            return found


@contextmanager
def subscribed(url: str, *symbols: str, channel: str = "trades") -> Iterator[ClientConnection]:
    """A client that is subscribed when the body begins. It reads, and answers, only when the body does."""
    with connect(url) as client:
        send(client, action="subscribe", channel=channel, symbols=list(symbols or ("AAPL",)))
        receive(client, "subscribed")
        yield client


class Answering(threading.Thread):
    """A client in a thread that answers heartbeats until its connection ends; `code` is that of the close then."""

    def __init__(self, client: ClientConnection) -> None:
        super().__init__(name="answering")
        self.heartbeats = 0
        self.code: int | None = None
        self._client = client

    def run(self) -> None:
        try:
            for text in self._client:
                message = json.loads(text)
                if message["type"] == "heartbeat":
                    self.heartbeats += 1
                    send(self._client, action="pong", timestamp=message["timestamp"])
        except ConnectionClosed:
            pass
        self.code = self._client.close_code


@contextmanager
def answering(url: str) -> Iterator[Answering]:
    """A client that answers heartbeats while the body runs."""
    with connect(url) as client:
        thread = Answering(client)
        thread.start()
        try:
            yield thread
        finally:
            client.close()
            thread.join(5)
