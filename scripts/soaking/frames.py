"""A few lines of WebSocket for the processes that attack and watch: nothing of what they judge is used by them."""

from __future__ import annotations

import base64
import os
import socket
from typing import Final

from _frames import Frames

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "Frames", "close_code", "frame", "shake_hands", "upgrade"]

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_PATH: Final = "/datafye-ws/v1/stocks/live/quotes"
_HANDSHAKE_SECONDS: Final = 10.0


def frame(payload: bytes, opcode: int = TEXT, *, last: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(8)
    return bytes([0x80 * last | opcode]) + length + bytes(4) + payload


def close_code(payload: bytes) -> int:
    """The code that a close frame tells, 1005 where it tells none."""
    return int.from_bytes(payload[:2]) if len(payload) >= 2 else 1005


def upgrade() -> bytes:
    """The request for a WebSocket of quotes."""
    return (
        f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
    ).encode()


def shake_hands(port: int) -> tuple[socket.socket, bytes]:
    """A WebSocket, and what stands behind the 101.

    Raises:
        ConnectionError: the server has refused it; the text is its answer.
        OSError: it was not reached, or did not answer in time.
    """
    connection = socket.create_connection(("127.0.0.1", port), timeout=_HANDSHAKE_SECONDS)
    connection.sendall(upgrade())
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := connection.recv(65_536)):
            raise ConnectionError("no answer")
        head += data
    head, _, rest = head.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise ConnectionError(head.decode(errors="replace"))
    return connection, rest
