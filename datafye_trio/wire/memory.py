"""A transport in memory with real backpressure: 64 KiB a direction, like a small socket buffer.

trio's own `memory_stream_pair` never blocks a writer, so nothing that matters here (a stalled reader, a write
deadline) could be tested over it. Works under an autojump clock: no threads, no sockets.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

__all__ = ["MemoryStream", "memory_transport"]

_CAPACITY: Final = 64 * 1024


@contextmanager
def _alone(lock: trio.Lock, otherwise: str) -> Iterator[None]:
    """Refuse a second task, as sockets do, instead of letting it wait."""
    try:
        lock.acquire_nowait()
    except trio.WouldBlock:
        raise trio.BusyResourceError(otherwise) from None
    try:
        yield
    finally:
        lock.release()


class _Pipe:
    """One direction."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.writer_closed = False
        self.reader_closed = False
        self.changed = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        self.changed.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end. Behaves like a `trio.SocketStream`: same errors, same half-close, conflict detection included."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._in = incoming
        self._out = outgoing
        self._closed = False
        self._sending = trio.Lock()
        self._receiving = trio.Lock()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`; waits while the peer's 64 KiB are full. Cancelled, part of it may have gone."""
        with _alone(self._sending, "another task is writing to this stream"):
            await trio.lowlevel.checkpoint()
            self._check_writable()
            rest = memoryview(data)
            while rest:
                self._check_writable()
                room = _CAPACITY - len(self._out.buffer)
                if room <= 0:
                    await self._out.changed.park()
                    continue
                self._out.buffer += rest[:room]
                rest = rest[room:]
                self._out.wake()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room, or the peer is gone."""
        with _alone(self._sending, "another task is writing to this stream"):
            await trio.lowlevel.checkpoint()
            while not self._closed and not self._out.reader_closed and len(self._out.buffer) >= _CAPACITY:
                await self._out.changed.park()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")

    async def send_eof(self) -> None:
        """Shut the write side; the peer reads what is there, then b""."""
        with _alone(self._sending, "another task is writing to this stream"):
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")
            self._out.writer_closed = True
            self._out.wake()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Up to `max_bytes` of what has come, b"" at the end. Cancel-safe."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        with _alone(self._receiving, "another task is reading from this stream"):
            await trio.lowlevel.checkpoint()
            while not self._closed and not self._in.buffer and not self._in.writer_closed:
                await self._in.changed.park()
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        data = bytes(self._in.buffer[:max_bytes])
        del self._in.buffer[: len(data)]
        self._in.wake()
        return data

    def close(self) -> None:
        """Close at once: the peer reads what is there, then b""; its writes break. Idempotent."""
        self._closed = True
        self._out.writer_closed = True
        self._in.reader_closed = True
        self._out.wake()
        self._in.wake()

    async def aclose(self) -> None:
        """As `close`, and a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def _check_writable(self) -> None:
        if self._closed or self._out.writer_closed:
            raise trio.ClosedResourceError("this stream was closed for writing")
        if self._out.reader_closed:
            raise trio.BrokenResourceError("the peer has closed the stream")


def memory_transport() -> tuple[MemoryStream, MemoryStream]:
    """Two connected ends."""
    left, right = _Pipe(), _Pipe()
    return MemoryStream(left, right), MemoryStream(right, left)
