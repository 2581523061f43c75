"""A transport in memory with real backpressure: 64 KiB a direction, like a small socket buffer.

trio's own `memory_stream_pair` never blocks a writer, so nothing that matters here (a stalled reader, a write
deadline) could be tested over it. Works under an autojump clock: no threads, no sockets.
"""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["MemoryStream", "memory_transport"]

_CAPACITY: Final = 64 * 1024


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
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            raise trio.BusyResourceError("another task is writing to this stream") from None
        try:
            self._check_writable()
            await trio.lowlevel.checkpoint()
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
        finally:
            self._sending.release()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room, or the peer is gone."""
        await trio.lowlevel.checkpoint()
        while not self._closed and not self._out.reader_closed and len(self._out.buffer) >= _CAPACITY:
            await self._out.changed.park()

    async def send_eof(self) -> None:
        """Shut the write side; the peer reads what is there, then b""."""
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        await trio.lowlevel.checkpoint()
        self._out.writer_closed = True
        self._out.wake()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Up to `max_bytes` of what has come, b"" at the end. Cancel-safe."""
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        try:
            self._receiving.acquire_nowait()
        except trio.WouldBlock:
            raise trio.BusyResourceError("another task is reading from this stream") from None
        try:
            await trio.lowlevel.checkpoint()
            while not self._closed and not self._in.buffer and not self._in.writer_closed:
                await self._in.changed.park()
        finally:
            self._receiving.release()
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
