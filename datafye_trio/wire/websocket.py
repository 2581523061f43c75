"""One WebSocket, as the server sees it: trio-websocket for the protocol, ready-made frames for the data."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

import trio
from trio_websocket import ConnectionClosed, wrap_server_stream

from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.wire.guard import GuardStream, InboundLimits
from datafye_trio.wire.metered import MeteredStream

__all__ = ["ServerSocket", "SocketClosed", "accept_socket"]

_REASONS: Final = {
    CloseCode.PROTOCOL_ERROR: "the WebSocket protocol was broken",
    CloseCode.INVALID_TEXT: "a text message was not UTF-8",
}
"""Codes with which trio-websocket ends a connection without telling the peer."""
_SHUTDOWN: Final = frozenset({CloseCode.GOING_AWAY, CloseCode.RESTART})
_CHUNK: Final = 4_096
"""Bytes a read: with larger ones, one flooding client holds up the others for longer."""

_LINGER_BYTES: Final = 256 * 1024
"""More than a peer has under way that does not know yet that we have closed."""


class SocketClosed(Exception):
    """Nothing more will come. `due` is the close that the peer should still get; None if it closed, or is gone."""

    def __init__(self, due: Ending | None) -> None:
        super().__init__(due.reason if due else "closed by the peer")
        self.due = due


class ServerSocket:
    """The messages of a peer, and the way for frames to it."""

    def __init__(self, transport: trio.abc.Stream, guard: GuardStream, websocket: object) -> None:
        self._transport = transport
        self._guard = guard
        self._websocket = websocket

    @property
    def direct(self) -> Callable[[bytes], int | None] | None:
        """A way to write ready-made frames at once, where there is one: how many bytes are left for the next `send`, or
        None if none is taken since a write is under way, or the socket takes none.
        """
        return self._guard.direct

    @property
    def unsent(self) -> bool:
        """Whether `direct` has left something for the next `send`."""
        return self._guard.unsent

    @property
    def last_frame(self) -> float:
        """The trio time of the last frame of any kind that came in."""
        return self._guard.last_frame

    async def receive(self) -> str | bytes:
        """The next message. Cancel-safe.

        Raises:
            SocketClosed: there will be none.
        """
        try:
            message: str | bytes = await self._websocket.get_message()  # type: ignore[attr-defined]
        except ConnectionClosed as closed:
            raise SocketClosed(self._due(closed)) from None
        return message

    async def send(self, frames: bytes) -> None:
        """Write ready-made frames, behind what `direct` has left. Not cancel-safe: cancelled, it ends the connection.

        Raises:
            SocketClosed: they could not be written.
        """
        try:
            await self._guard.send_all(frames)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise SocketClosed(self._guard.verdict) from None

    def hurry(self, deadline: float) -> None:
        """No write may go on beyond this trio time."""
        self._guard.hurry(deadline)

    async def close(self, ending: Ending | None, seconds: float) -> None:
        """End in good order within `seconds`, else by a reset: close frame, wait for the peer's, close the transport.

        Cancelled, it resets at once. There is no reset where we shut down and all is written: the peer has done
        nothing wrong, and a reset would take from it what it has not read yet.
        """
        polite = False
        try:
            if self._guard.broken:
                return  # half a frame may be out: only a reset can follow, and it frees what the kernel still holds
            with trio.move_on_after(seconds):
                if ending is not None and self._guard.writable:
                    await self._guard.send_close(ending.code, ending.reason)
                    if not await self._drain():
                        return  # a flooder: only a reset ends what it has under way
                    await self._linger()
                await self._transport.aclose()
                polite = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer was faster; the reset below frees what is left
        finally:
            if not polite:
                told = self._guard.close_sent and not self._guard.broken
                if not (told and ending is not None and ending.code in _SHUTDOWN):
                    self._make_close_a_reset()
                await trio.aclose_forcefully(self._transport)  # noqa: ASYNC102 -- never waits
            self._end_parser()

    async def _drain(self) -> bool:
        """Read until the peer has closed too: trio-websocket stops reading while nobody takes its messages.

        False where it sends more than it can have had under way.
        """
        left = _LINGER_BYTES
        with contextlib.suppress(SocketClosed):
            while left > 0:
                left -= max(1, len(await self.receive()))
            return False
        return True

    async def _linger(self) -> None:
        """Read on where the peer has not closed and the library no longer reads.

        Closing with unread bytes would be a reset, and the peer would never see our close frame. One that goes on
        sending all the same is a flooder, and gets the reset.
        """
        if self._guard.peer_closed:
            return
        if isinstance(self._transport, trio.abc.HalfCloseableStream):
            await self._transport.send_eof()
        left = _LINGER_BYTES
        while left > 0 and (data := await self._guard.receive_uncounted(_CHUNK)):
            left -= len(data)

    def _end_parser(self) -> None:
        """End wsproto's parser, a generator that holds itself, and ends by itself only where a close frame has come.

        Else each peer that is cut leaves 16 blocks, a kilobyte, to the garbage collector, which may not come for hours.
        No public name reaches it. Where a later version has another, that is all that is lost.
        """
        with contextlib.suppress(AttributeError):
            self._websocket._wsproto.connection._proto._parse_more.close()  # type: ignore[attr-defined]

    def _make_close_a_reset(self) -> None:
        raw = self._transport
        if isinstance(raw, trio.SSLStream):
            raw = raw.transport_stream
        if isinstance(raw, MeteredStream):
            raw = raw.transport
        if isinstance(raw, trio.SocketStream):
            # Without this, close() would leave the kernel sending what a stalled peer never reads.
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _due(self, closed: ConnectionClosed) -> Ending | None:
        if self._guard.verdict is not None:
            return self._guard.verdict
        if self._guard.close_sent or closed.reason is None or closed.reason.code not in _REASONS:
            return None
        code = CloseCode(closed.reason.code)
        return Ending(code, _REASONS[code])


async def accept_socket(
    nursery: trio.Nursery,
    transport: trio.abc.Stream,
    key: str,
    subprotocol: str | None,
    limits: InboundLimits,
    turn: trio.Lock | None = None,
) -> ServerSocket:
    """Answer 101 to an upgrade request that was checked, and hand the transport to trio-websocket.

    trio-websocket gets a head that we wrote: no header of the peer's but the key ever reaches it. Its own weaknesses
    with Host, Connection and extensions (a non-ASCII byte there ends a plain server) so cannot be reached.

    Args:
        nursery: owns trio-websocket's reading task; cancel it when the connection has ended.
        transport: a stream whose request head was read, and nothing beyond it.
        key: the checked Sec-WebSocket-Key.
        subprotocol: the one chosen, None for none.
        limits: what the peer may send.
        turn: what all connections of a server share, so that they take turns in being heard.

    Raises:
        SocketClosed: the peer is gone.
    """
    lines = [
        "GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
    ]  # fmt: skip
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    guard = GuardStream(transport, "\r\n".join([*lines, "", ""]).encode(), limits, turn or trio.Lock())
    request = await wrap_server_stream(
        nursery, guard, max_message_size=limits.message_bytes, receive_buffer_size=_CHUNK
    )
    try:
        websocket = await request.accept(subprotocol=subprotocol)
    except ConnectionClosed:
        raise SocketClosed(None) from None
    return ServerSocket(transport, guard, websocket)
