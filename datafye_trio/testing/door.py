"""The door of a test server: what a client asks for is read, and refused where a fault or the dialect says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from datafye_trio.server.http import respond_error
from datafye_trio.testing.dialect import Dialect
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.links import Greeting
from datafye_trio.testing.log import Log
from datafye_trio.testing.scribe import Request, Scribe
from datafye_trio.testing.tapping import ConnectionTap
from datafye_trio.wire import Head, HeadParser, HttpError

__all__ = ["Answer", "Door"]

Answer: TypeAlias = Callable[[trio.abc.HalfCloseableStream, bytes], Awaitable[None]]
"""Answers a request below `/faults` on its stream, given the bytes that were read already; it must bound its waits."""

_FAULTS: Final = "/faults"
_POSTED: Final = ("/replay/", _FAULTS)
_HEAD_SECONDS: Final = 5.0
_READ: Final = 4_096


class Door:
    """The `greet` of a test server's proxy.

    What is no request that our server would take goes to it as it came, so that the client gets its answer.

    Args:
        log: takes all that passes.
        faults: what is done to it.
        dialect: what the clients get to see.
        control: answers what is asked below `/faults`; None: the server says that there is no such path.
    """

    def __init__(
        self, log: Log, faults: Faults, *, dialect: type[Dialect] | None = None, control: Answer | None = None
    ) -> None:
        self._log = log
        self._faults = faults
        self._dialect = dialect
        self._control = control

    async def __call__(self, stream: trio.abc.HalfCloseableStream, number: int) -> Greeting | None:
        """Read the head of a request; answer it here, or say how it goes on to the server.

        Raises:
            trio.BrokenResourceError: the client has gone, sent no head within 5 s, or a fault resets it.
        """
        read, head = b"", None
        with trio.move_on_after(_HEAD_SECONDS):
            read, head = await _read_head(stream)
        scribe = Scribe(number, _request(stream, head), self._log)
        if not read:
            scribe.note("gone", reason="it asked for nothing")
            raise trio.BrokenResourceError("no request came")
        if self._control is not None and _is_control(read):
            await self._control(stream, read)
            return None
        error = self._refusal(scribe, head)
        if error is not None:
            scribe.note("refused", code=error.status, reason=error.reason)
            await respond_error(stream, error)
            return None
        return self._greeting(scribe, head, read)

    def _refusal(self, scribe: Scribe, head: Head | None) -> HttpError | None:
        """Why it is not let in, if so."""
        if head is None:
            return None
        if head.wants_upgrade:
            try:
                if (error := self._faults.take_refusal()) is not None:
                    return error
            except trio.BrokenResourceError:
                scribe.note("refused", reason="connection reset: a fault")
                raise
        refusal = self._dialect.check_path(head.path, head.query) if self._dialect is not None else None
        return None if refusal is None else HttpError(*refusal)

    def _greeting(self, scribe: Scribe, head: Head | None, read: bytes) -> Greeting:
        dialect = None
        if self._dialect is not None and head is not None:
            read, dialect = self._dialect.plain_head(read), self._dialect(head.path)
        return Greeting(read, ConnectionTap(scribe, self._faults.damage(scribe.number), dialect))


async def _read_head(stream: trio.abc.Stream) -> tuple[bytes, Head | None]:
    """What is read up to the end of a head, and the head; None where it is none, or not whole."""
    parser = HeadParser(_POSTED)
    read = b""
    while data := bytes(await stream.receive_some(_READ)):
        read += data
        try:
            if (head := parser.feed(data)) is not None:
                return read, head
        except HttpError:  # the server says so, in the same words
            break
    return read, None


def _is_control(read: bytes) -> bool:
    words = read.split(b" ", 2)
    return len(words) > 1 and words[1].decode(errors="replace").partition("?")[0].startswith(_FAULTS)


def _request(stream: trio.abc.Stream, head: Head | None) -> Request:
    address = "memory"
    if isinstance(stream, trio.SocketStream):
        try:
            address = stream.socket.getpeername()[0]
        except OSError:  # gone already
            address = "gone"
    if head is None:
        return Request(address=address)
    return Request(f"{head.path}?{head.query}" if head.query else head.path, head.wants_upgrade, address)
