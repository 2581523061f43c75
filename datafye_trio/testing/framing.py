"""WebSocket frames out of a stream of bytes, of both directions, however the bytes were cut. No I/O."""

from __future__ import annotations

import struct
from typing import Final

import attrs

__all__ = ["RAW", "Frame", "FrameSplitter", "masked_frame", "remade"]

RAW: Final = -1
"""The opcode of bytes that are no frame."""
_FIN: Final = 0x80
_RESERVED: Final = 0x70
_MASKED: Final = 0x80
_CONTROL: Final = 0x08
_OPCODES: Final = frozenset((0, 1, 2, 8, 9, 10))
_CONTROL_BYTES: Final = 125


@attrs.frozen
class Frame:
    """One frame.

    Attributes:
        opcode: RFC 6455's; `RAW` for bytes that are no frame, or part of one that is too large to be held.
        fin: whether it is the last of its message.
        payload: without its mask.
        raw: the frame as it came, with its head and mask.
        ends: whether another frame could follow: not within one that is too large, nor after what is no frame.
    """

    opcode: int
    fin: bool
    payload: bytes
    raw: bytes
    ends: bool = True

    @property
    def is_data(self) -> bool:
        """Whether it is a whole message."""
        return self.fin and self.opcode in (1, 2)


class FrameSplitter:
    """Gives the frames that are whole, and holds the rest: at most one frame of `most` bytes.

    The payload of a larger frame comes as `RAW` pieces, and after it frames again. What cannot be a frame (reserved
    bits or opcodes, a control frame that is split or long) comes as `RAW`, and so does all that follows it. The frames
    and the bytes are the same however the bytes were cut; only where the `RAW` pieces end depends on it.
    """

    def __init__(self, most: int) -> None:
        self.lost = False
        """Whether something came that cannot be a frame."""
        self._most = most
        self._held = bytearray()
        self._need = 2
        self._passing = 0

    @property
    def between(self) -> bool:
        """Whether what was given ends between two frames: another one could follow."""
        return not (self.lost or self._passing)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole with these bytes."""
        if self.lost:
            return [_raw(data, ends=False)] if data else []
        self._held += data
        frames: list[Frame] = []
        while self._held and (self._passing or len(self._held) >= self._need):
            frames.append(self._next()) if self._passing else self._look(frames)
        return frames

    def rest(self) -> bytes:
        """The frame that is not whole, where the stream has ended; it is held no more."""
        rest, self._held = bytes(self._held), bytearray()
        return rest

    def _next(self) -> Frame:
        """A piece of a frame that is too large to be held."""
        piece = bytes(self._held[: self._passing])
        del self._held[: len(piece)]
        self._passing -= len(piece)
        self._need = 2
        return _raw(piece, ends=not self._passing)

    def _look(self, frames: list[Frame]) -> None:
        """Take a whole frame out, or find out how many bytes it needs, or that it is none."""
        held = self._held
        first, second = held[0], held[1]
        size, start = second & 0x7F, 2
        if size > _CONTROL_BYTES:
            start = 4 if size == 126 else 10
        start += 4 if second & _MASKED else 0
        if not _possible(first, size):
            self._give_up(frames)
        elif len(held) < start:
            self._need = start
        else:
            if size > _CONTROL_BYTES:
                size = int.from_bytes(held[2 : 4 if size == 126 else 10])
            if size >> 63:
                self._give_up(frames)
            elif size > self._most:
                self._passing = start + size
            elif len(held) < start + size:
                self._need = start + size
            else:
                frames.append(self._take(start, size))

    def _take(self, start: int, size: int) -> Frame:
        raw = bytes(self._held[: start + size])
        del self._held[: start + size]
        self._need = 2
        payload = raw[start:]
        if raw[1] & _MASKED:
            payload = _unmask(payload, raw[start - 4 : start])
        return Frame(raw[0] & 0x0F, bool(raw[0] & _FIN), payload, raw)

    def _give_up(self, frames: list[Frame]) -> None:
        self.lost = True
        frames.append(_raw(self.rest(), ends=False))


def remade(frame: Frame, payload: bytes) -> Frame:
    """The same frame with another payload: masked if it was, and sound in any case."""
    first = frame.raw[0]
    raw = masked_frame(first, payload) if frame.raw[1] & _MASKED else _head(first, len(payload), 0) + payload
    return Frame(frame.opcode, frame.fin, payload, raw)


def masked_frame(first: int, payload: bytes) -> bytes:
    """A client's frame, of a first byte; its mask is zero, which any server takes."""
    return _head(first, len(payload), _MASKED) + bytes(4) + payload


def _head(first: int, size: int, masked: int) -> bytes:
    if size <= _CONTROL_BYTES:
        return struct.pack("!BB", first, masked | size)
    if size < 65_536:
        return struct.pack("!BBH", first, masked | 126, size)
    return struct.pack("!BBQ", first, masked | 127, size)


def _possible(first: int, size: int) -> bool:
    if first & _RESERVED or first & 0x0F not in _OPCODES:
        return False
    return not first & _CONTROL or (bool(first & _FIN) and size <= _CONTROL_BYTES)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def _raw(data: bytes, *, ends: bool) -> Frame:
    return Frame(RAW, True, data, data, ends)
