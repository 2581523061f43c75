"""A server that a test plays byte by byte, and a client of ours on the other end of a transport in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from datafye_trio.wire import (
    ClientOptions,
    ClientSocket,
    ClientSocketClosed,
    MemoryStream,
    memory_transport,
    open_client,
)
from datafye_trio.wire.frames import Opcode, frame


def fragment(opcode: int, payload: bytes, *, fin: bool = False) -> bytes:
    return bytes(((0x80 if fin else 0) | opcode,)) + frame(Opcode.TEXT, payload)[1:]


def text(payload: str) -> bytes:
    return frame(Opcode.TEXT, payload.encode())


def accepting(request: bytes) -> bytes:
    key = next(line for line in request.decode().split("\r\n") if line.lower().startswith("sec-websocket-key"))
    digest = hashlib.sha1(key.split(":")[1].strip().encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    head = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return f"{head}{base64.b64encode(digest).decode()}\r\n\r\n".encode()


class Peer:
    """The server's end: sends bytes as they are, and reads a client's frames."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def accept(self, more: bytes = b"", split: int | None = None) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += await self.stream.receive_some()
        sent = accepting(request) + more
        for start in range(0, len(sent), split or len(sent)):
            await self.stream.send_all(sent[start : start + (split or len(sent))])

    async def frame(self) -> tuple[int, bytes]:
        """The next frame, unmasked; all are short. (-1, b"") at the end."""
        while len(self.buffer) < 6 or len(self.buffer) < 6 + (self.buffer[1] & 0x7F):
            if not (data := await self.stream.receive_some()):
                return -1, b""
            self.buffer += data
        size, key = self.buffer[1] & 0x7F, self.buffer[2:6]
        payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(self.buffer[6 : 6 + size]))
        opcode = self.buffer[0] & 0x0F
        del self.buffer[: 6 + size]
        return opcode, payload


@asynccontextmanager
async def connected(
    more: bytes = b"", *, split: int | None = None, message_bytes: int = 2**20
) -> AsyncIterator[tuple[ClientSocket, Peer]]:
    """A client and its peer; `more` comes in one packet with the 101."""
    ours, theirs = memory_transport()
    peer = Peer(theirs)

    async def transport() -> trio.abc.Stream:
        return ours

    options = ClientOptions(open_stream=transport, message_bytes=message_bytes)
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.accept, more, split)
            async with open_client("ws://x/y", options) as socket:
                yield socket, peer


async def drained(socket: ClientSocket) -> tuple[list[bytes], ClientSocketClosed]:
    """All messages as bytes, and the end."""
    found: list[bytes] = []
    try:
        while True:
            batch = await socket.receive_many()
            assert batch
            found += [one.encode() if isinstance(one, str) else one for one in batch]
    except ClientSocketClosed as closed:
        return found, closed


async def ended_by(sent: bytes, *, message_bytes: int = 2**20, eof: bool = False) -> tuple[list[bytes], int, str]:
    """What a client makes of these bytes; it says so itself, and again when asked again."""
    async with connected(message_bytes=message_bytes) as (socket, peer):
        await peer.stream.send_all(sent)
        if eof:
            await peer.stream.send_eof()
        found, closed = await drained(socket)
        with pytest.raises(ClientSocketClosed) as again:
            await socket.receive()
        assert (again.value.code, again.value.reason) == (closed.code, closed.reason)
        for use in (socket.send("x"), socket.ping()):
            with pytest.raises(ClientSocketClosed):
                await use
    return found, closed.code, closed.reason
