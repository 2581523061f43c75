"""The client's stream under trio-websocket: what can be peeled off goes into an inbox, the rest goes up.

It runs in trio-websocket's reading task, whose `receive_some` it is: no task more, and no bytes are handed over. What
trio-websocket leaves open is closed here, as in `guard` for the server:

- a write that failed or was cancelled leaves half a frame: nothing may follow it;
- it sees no end but the stream's and the close frame's: whatever it thinks of a frame is looked for before each read;
- after a frame that is not allowed it would read on for ever; while it closes, a ping would kill its reader.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Final

import trio
from trio_websocket import WebSocketConnection

from datafye_trio.wire.inbox import Inbox
from datafye_trio.wire.peeling import Peeler

__all__ = ["ClientLane"]

_READ: Final = 128 * 1024
"""Twice 64 KiB spares 5 % of a typed event (1.73 to 1.65 µs), as turns of the scheduler are what a read costs. With
256 KiB, a read brings more than the reader of a subscription takes in its turn, and a buffer fills for nothing."""
_INBOX_BYTES: Final = 1024 * 1024
_HEAD_END: Final = re.compile(rb"\n\r?\n")
"""As h11 finds it."""
_ACCEPTED: Final = re.compile(rb"HTTP/[0-9]\.[0-9] 101")
"""Of any version that h11 takes: behind a 101 that is missed here, nothing would ever be received."""
_HEAD_BYTES: Final = 16 * 1024
_ANSWER_BYTES: Final = 64 * 1024
_LOST: Final = 1006


class ClientLane(trio.abc.Stream):
    """Wraps a transport on which nothing was said yet. trio-websocket's task reads; any task may write."""

    def __init__(self, stream: trio.abc.Stream, message_bytes: int) -> None:
        self.inbox = Inbox(_INBOX_BYTES)
        self.last_heard = trio.current_time()
        self.head = b""
        """The head of the server's HTTP answer, as far as it has come."""
        self.lost = ""
        """How the transport ended, if it did."""
        self._cut_off = False
        self._stream = stream
        self._peeler = Peeler(message_bytes)
        self._lock = trio.Lock()
        self._websocket: WebSocketConnection | None = None
        self._head_done = False
        self._rest = b""
        self._answer = 0
        self._size = 0
        """Bytes that were read for what the next payload brings: a big message comes in many reads."""
        self.leaving = False
        """Whether we have begun to close: only the peer's close frame is of interest."""
        self.pings: dict[bytes, trio.Event] = {}

    @property
    def verdict(self) -> tuple[int, str] | None:
        """Close code and reason, if this end gave up where trio-websocket knows nothing of it."""
        if (ending := self._peeler.verdict) is not None:
            return ending.code, ending.reason
        return (_LOST, "a send was cut off, half a frame may be out") if self._cut_off else None

    @property
    def peer_closed(self) -> bool:
        """Whether the server's close frame has come."""
        return self._peeler.peer_closed

    @property
    def gave_up(self) -> bool:
        """Whether a frame or a message was not allowed."""
        return self._peeler.over and not self._peeler.peer_closed

    @property
    def answer_cut(self) -> bool:
        """Whether what has come may be the beginning of an HTTP head, and no more; also where nothing has."""
        return self.head[:5] == b"HTTP/"[: len(self.head)] and _HEAD_END.search(self.head) is None

    def attach(self, websocket: WebSocketConnection) -> None:
        """The handshake is done: from now on it is asked what it thinks of what it was given."""
        self._websocket = websocket
        self.head = b""
        if websocket.closed is not None:
            self.finish()

    def leave(self) -> None:
        """We close: of what comes, only the server's close frame is of interest."""
        self.leaving = self._peeler.leaving = True
        self.inbox.end(discard=True)
        self.finish()

    def break_off(self) -> None:
        """What was being sent may be out by half: nothing can follow it."""
        self._cut_off = True
        self.finish()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write whole frames, after what another task is writing. Cancelled in mid-write, the stream is broken.

        Raises:
            trio.BrokenResourceError: the server is gone, or an earlier write was cut off.
        """
        async with self._lock:
            if self._cut_off:
                raise trio.BrokenResourceError("an earlier write was cut off")
            await trio.lowlevel.checkpoint_if_cancelled()
            done = False
            try:
                await self._stream.send_all(data)
                done = True
            except trio.BrokenResourceError as error:
                done = True  # it is lost, which says more
                self._lose(_why(error))
                raise
            finally:
                if not done:
                    self.break_off()

    async def wait_send_all_might_not_block(self) -> None:
        """As the transport's."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- our reads have a size of their own
        """What has come for the slow lane; b"" at the end.

        Raises:
            trio.BrokenResourceError: the transport broke, or the server was given up on.
            trio.ClosedResourceError: this end was closed.
        """
        while True:
            self._look_up()
            if self._rest:
                data, self._rest = self._rest, b""
            else:
                await self.inbox.wait_room()
                data = await self._read()
            if not data:
                return b""
            if not self._head_done:
                return self._take_head(data)
            if slow := self._feed(data):
                return slow

    async def aclose(self) -> None:
        """Close the transport."""
        self.finish()
        await self._stream.aclose()

    def finish(self) -> None:
        """Nothing more is peeled; who waits for a message or a pong is told."""
        self.inbox.end()
        for event in self.pings.values():
            event.set()

    def _look_up(self) -> None:
        peeler = self._peeler
        closed = self._websocket is not None and self._websocket.closed is not None
        if closed or peeler.over:
            self.finish()
        if not peeler.peer_closed and (peeler.over or (closed and not self.leaving)):
            raise trio.BrokenResourceError("the server was given up on")

    async def _read(self) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(_READ))
        except trio.BrokenResourceError as error:
            self._lose(_why(error))
            raise
        except trio.ClosedResourceError:
            self._lose("closed by this end")
            raise
        self.last_heard = trio.current_time()
        if not data:
            where = "in the middle of a message" if self._peeler.amid else "without a close frame"
            self._lose(f"the server ended it {where if self._head_done else 'in the handshake'}")
        return data

    def _take_head(self, data: bytes) -> bytes:
        """Hand the HTTP answer on; what stands behind its head is frames already."""
        seen = len(self.head)
        if seen > _HEAD_BYTES:
            # Too long for h11, which says so; or the body of a refusal, of which we want the beginning.
            self._answer += len(data)
            return data if self._answer < _ANSWER_BYTES else b""
        self.head += data
        end = _HEAD_END.search(self.head, max(0, seen - 2))
        if end is None:
            return data
        if _ACCEPTED.match(self.head) is None:
            return data
        self._head_done = True
        split = end.end() - seen
        self._rest = data[split:]
        return data[:split]

    def _feed(self, data: bytes) -> bytes:
        peeler, marks = self._peeler, self._peeler.marks
        payloads, slow = peeler.feed(data)
        self._size += len(data)
        if payloads:
            self.inbox.put(payloads, peeler.marks - marks, self._size)
            self._size = 0
        if peeler.pongs:
            self._hear_pongs()
        return slow

    def _hear_pongs(self) -> None:
        """A pong answers its ping, and all before it."""
        for payload in self._peeler.pongs:
            if payload in self.pings:
                order = list(self.pings)
                for sent in order[: order.index(payload) + 1]:
                    self.pings[sent].set()
        self._peeler.pongs.clear()

    def _lose(self, why: str) -> None:
        self.lost = self.lost or why
        self.finish()


def _why(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        reason: str | None = getattr(cause, "reason", None)  # not every one has it, whatever typeshed says
        return reason.replace("_", " ").lower() if reason else "TLS was lost"
    return os.strerror(cause.errno).lower() if isinstance(cause, OSError) and cause.errno else str(error)
