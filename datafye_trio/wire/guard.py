"""Our own stream under trio-websocket: it counts what comes in, serialises what goes out, and owns the end.

trio-websocket does the handshake, ping and pong, fragments and closes; data frames go out through `send_all` here,
ready-made. What it leaves open is closed here:

- it reads nothing more until our 101 is written, so that early bytes cannot pile up in h11;
- a write that failed, was cancelled or took too long leaves half a frame: the stream is broken for good;
- empty fragments, pings and records of TLS are free for the sender but not for us: they have budgets;
- what comes in is handed on a few frames at a time, and to one connection in a round of the scheduler: fifty clients,
  each below its budgets, held up the others for a second;
- the library closes the stream without a close frame after a protocol error: its `aclose` here only ends its own use,
  the connection then sends the code that is due and closes the transport;
- after a close frame nothing more is written (RFC 6455 section 5.5.1).

Frames may also go out at once, without a task (`direct`): never while another write is under way, and what the socket
does not take is kept, and goes out before anything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import attrs
import trio

from datafye_trio.protocol import CloseCode, Ending, TokenBucket
from datafye_trio.wire.frames import FrameHead, FrameScanner, Opcode, close_frame
from datafye_trio.wire.metered import MeteredStream

__all__ = ["GuardStream", "InboundLimits"]

_CLOSE_BYTE: Final = 0x88
_FRAMES: Final = 4
"""That are handed on at once: each may be a request."""


@attrs.frozen
class InboundLimits:
    """What a peer may send. Rates are a second; a write here may take `write_seconds`, of stored data longer."""

    message_bytes: int = 128 * 1024
    fragments: int = 64
    control_rate: float = 5.0
    control_burst: int = 20
    frame_rate: float = 1_000.0
    frame_burst: int = 4_000
    write_seconds: float = 5.0
    history_write_seconds: float = 60.0


class GuardStream(trio.abc.Stream):
    """Wraps a transport whose request head was already read; `head` is what trio-websocket gets to read instead.

    `turn` is held by the connection of a server that is handed something, from one round of the scheduler to the next.
    """

    def __init__(self, stream: trio.abc.Stream, head: bytes, limits: InboundLimits, turn: trio.Lock) -> None:
        now = trio.current_time()
        self.verdict: Ending | None = None
        """Why this stream gave up on the peer, if it did."""
        self.close_sent = False
        self.peer_closed = False
        self.last_frame = now
        bare = isinstance(stream, trio.SocketStream) and sys.platform != "win32"  # there, a socket is no file
        self._fileno: Callable[[], int] | None = stream.socket.fileno if bare else None  # type: ignore[attr-defined]
        self._stream = stream
        under = stream.transport_stream if isinstance(stream, trio.SSLStream) else None
        self._meter = under if isinstance(under, MeteredStream) else None
        self._head = head
        self._limits = limits
        self._opened = trio.Event()
        self._lock = trio.Lock()
        self._unsent = b""
        self._clear = True
        """Whether a write may go past the lock: no other is under way or left, and none has ended the stream."""
        self._broken = False
        self._released = False
        self._write_until = float("inf")
        self._write_scope: trio.CancelScope | None = None
        self._turn = turn
        self._received = b""
        """What was not handed on yet, which is done so many bytes at a time; 0 as long as it was not counted."""
        self._piece = 0
        self._scanner = FrameScanner()
        self._control = TokenBucket(limits.control_rate, limits.control_burst, now)
        self._frames = TokenBucket(limits.frame_rate, limits.frame_burst, now)
        self._message_bytes = self._fragments = 0

    @property
    def broken(self) -> bool:
        """Whether a write was cut off: half a frame may be out, and nothing can follow it."""
        return self._broken

    @property
    def direct(self) -> Callable[[bytes], int | None] | None:
        """`_write_nowait`, where the transport is a bare socket: TLS has no such way, nor has a stream in memory."""
        return self._write_nowait if self._fileno is not None else None

    @property
    def unsent(self) -> bool:
        """Whether `direct` has left something, which goes out with the next write."""
        return bool(self._unsent)

    @property
    def writable(self) -> bool:
        """Whether a frame can still be written whole."""
        return not (self._broken or self.close_sent)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write whole frames, after what another task is writing. Not cancel-safe: cancelled, the stream is broken.

        After a close frame the data is dropped: it may not follow, and the library above need not know.

        Raises:
            trio.BrokenResourceError: the peer is gone, does not read, or an earlier write was cut off.
        """
        await self._acquire()
        try:
            if self.close_sent:
                return
            if self._broken:
                raise trio.BrokenResourceError("an earlier write was cut off")
            self.close_sent = bool(data) and data[0] == _CLOSE_BYTE
            data, self._unsent = self._unsent + data, b""
            if data:
                await self._write(data)
        finally:
            self._lock.release()
            self._clear = not (self._lock.locked() or self._broken or self.close_sent)
        self._opened.set()

    async def send_close(self, code: int, reason: str) -> None:
        """Write a close frame, after what another task is writing; nothing if one was written already."""
        await self.send_all(close_frame(code, reason))

    def hurry(self, deadline: float) -> None:
        """No write, not even one under way, may go on beyond this trio time."""
        self._write_until = min(self._write_until, deadline)
        if self._write_scope is not None:
            self._write_scope.deadline = min(self._write_scope.deadline, deadline)

    async def wait_send_all_might_not_block(self) -> None:
        """As the transport's."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, counted against the budgets; b"" at the end. Cancel-safe.

        Raises:
            trio.BrokenResourceError: the transport broke, or the peer is over a budget (then `verdict` is set).
            trio.ClosedResourceError: the library above has closed its use of this stream.
        """
        if self._head:
            await trio.lowlevel.checkpoint()
            data, self._head = self._head, b""
            return data
        await self._opened.wait()
        if self._released:
            raise trio.ClosedResourceError("this stream was closed")
        if not self._received:
            self._received, self._piece = await self.receive_uncounted(max_bytes), 0
        if not self._received:
            return b""
        async with self._turn:
            if not self._piece:  # counted only now: that takes a while, too
                frames = max(_FRAMES, self._count(self._received))
                self._piece = max(1, len(self._received) * _FRAMES // frames)
            data, self._received = self._received[: self._piece], self._received[self._piece :]
        return data

    async def receive_uncounted(self, max_bytes: int | None = None) -> bytes:
        """What has come, as no frames but as records of TLS, if there is such: b"" at the end. Cancel-safe.

        Raises:
            trio.BrokenResourceError: the transport broke, or the peer is over that budget (then `verdict` is set).
        """
        if self._meter is None:
            return bytes(await self._stream.receive_some(max_bytes))
        if (data := await self._meter.receive_from(self._stream, max_bytes)) is None:
            self._refuse(CloseCode.POLICY_VIOLATION, "too many records of TLS for what they carry")
        return data

    async def aclose(self) -> None:
        """The library above is done; the transport stays open for the close frame that may be due."""
        self._released = True
        await trio.lowlevel.checkpoint()

    def _write_nowait(self, data: bytes) -> int | None:
        """Write whole frames at once if no other write is under way: how many bytes are left, or None if none is taken.

        What is left is kept, and goes out before anything else: have somebody write. Never waits, never raises: what is
        wrong with the socket is the next write's to find.
        """
        if not self._clear or self._fileno is None:
            return None
        try:
            left = len(data) - os.write(self._fileno(), data)
        except OSError:
            return None
        if left:
            self._unsent, self._clear = data[-left:], False
        return left

    async def _acquire(self) -> None:
        self._clear = False
        try:
            self._lock.acquire_nowait()  # saves a trip through the scheduler for each write
        except trio.WouldBlock:
            await self._lock.acquire()

    async def _write(self, data: bytes | bytearray | memoryview) -> None:
        deadline = min(trio.current_time() + self._limits.write_seconds, self._write_until)
        done = False
        try:
            with trio.CancelScope(deadline=deadline) as self._write_scope:
                await self._stream.send_all(data)
                done = True
        finally:
            self._write_scope = None
            self._broken = not done
        if not done:
            self._judge(CloseCode.SLOW_CONSUMER, "a write took too long: read faster, or subscribe to less")
            raise trio.BrokenResourceError("a write took too long")

    def _count(self, data: bytes | bytearray) -> int:
        count = 0
        for count, head in enumerate(self._scanner.feed(data), 1):  # noqa: B007 -- the last one is returned
            self.last_frame = trio.current_time()
            if self._frames.take(self.last_frame) < 0:
                self._refuse(CloseCode.POLICY_VIOLATION, "too many frames")
            if head.opcode == Opcode.CLOSE:
                self.peer_closed = True
            elif head.is_control:
                if self._control.take(self.last_frame) < 0:
                    self._refuse(CloseCode.POLICY_VIOLATION, "too many control frames")
            else:
                self._count_data(head)
        return count

    def _count_data(self, head: FrameHead) -> None:
        if head.opcode != Opcode.CONTINUATION:
            self._message_bytes = self._fragments = 0
        self._message_bytes += head.size
        self._fragments += 1
        if self._message_bytes > self._limits.message_bytes:
            self._refuse(CloseCode.TOO_BIG, f"a message may have {self._limits.message_bytes} bytes")
        if self._fragments > self._limits.fragments:
            self._refuse(CloseCode.POLICY_VIOLATION, f"a message may have {self._limits.fragments} fragments")

    def _judge(self, code: CloseCode, reason: str) -> None:
        self.verdict = self.verdict or Ending(code, reason)

    def _refuse(self, code: CloseCode, reason: str) -> NoReturn:
        self._judge(code, reason)
        raise trio.BrokenResourceError(reason)
