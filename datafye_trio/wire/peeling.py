"""Peels messages off a server's bytes in bulk, without I/O: the sans-IO half of the client's fast lane.

trio-websocket needs some 60 microseconds for a message; almost all that a market-data server sends is one kind of
frame: data, whole (FIN), unmasked, no reserved bit. Those are cut out here, a read at a time, with index arithmetic.
The rules of the file:

- everything else goes to the slow lane (trio-websocket) byte for byte, and is judged there: control frames, fragments,
  masks, reserved bits, unknown opcodes, lengths in too long a form;
- `None` among the payloads stands for a message that the slow lane will give: its place in the order. Nothing is
  peeled while a fragmented message is under way;
- after a close frame, and after a frame that is not allowed, nothing is peeled any more: `over`;
- a message above the limit, in one frame or in fragments, is refused by its head, before its bytes have come:
  trio-websocket counts characters, and only what has arrived;
- bytes in hand are bounded by one message; a frame that comes in many reads costs linear time.

Payloads are bytes for text and binary alike, and text is not checked to be UTF-8: whoever decodes it does that.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from datafye_trio.protocol import CloseCode, Ending
from datafye_trio.wire.frames import Opcode

__all__ = ["Payloads", "Peeler"]

Payloads: TypeAlias = list[bytes | None]

_FIN: Final = 0x80
_WHOLE_TEXT: Final = _FIN | Opcode.TEXT
_WHOLE_BINARY: Final = _FIN | Opcode.BINARY
_HEAD: Final = struct.Struct("!BBH").unpack_from
"""The two bytes of a head, and the length that may stand behind them: 0.21 µs a frame, of which 0.07 are its slice.
Tried: indexing (0.23), all four bytes as one number (0.23), `split` with the lengths checked after it (0.37)."""
_FRAGMENTS: Final = 16_384
"""Of one message; each is an object in trio-websocket's hands, even an empty one."""
_CONTROL_BYTES: Final = 125


class Peeler:
    """The state between two reads. `feed` is the hot path: nothing is done there for each byte."""

    def __init__(self, message_bytes: int) -> None:
        self.over = False
        """Whether nothing more is peeled: what comes is the slow lane's, or nobody's."""
        self.verdict: Ending | None = None
        """Why the peer was given up on here; what goes wrong in the slow lane is said there."""
        self.peer_closed = False
        self.leaving = False
        """Whether pings are dropped: the slow lane dies of one that comes while it closes."""
        self.pongs: list[bytes] = []
        """Payloads of the pongs that have come; whoever waits for them takes them out."""
        self.marks = 0
        """How many `None` have been given."""
        self._limit = message_bytes
        self._held = bytearray()
        self._needed = 0
        self._passing = 0
        self._last = False
        self._fragments = 0
        self._message_bytes = 0

    @property
    def amid(self) -> bool:
        """Whether a frame or a fragmented message has begun and not ended."""
        return bool(self._held or self._passing or self._fragments)

    def feed(self, data: bytes) -> tuple[Payloads, bytes]:
        """What the bytes complete: the payloads in order, `None` for one of the slow lane; and that lane's bytes."""
        payloads: Payloads = []
        slow: list[bytes] = []
        at = 0
        while self._held:
            step = self._needed - len(self._held)
            self._held += data[at : at + step]
            at += step
            if len(self._held) < self._needed:
                return payloads, b""
            held, self._held = bytes(self._held), bytearray()
            self._single(held, 0, payloads, slow)
        end = len(data)
        while at < end and not self.over:
            if self._passing:
                at = self._pass(data, at, payloads, slow)
                continue
            if not self._fragments:
                at = self._peel(data, at, payloads)
            if at < end:
                at = self._single(data, at, payloads, slow)
        if self.over and self.verdict is None and not self.peer_closed:
            slow.append(data[at:])
        return payloads, b"".join(slow)

    def _peel(self, data: bytes, at: int, payloads: Payloads) -> int:
        """Take whole data frames below 64 KiB until something else comes, or the last few bytes; where that begins."""
        if self._limit < 65_536:
            return at  # saves a comparison for each frame where nobody sets so low a limit
        end, append = len(data), payloads.append
        last = end - 4
        while at <= last:
            first, size, more = _HEAD(data, at)
            if size < 126:
                start = at + 2
                stop = start + size
            elif size == 126 and more > 125:
                start = at + 4
                stop = start + more
            else:
                return at
            if stop > end or (first != _WHOLE_TEXT and first != _WHOLE_BINARY):
                return at
            append(data[start:stop])
            at = stop
        return at

    def _single(self, data: bytes, at: int, payloads: Payloads, slow: list[bytes]) -> int:
        """Deal with one frame of any kind, or hold what there is of it; where the next begins."""
        have = len(data) - at
        if have < 2:
            return self._hold(data, at, 2)
        first, size = data[at], data[at + 1] & 0x7F
        head = {126: 4, 127: 10}.get(size, 2)
        if have < head:
            return self._hold(data, at, head)
        if head > 2:
            size = int.from_bytes(data[at + 2 : at + head])
        if data[at + 1] & 0x80 or not self._allowed(first, size, head):
            self.over = True
            slow.append(data[at : at + head])
            return at + head
        if first & 0x08:
            if have < head + size:
                return self._hold(data, at, head + size)
            return self._control(data, at, head + size, slow)
        self._message_bytes += size
        if self._message_bytes > self._limit:
            return self._refuse(CloseCode.TOO_BIG, f"a message may have {self._limit} bytes, not {self._message_bytes}")
        if first & _FIN and not self._fragments:
            self._message_bytes = 0
            if have < head + size:
                return self._hold(data, at, head + size)
            payloads.append(data[at + head : at + head + size])
            return at + head + size
        self._fragments += 1
        if self._fragments > _FRAGMENTS:
            return self._refuse(CloseCode.POLICY_VIOLATION, f"a message may have {_FRAGMENTS} fragments")
        self._last = bool(first & _FIN)
        self._passing = head + size
        return self._pass(data, at, payloads, slow)

    def _allowed(self, first: int, size: int, head: int) -> bool:
        """Whether the slow lane takes such a frame at this place; else it ends the connection, and says why."""
        if first & 0x70 or size < {4: 126, 10: 65_536}.get(head, 0):
            return False
        opcode = first & 0x0F
        if opcode & 0x08:
            return opcode <= Opcode.PONG and bool(first & _FIN) and size <= _CONTROL_BYTES
        return opcode <= Opcode.BINARY and (opcode == Opcode.CONTINUATION) == bool(self._fragments)

    def _control(self, data: bytes, at: int, length: int, slow: list[bytes]) -> int:
        stop = at + length
        opcode = data[at] & 0x0F
        if opcode == Opcode.PONG:
            self.pongs.append(data[at + 2 : stop])
        elif opcode == Opcode.CLOSE:
            self.over = self.peer_closed = True
        if not (self.leaving and opcode == Opcode.PING):
            slow.append(data[at:stop])
        return stop

    def _pass(self, data: bytes, at: int, payloads: Payloads, slow: list[bytes]) -> int:
        """Hand on a fragment, as far as it has come."""
        stop = min(at + self._passing, len(data))
        slow.append(data[at:stop])
        self._passing -= stop - at
        if not self._passing and self._last:
            self._fragments = self._message_bytes = 0
            self._last = False
            payloads.append(None)
            self.marks += 1
        return stop

    def _hold(self, data: bytes, at: int, needed: int) -> int:
        self._held += data[at:]
        self._needed = needed
        return len(data)

    def _refuse(self, code: CloseCode, reason: str) -> int:
        self.over = True
        self.verdict = Ending(code, reason)
        return 0
