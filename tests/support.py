"""What many tests need: a server in memory under virtual time, and a client that sees the very bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import trio

from datafye_trio import Program, Server, ServerConfig, Source, open_server
from datafye_trio.model import Quote, Trade

START_NS = 1_700_000_000_000_000_000
"""The wall clock of the tests at trio time 0."""


def virtual_wall_clock() -> int:
    """A wall clock that follows trio's (virtual) time."""
    return START_NS + round(trio.current_time() * 1e9)


@asynccontextmanager
async def memory_server(
    config: ServerConfig | None = None, sources: Sequence[Source] = (), **options: Any
) -> AsyncIterator[Server]:
    """A server without sockets; its dataset `Program` is open for any symbol unless sources are given."""
    async with open_server(
        config or ServerConfig(),
        sources or [Program()],
        listen=False,
        wall_clock=virtual_wall_clock,
        new_epoch=lambda: "epoch-1",
        **options,
    ) as server:
        yield server


def quote(symbol: str = "AAPL", n: int = 0) -> Quote:
    """A sound quote; `n` tells them apart."""
    return Quote(symbol, START_NS + n, 100.0 + n / 100, 100, 100.05 + n / 100, 200, "XNAS", "ARCX")


def trade(symbol: str = "AAPL", n: int = 0) -> Trade:
    """A sound trade; `n` tells them apart."""
    return Trade(symbol, START_NS + n, 100.0 + n / 100, 10, "XNAS", str(n))


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame, with a mask that is not zero."""
    mask = b"\x01\x02\x03\x04"
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def upgrade_head(path: str = "/datafye-ws/v1", *headers: str, host: str = "localhost") -> bytes:
    """A sound upgrade request, with more header lines if wanted."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


class RawClient:
    """A client over any stream: sends what it is told to, and shows every frame as it came."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""

    @classmethod
    async def connect(cls, server: Server, path: str = "/datafye-ws/v1", *headers: str) -> Self:
        """Connect over memory; fails if the answer is not 101."""
        client = cls(server.connect())
        await client.stream.send_all(upgrade_head(path, *headers))
        status, _, _ = await client.http_answer()
        assert status == 101
        return client

    async def http_answer(self) -> tuple[int, dict[str, str], str]:
        """The status, the headers (lower case) and the body of an HTTP answer."""
        while b"\r\n\r\n" not in self.buffer:
            data = await self.stream.receive_some(65_536)
            assert data, f"no answer, only {self.buffer!r}"
            self.buffer += data
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        size = int(headers.get("content-length", 0))
        while len(self.buffer) < size:
            self.buffer += await self.stream.receive_some(65_536)
        body, self.buffer = self.buffer[:size].decode(), self.buffer[size:]
        return int(first.split()[1]), headers, body

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. (-1, b"") when the stream has ended."""
        while True:
            if len(self.buffer) >= 2:
                size, start = self.buffer[1], 2
                if size == 126 and len(self.buffer) >= 4:
                    (size,), start = struct.unpack_from("!H", self.buffer, 2), 4
                elif size == 127 and len(self.buffer) >= 10:
                    (size,), start = struct.unpack_from("!Q", self.buffer, 2), 10
                if (start > 2 or size < 126) and len(self.buffer) >= start + size:
                    opcode, payload = self.buffer[0] & 0x0F, self.buffer[start : start + size]
                    self.buffer = self.buffer[start + size :]
                    return opcode, payload
            try:
                data = await self.stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                return -1, b""
            self.buffer += data

    async def message(self) -> dict[str, Any]:
        """The next text message, as a dict; fails on anything else."""
        opcode, payload = await self.frame()
        assert opcode == 1, f"frame {opcode} {payload!r}"
        found: dict[str, Any] = json.loads(payload)
        return found

    async def messages(self, count: int) -> list[dict[str, Any]]:
        """The next text messages."""
        return [await self.message() for _ in range(count)]

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """Messages up to and with the first of a type."""
        found = [await self.message()]
        while found[-1]["type"] != kind:
            found.append(await self.message())
        return found

    async def closed(self) -> tuple[int, str]:
        """The close code and reason, skipping what comes before; (1006, "") if the stream just ends."""
        while True:
            opcode, payload = await self.frame()
            if opcode == -1:
                return 1006, ""
            if opcode == 8:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    async def send(self, **fields: Any) -> None:
        """Send a request."""
        await self.send_text(json.dumps(fields))

    async def send_text(self, text: str) -> None:
        """Send a text frame."""
        await self.stream.send_all(masked(1, text.encode()))

    async def ask(self, **fields: Any) -> dict[str, Any]:
        """Send a request and return the next message."""
        await self.send(**fields)
        return await self.message()

    async def close(self) -> None:
        """Close in good order: close frame, then the stream."""
        await self.stream.send_all(masked(8, struct.pack("!H", 1000)))
        await self.closed()
        await self.stream.aclose()
