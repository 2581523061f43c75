"""Writes the log of one connection: frames as entries, and messages that came in parts as one."""

from __future__ import annotations

import struct
from typing import Final, Literal, TypeAlias

import attrs

from datafye_trio.testing.framing import RAW, Frame, masked_frame
from datafye_trio.testing.log import Entry, Kind, Log
from datafye_trio.wire import Opcode

__all__ = ["Request", "Scribe", "Way"]

Way: TypeAlias = Literal["in", "out"]
_KINDS: Final[dict[int, Kind]] = {RAW: "raw", 0: "part", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_MESSAGE: Final = 16 * 1024 * 1024
_PARTS: Final = 1_000
"""The largest message in parts that is put together."""
_ASKING: Final = ("open", "refused", "http")


@attrs.frozen
class Request:
    """What a client asked for when it came.

    Attributes:
        path: with its query; "" of what is no request.
        upgrade: whether it wants a WebSocket.
        address: the client's.
    """

    path: str = ""
    upgrade: bool = False
    address: str = "memory"


class Scribe:
    """Writes what happens on the connection `number` into a log."""

    def __init__(self, number: int, request: Request, log: Log) -> None:
        self.number = number
        self.request = request
        self._log = log
        self._parts: dict[Way, list[Frame]] = {"in": [], "out": []}
        self._sizes: dict[Way, int] = {"in": 0, "out": 0}

    def note(
        self, kind: Kind, way: Way = "out", *, payload: bytes = b"", code: int | None = None, reason: str = ""
    ) -> None:
        """An entry of this connection."""
        path = self.request.path if kind in _ASKING else ""
        self._log.add(Entry(self.number, self._log.now(), way, kind, payload, path, code, reason))

    def frame(self, way: Way, frame: Frame) -> Frame | None:
        """The entry of a frame; the message, where it is the last part of one.

        Parts are noted as such; with the last one the whole message is, in its place.
        """
        if frame.opcode == Opcode.CLOSE:
            code = struct.unpack("!H", frame.payload[:2])[0] if len(frame.payload) > 1 else None
            self.note("close", way, payload=frame.payload, code=code, reason=frame.payload[2:].decode(errors="replace"))
            return None
        whole = self._whole(way, frame)
        if whole is not None:
            self.note(_KINDS[whole.opcode], way, payload=whole.payload)
        else:
            kind: Kind = _KINDS[frame.opcode] if frame.fin else "part"
            self.note(kind, way, payload=frame.payload)
        return whole

    def _whole(self, way: Way, frame: Frame) -> Frame | None:
        """Put a message together."""
        parts = self._parts[way]
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY) and not frame.fin:
            parts[:] = [frame]
            self._sizes[way] = len(frame.raw)
        elif frame.opcode == Opcode.CONTINUATION and parts:
            parts.append(frame)
            self._sizes[way] += len(frame.raw)
            if self._sizes[way] > _MESSAGE or len(parts) > _PARTS:
                parts.clear()
            elif frame.fin:
                payload = b"".join(part.payload for part in parts)
                opcode = parts[0].opcode
                parts.clear()
                return Frame(opcode, True, payload, masked_frame(0x80 | opcode, payload))
        return None
