"""The server that is judged: handshake, guarded stream and close of production, and a handler that echoes.

Only budgets differ: a message may have 32 MiB, and frames, fragments and control frames are not counted. Autobahn sends
thousands of fragments and pings at once, for which production closes the connection, as it must.
"""

from __future__ import annotations

import contextlib
from typing import Final

import attrs
import trio

from datafye_trio.server.http import read_head, respond_error
from datafye_trio.wire import (
    HttpError,
    InboundLimits,
    Opcode,
    ServerSocket,
    SocketClosed,
    accept_socket,
    check_upgrade,
    frame,
)  # fmt: skip

__all__ = ["MESSAGE_BYTES", "serve_echo"]

MESSAGE_BYTES: Final = 32 * 2**20
_NO_LIMIT: Final = 2**40
_LIMITS: Final = attrs.evolve(
    InboundLimits(),
    message_bytes=MESSAGE_BYTES,
    fragments=_NO_LIMIT,
    control_rate=float(_NO_LIMIT),
    control_burst=_NO_LIMIT,
    frame_rate=float(_NO_LIMIT),
    frame_burst=_NO_LIMIT,
)
_CLOSE_SECONDS: Final = 2.0


async def serve_echo(stream: trio.abc.Stream) -> None:
    """Serve one transport to its end, in the order of steps of `server.reception`."""
    try:
        async with trio.open_nursery() as nursery:
            with contextlib.suppress(SocketClosed):
                await _receive(nursery, stream)
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)  # noqa: ASYNC102 -- never waits


async def _receive(nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
    try:
        head = await read_head(stream)
        offer = check_upgrade(head) if head is not None else None
    except HttpError as error:
        await respond_error(stream, error)
    else:
        if offer is not None:
            await _echo(await accept_socket(nursery, stream, offer.key, None, _LIMITS))


async def _echo(socket: ServerSocket) -> None:
    """Send back what comes, as the writer of a connection does: past the lock where that can be."""
    direct = socket.direct
    try:
        while True:
            message = await socket.receive()
            text = isinstance(message, str)
            payload = message.encode() if isinstance(message, str) else bytes(message)
            data = frame(Opcode.TEXT if text else Opcode.BINARY, payload)
            left = direct(data) if direct is not None else None
            if left != 0:
                await socket.send(data if left is None else b"")
    except SocketClosed as closed:
        await socket.close(closed.due, _CLOSE_SECONDS)
