"""One connection as a test sees it: its handshake and its frames, logged, and changed by a dialect and by faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import trio

from datafye_trio.testing.dialect import Answer, Dialect
from datafye_trio.testing.framing import Frame, FrameSplitter, remade
from datafye_trio.testing.links import Link
from datafye_trio.testing.log import decode
from datafye_trio.testing.scribe import Request, Scribe
from datafye_trio.wire import Opcode, close_frame, frame

__all__ = ["ConnectionTap", "Frame", "FrameFaults", "FrameSplitter", "Request"]

_FROM_CLIENT: Final = 1024 * 1024
_FROM_SERVER: Final = 16 * 1024 * 1024
"""Bytes of the largest frame that is held whole; the server's are trusted not to be more than they need be."""
_ANSWER: Final = 64 * 1024
_WAITING: Final = 100
"""Frames that may wait for a place between two of the server's."""
_CLOSE_SECONDS: Final = 2.0


class FrameFaults(Protocol):
    """What is done to the frames of one connection on their way to the client. All is sync."""

    def attach(self, tap: ConnectionTap) -> None:
        """Bytes will pass from now on."""

    def change(self, found: Frame) -> Sequence[Frame]:
        """What the client gets in place of a whole message, in order."""

    def release(self) -> Sequence[Frame]:
        """What was held back: before a close, and at the end."""

    def cuts_within(self) -> bool:
        """Whether the connection is to be cut in the middle of this message."""

    def detach(self) -> None:
        """The connection has ended."""


class ConnectionTap:
    """The tap of one connection; made for it by the door.

    Attributes:
        scribe: writes its log; knows its number and what was asked for.
        name: the id that the server gave it, as `connected` tells; "" until then.
        opened: whether the handshake has succeeded.
    """

    def __init__(self, scribe: Scribe, faults: FrameFaults, dialect: Dialect | None = None) -> None:
        self.scribe = scribe
        self.name = ""
        self.opened = False
        self._faults = faults
        self._dialect = dialect
        self._link: Link | None = None
        self._head = bytearray()
        self._asked = self._answered = self._busy = self._closing = False
        self._client = FrameSplitter(_FROM_CLIENT)
        self._server = FrameSplitter(_FROM_SERVER)
        self._waiting: list[Frame] = []

    @property
    def number(self) -> int:
        """The connection's, from 1."""
        return self.scribe.number

    @property
    def request(self) -> Request:
        """What the client asked for."""
        return self.scribe.request

    @property
    def _greeted(self) -> bool:
        """Whether anything may be put in: a dialect's answer does not come before the greeting."""
        return self._dialect is None or bool(self.name)

    # What the proxy calls.

    @property
    def link(self) -> Link:
        """The connection's bytes."""
        assert self._link is not None  # noqa: S101 -- attach comes before anything else
        return self._link

    def attach(self, link: Link) -> None:
        """The server is reached."""
        self._link = link
        self._faults.attach(self)

    def from_client(self, data: bytes) -> Sequence[bytes]:
        """Log what the client sends, and let the dialect see it."""
        if not self._asked or not self.request.upgrade:
            self._asked = True  # the first bytes are the head, which the door has read
            return [data]
        passed = [one.raw for found in self._client.feed(data) for one in self._from_client(found)]
        return passed if data else [self._client.rest()]

    def from_server(self, data: bytes) -> Sequence[bytes]:
        """Log what the server sends, and let the dialect and the faults change it."""
        self._busy = True  # who listens to the log may close from here: not before the frame at hand
        try:
            return self._frames_from_server(data) if self.opened else self._from_unopened(data)
        finally:
            self._busy = False

    def closed(self, why: str) -> None:
        """The connection has ended."""
        if self._link is not None:
            self._faults.detach()
        self.scribe.note("gone", reason="closed, without an answer" if self._closing and why == "lost" else why)

    # What faults call.

    def inject(self, found: Frame) -> None:
        """Put a frame in before the next one of the server's; without a place for it the connection is dropped."""
        if self._place(found):
            self.scribe.frame("out", found)
        else:
            self.scribe.note("fault", reason="dropped: the client does not read")
            self.link.drop()

    def release(self) -> None:
        """Let go what a fault has held back."""
        for one in self._faults.release():
            self.inject(one)

    def close(self, code: int, reason: str) -> None:
        """Send the client a close frame as if the server did; nothing of the server's comes after it.

        The connection ends when the client has answered, or 2 s later without.
        """
        if self._closing:
            return
        self.release()
        raw = close_frame(code, reason)
        self.inject(Frame(Opcode.CLOSE, True, raw[2:], raw))
        self._closing = True
        self.link.scope.deadline = trio.current_time() + _CLOSE_SECONDS

    # The handshake.

    def _from_unopened(self, data: bytes) -> Sequence[bytes]:
        """The server's answer: it passes as it comes, and is understood on the side."""
        if self._answered:
            return [data]
        self._head += data
        head, found, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not found:
            self._answered = len(self._head) > _ANSWER or not data
            return [data]
        self._answered = True
        self._head.clear()
        status = _status(head)
        if not self.request.upgrade or status != 101:
            reason = "" if status == 200 else _first_line(rest)
            self.scribe.note("refused" if self.request.upgrade else "http", code=status, reason=reason)
            return [data]
        self.opened = True
        self.scribe.note("open", "in")
        passed = [data[: len(data) - len(rest)], *(self._take_waiting() if self._greeted else [])]
        return [*passed, *self._frames_from_server(rest)] if rest else passed

    # Frames.

    def _frames_from_server(self, data: bytes) -> Sequence[bytes]:
        passed: list[bytes] = []
        for found in self._server.feed(data):
            if self._closing and not self._waiting:
                return passed
            for one in self._from_server(found):
                if one.is_data and self._faults.cuts_within():
                    passed.append(one.raw[: max(1, len(one.raw) // 2)])
                    self.link.to_client.cut_behind(sum(map(len, passed)), self)
                    self._closing = True
                    self._waiting.clear()
                    return passed
                passed.append(one.raw)
            if found.ends:
                passed += self._take_waiting()
        if not data and not self._closing:
            passed += [one.raw for one in self._noted(self._faults.release())] + [self._server.rest()]
        return passed

    def _from_client(self, found: Frame) -> Sequence[Frame]:
        whole = self.scribe.frame("in", found)
        if self._closing and found.opcode == Opcode.CLOSE:
            self.link.to_client.end()
        if self._dialect is None:
            return [found]
        if whole is not None:
            found = whole
        elif found.opcode == Opcode.CONTINUATION or not found.fin:
            return []  # a message in parts is understood, and passed, once it is whole
        if found.opcode != Opcode.TEXT:
            return [found]
        answer = self._dialect.from_client(found.payload)
        if isinstance(answer, Answer):
            self.inject(Frame(Opcode.TEXT, True, answer.payload, frame(Opcode.TEXT, answer.payload)))
            return []
        return [found if answer == found.payload else remade(found, answer)]

    def _from_server(self, found: Frame) -> Sequence[Frame]:
        if not found.is_data:
            held = self._noted(self._faults.release()) if found.opcode == Opcode.CLOSE else []
            return [*held, *self._noted([found])]
        if not self.name:
            self._learn_name(found)
        if self._dialect is not None and found.opcode == Opcode.TEXT:
            payload = self._dialect.from_server(found.payload)
            if payload is None:
                return []
            found = remade(found, payload)
        return self._noted(self._faults.change(found))

    def _noted(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        for one in frames:
            self.scribe.frame("out", one)
        return frames

    def _place(self, found: Frame) -> bool:
        """Send a frame between two of the server's, now or soon; whether there is room for it."""
        if self.opened and self._greeted and self._server.between and not self._busy and not self._waiting:
            return self.link.to_client.inject(found.raw)
        if len(self._waiting) < _WAITING:
            self._waiting.append(found)
            return True
        return False

    def _take_waiting(self) -> list[bytes]:
        taken, self._waiting = [one.raw for one in self._waiting], []
        return taken

    def _learn_name(self, found: Frame) -> None:
        """The first message is `connected`, or else the server is none that gives ids."""
        message = decode(found.opcode, found.payload) or {}
        self.name = str(message.get("connectionId", "?"))


def _status(head: bytes) -> int | None:
    words = head.split(b"\r\n")[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


def _first_line(body: bytes) -> str:
    """What our own server says in a refusal; of other bodies as much."""
    return body[:200].partition(b"\n")[0].decode(errors="replace")
