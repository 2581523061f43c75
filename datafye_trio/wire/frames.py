"""WebSocket frames as bytes (RFC 6455 section 5.2), without I/O: written ready-made, and counted as they come in."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import attrs

from datafye_trio.protocol import Encoding

__all__ = ["FrameHead", "FrameScanner", "Opcode", "close_frame", "data_frame", "frame"]


class Opcode(IntEnum):
    """The kinds of frames."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_FIN: Final = 0x80
_TEXT: Final = _FIN | int(Opcode.TEXT)
_BINARY: Final = _FIN | int(Opcode.BINARY)
_SHORT: Final = struct.Struct("!BB").pack
_MIDDLE: Final = struct.Struct("!BBH").pack
_LONG: Final = struct.Struct("!BBQ").pack
_MASKED: Final = 0x80
_CONTROL: Final = 0x08


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """A whole unmasked frame: what a server sends, and so the same bytes for every client."""
    return _frame(_FIN | opcode, payload)


def data_frame(payload: bytes, encoding: Encoding) -> bytes:
    """The frame of a message: text for JSON, binary for MessagePack."""
    return _frame(_TEXT if encoding == "json" else _BINARY, payload)


def _frame(first: int, payload: bytes) -> bytes:
    # With plain numbers and structs made before: an Opcode's arithmetic takes longer than all of this.
    size = len(payload)
    if size < 126:
        return _SHORT(first, size) + payload
    if size < 65_536:
        return _MIDDLE(first, 126, size) + payload
    return _LONG(first, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; a reason beyond the 123 bytes that a control frame has room for is cut at a character."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, struct.pack("!H", code) + text)


@attrs.frozen
class FrameHead:
    """The head of a frame that came in; `size` is what it claims as the length of its payload."""

    opcode: int
    fin: bool
    size: int

    @property
    def is_control(self) -> bool:
        """Whether it is a ping, a pong or a close."""
        return bool(self.opcode & _CONTROL)


class FrameScanner:
    """Finds the frame heads in a stream of bytes, split anywhere. It checks nothing: the library above does."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._skip = 0

    def feed(self, data: bytes | bytearray) -> Iterator[FrameHead]:
        """The heads that are complete with these bytes."""
        position, end = 0, len(data)
        while position < end:
            if self._skip:
                step = min(self._skip, end - position)
                self._skip -= step
                position += step
                continue
            need = self._needed() - len(self._head)
            self._head += data[position : position + need]
            position += need
            if len(self._head) >= 2 and len(self._head) == self._needed():
                yield self._finish()

    def _needed(self) -> int:
        """Bytes of the head at hand, mask included, as far as it is known."""
        if len(self._head) < 2:
            return 2
        second = self._head[1]
        return 2 + {126: 2, 127: 8}.get(second & 0x7F, 0) + (4 if second & _MASKED else 0)

    def _finish(self) -> FrameHead:
        head = self._head
        size = head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack_from("!H", head, 2)
        elif size == 127:
            (size,) = struct.unpack_from("!Q", head, 2)
        found = FrameHead(head[0] & 0x0F, bool(head[0] & _FIN), size)
        self._skip = size
        self._head = bytearray()
        return found
