"""A client that loses its connection and comes back, and what must hold of all that it gets: the oracle of resume."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any, TypeAlias

import trio
from connection.kit import BASE
from support import RawClient

from datafye_trio import Server

EPOCH = "epoch-1"
TopicName: TypeAlias = tuple[str, str]
"""Channel and symbol."""


def name_of(message: dict[str, Any]) -> TopicName:
    """The topic of a message, or of a gap."""
    channels = {"quote": "quotes", "trade": "trades"}
    return message.get("channel") or channels[message["type"]], message["symbol"]


class Reader:
    """Reads a connection by the piece, as slowly as it is told to, and keeps every message."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.messages: list[dict[str, Any]] = []
        self.closed: int | None = None
        """The close code; 1006 where the stream just ended."""
        self._buffer = client.buffer

    @classmethod
    async def connect(cls, server: Server, path: str = BASE) -> Reader:
        """A new connection."""
        return cls(await RawClient.connect(server, path))

    async def read(self, pieces: int = 1, size: int = 65_536) -> None:
        """Read so many pieces; waits for the first."""
        while pieces and self.closed is None:
            try:
                data = await self.client.stream.receive_some(size)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                self.closed = 1006
            self._buffer += data
            self._parse()
            pieces -= 1

    async def until_quiet(self, seconds: float = 0.5) -> None:
        """Read until nothing comes for so long."""
        quiet = False
        while not quiet and self.closed is None:
            with trio.move_on_after(seconds) as scope:
                await self.read()
            quiet = scope.cancelled_caught

    def data(self, *symbols: str) -> list[dict[str, Any]]:
        """The data messages and gaps so far, of these symbols or all."""
        kinds = {"quote", "trade", "halt", "resume", "gap"}
        return [m for m in self.messages if m["type"] in kinds and (not symbols or m["symbol"] in symbols)]

    def _parse(self) -> None:
        buffer, start = self._buffer, 0
        while len(buffer) >= start + 2:
            size, head = buffer[start + 1], 2
            if size > 125:
                head = 4 if size == 126 else 10
                if len(buffer) < start + head:
                    break
                size = int.from_bytes(buffer[start + 2 : start + head], "big")
            end = start + head + size
            if len(buffer) < end:
                break
            if buffer[start] & 0x0F == 8:
                (self.closed,) = struct.unpack_from("!H", buffer, start + head)
                break
            self.messages.append(json.loads(buffer[start + head : end]))
            start = end
        self._buffer = buffer[start:]


class Account:
    """What a client has of each topic over all its connections, checked message by message against the source's log."""

    def __init__(self, log: dict[TopicName, list[int]]) -> None:
        self.positions: dict[TopicName, int] = {}
        self.lost: dict[TopicName, int] = {}
        self.after_gap: set[TopicName] = set()
        """Whose snapshot is due on this connection: a read may end between the two."""
        self._log = log

    def follow(self, messages: Iterable[dict[str, Any]]) -> None:
        """Take in what one connection brought. Fails on a hole, a repeat, a wrong gap, a snapshot out of place."""
        after_gap = self.after_gap
        for message in messages:
            name = name_of(message)
            position = self.positions[name]
            if message["type"] == "gap":
                assert message["epoch"] == EPOCH
                assert name not in after_gap
                assert message["from"] == position + 1
                assert message["to"] > position
                self.positions[name] = message["to"]
                self.lost[name] = self.lost.get(name, 0) + message["to"] - position
                if message["reason"] == "expired":  # and not `slow_consumer`, which live data follows
                    after_gap.add(name)
            elif message.get("snapshot"):
                assert name in after_gap
                after_gap.discard(name)
                assert message["seq"] == position
            else:
                assert name not in after_gap
                assert message["seq"] == position + 1
                assert message["timestamp"] == self._log[name][position]
                self.positions[name] = position + 1
