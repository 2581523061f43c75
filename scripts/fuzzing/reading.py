"""A plain reader of WebSocket frames (RFC 6455 section 5), a byte after the other: what our fast ones are held against.

It shares nothing with them, is given all bytes at once, and knows both directions.
"""

from __future__ import annotations

import codecs
from typing import Final

import attrs

__all__ = ["Reading", "read_frames"]

_CONTINUATION: Final = 0
_TEXT: Final = 1
_CLOSE: Final = 8
_PONG: Final = 10
_MOST_FRAGMENTS: Final = 16_384
_SENT_CODES: Final = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
"""Codes that may stand in a close frame (RFC 6455 section 7.4, and what IANA has registered since)."""


@attrs.define
class Reading:
    """What a stream of frames holds, up to its end or to what is wrong with it.

    `messages` are payloads, with whether each came in one frame. `ended` is `open`, `closed`, `wrong` (of the
    protocol), `big` or `many` (of fragments); `text` tells that fragments of a text, or the reason of a close, are no
    UTF-8, before anything else is wrong. `others` are the bytes of all but whole messages.
    """

    messages: list[tuple[bytes, bool]] = attrs.Factory(list)
    pongs: list[bytes] = attrs.Factory(list)
    ended: str = "open"
    code: int | None = None
    text: bool = False
    after: int = 0
    """How many messages came before the text that is none."""
    others: bytes = b""


@attrs.frozen
class _Head:
    opcode: int
    fin: bool
    size: int
    start: int
    key: bytes
    sound: bool


class _Reader:
    def __init__(self, data: bytes, limit: int, *, masked: bool) -> None:
        self.reading = Reading()
        self._data = data
        self._limit = limit
        self._masked = masked
        self._parts: list[bytes] | None = None
        self._size = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    def read(self) -> Reading:
        at = 0
        while self.reading.ended == "open" and (head := self._head(at)) is not None:
            frame_end = head.start + head.size
            if not head.sound:
                self.reading.ended = "wrong"
                self.reading.others += self._data[at:]
            elif head.opcode >= _CLOSE:
                if frame_end > len(self._data):
                    break
                self._control(head, self._payload(head))
                self.reading.others += self._data[at:frame_end]
            elif self._refused(head):
                break
            else:
                self._message(head, at)
                if frame_end > len(self._data):
                    break
            at = frame_end
        return self.reading

    def _head(self, at: int) -> _Head | None:
        """The head that begins there; None where it is not whole."""
        data = self._data
        if len(data) < at + 2:
            return None
        first, second = data[at], data[at + 1]
        size, more = second & 0x7F, {126: 2, 127: 8}.get(second & 0x7F, 0)
        start = at + 2 + more
        if len(data) < start:
            return None
        if more:
            size = int.from_bytes(data[at + 2 : start])
        masked = bool(second & 0x80)
        opcode, fin = first & 0x0F, bool(first & 0x80)
        shortest = size >= {0: 0, 2: 126, 8: 65_536}[more]
        sound = masked == self._masked and not first & 0x70 and shortest
        if opcode >= _CLOSE:
            sound = sound and opcode <= _PONG and fin and size <= 125
        else:
            sound = sound and opcode <= 2 and (opcode == _CONTINUATION) == (self._parts is not None)
        key = b""
        if masked and sound:
            key, start = data[start : start + 4], start + 4
            if len(key) < 4:
                return None
        return _Head(opcode, fin, size, start, key, sound)

    def _payload(self, head: _Head) -> bytes:
        payload = self._data[head.start : head.start + head.size]
        if not head.key:
            return payload
        return bytes(byte ^ head.key[i % 4] for i, byte in enumerate(payload))

    def _control(self, head: _Head, payload: bytes) -> None:
        if head.opcode == _PONG:
            self.reading.pongs.append(payload)
        if head.opcode != _CLOSE:
            return
        self.reading.ended = "closed"
        if not payload:
            self.reading.code = 1005
            return
        code = int.from_bytes(payload[:2])
        if len(payload) == 1 or code not in _SENT_CODES:
            self.reading.code = 1002
        elif not _is_text(payload[2:]):
            self._no_text()
        else:
            self.reading.code = code

    def _refused(self, head: _Head) -> bool:
        """Whether the message is too much, as its head tells."""
        self._size = head.size if self._parts is None else self._size + head.size
        if self._size > self._limit:
            self.reading.ended = "big"
        elif self._parts is not None and len(self._parts) >= _MOST_FRAGMENTS:
            self.reading.ended = "many"
        return self.reading.ended != "open"

    def _message(self, head: _Head, at: int) -> None:
        """A data frame, whole or as far as it has come."""
        end = head.start + head.size
        whole = end <= len(self._data)
        if head.fin and self._parts is None:
            if whole:
                self.reading.messages.append((self._payload(head), True))
            return
        self.reading.others += self._data[at:end]
        if self._parts is None:
            self._parts = []
            self._decoder = codecs.getincrementaldecoder("utf-8")() if head.opcode == _TEXT else None
        self._parts.append(self._payload(head))
        last = head.fin and whole
        try:
            if self._decoder is not None:
                self._decoder.decode(self._parts[-1], last)
        except UnicodeDecodeError:
            self._no_text()
            self._decoder = None
        if last:
            self.reading.messages.append((b"".join(self._parts), False))
            self._parts = None

    def _no_text(self) -> None:
        if not self.reading.text:
            self.reading.text, self.reading.after = True, len(self.reading.messages)


def read_frames(data: bytes, limit: int, *, masked: bool = False) -> Reading:
    """What the bytes hold: of a server (unmasked), or of a client (`masked`); messages of up to `limit` bytes."""
    return _Reader(data, limit, masked=masked).read()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
