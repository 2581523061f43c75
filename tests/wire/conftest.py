"""What the tests of the wire share: frames as a client sends them, and a raw peer that sees every byte."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from datafye_trio.protocol import Ending
from datafye_trio.wire import (
    InboundLimits,
    MemoryStream,
    Opcode,
    ServerSocket,
    SocketClosed,
    accept_socket,
    memory_transport,
)  # fmt: skip

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LIMITS = InboundLimits(message_bytes=1_000)
_MASK = b"\x11\x22\x33\x44"


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, claim: int | None = None
) -> bytes:
    """A frame from a client; `claim` is the length that its head tells, where that is not the payload's."""
    size = len(payload) if claim is None else claim
    bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += struct.pack("!BQ", bit | 127, size)
    if not masked:
        return head + payload
    return head + _MASK + bytes(byte ^ _MASK[index % 4] for index, byte in enumerate(payload))


def split_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of each whole unmasked frame; fails on a rest."""
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = struct.unpack_from("!H", data, 2)[0], 4
        elif size == 127:
            size, start = struct.unpack_from("!Q", data, 2)[0], 10
        assert len(data) >= start + size
        found.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found


class RawPeer:
    """A client that writes what it likes and notes what it reads."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self.answer = b""
        self.rest = b""

    async def read_answer(self) -> None:
        """Read the HTTP answer; what follows it stays for `read_to_end`."""
        while b"\r\n\r\n" not in self.answer:
            data = await self.stream.receive_some()
            assert data, f"closed after {self.answer!r}"
            self.answer += data
        self.answer, _, self.rest = self.answer.partition(b"\r\n\r\n")

    async def read_to_end(self) -> list[tuple[int, bytes]]:
        """All frames until the server has closed."""
        while data := await self.stream.receive_some():
            self.rest += data
        return split_frames(self.rest)

    async def close_after(self) -> list[tuple[int, bytes]]:
        """As `read_to_end`, then shut this side too, as a peer with manners does."""
        frames = await self.read_to_end()
        await self.stream.send_eof()
        return frames


class Served:
    """What a minimal server saw of one peer."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.due: Ending | None = None
        self.seconds = -1.0
        """From the end of the receiving to the end of the close."""

    async def run(self, transport: trio.abc.Stream, key: str, subprotocol: str | None = None) -> None:
        async with trio.open_nursery() as nursery:
            socket = await accept_socket(nursery, transport, key, subprotocol, LIMITS)
            try:
                while True:
                    self.messages.append(await socket.receive())
            except SocketClosed as closed:
                self.due, began = closed.due, trio.current_time()
                await socket.close(closed.due, 2.0)
                self.seconds = trio.current_time() - began
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_raw() -> AsyncIterator[tuple[ServerSocket, RawPeer, MemoryStream]]:
    """A server socket, the raw peer whose handshake is done, and the server's end of the transport."""
    ours, theirs = memory_transport()
    async with trio.open_nursery() as nursery:
        socket = await accept_socket(nursery, ours, KEY, None, LIMITS)
        peer = RawPeer(theirs)
        await peer.read_answer()
        yield socket, peer, ours
        nursery.cancel_scope.cancel()


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()


class Tools:
    """The helpers above: test modules are imported by path and cannot import from here."""

    KEY = KEY
    LIMITS = LIMITS
    Served = Served
    open_raw = staticmethod(open_raw)
    RawPeer = RawPeer
    frame = staticmethod(client_frame)
    split = staticmethod(split_frames)
    close_payload = staticmethod(close_payload)

    @staticmethod
    def ping(payload: bytes = b"") -> bytes:
        return client_frame(Opcode.PING, payload)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools
