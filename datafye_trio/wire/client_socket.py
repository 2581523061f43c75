"""An open connection of a client: receive in batches, send, ping, close; and why it ended.

trio-websocket does control frames, fragments and closes, in one task; `lane` peels plain data frames off below it. The
order of the messages, and the one reason of an end that has several witnesses, are put together here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from datafye_trio.errors import DatafyeError
from datafye_trio.wire.frames import Opcode, close_frame
from datafye_trio.wire.lane import ClientLane

__all__ = ["CLOSE_SECONDS", "ClientSocket", "ClientSocketClosed", "Reader"]

CLOSE_SECONDS: Final = 2.0
"""For a goodbye, the answer to it included."""
_FIN: Final = 0x80
_BROKEN_PROTOCOL: Final = 1002
_LOST: Final = 1006
_WRONG: Final = "what the server sent is wrong"


class ClientSocketClosed(DatafyeError):
    """The connection has ended: closed with `code` and `reason`, by either end, or lost (code 1006)."""

    def __init__(self, code: int, reason: str) -> None:
        what = "connection lost" if code == _LOST else f"closed with {code}"
        super().__init__(f"{what}{f': {reason}' if reason else ''}")
        self.code = code
        self.reason = reason


class Reader:
    """Where trio-websocket starts its reading task, in place of a nursery. Two things are wanted of that task:

    - what it raises (a rejection by the server above all) is kept here, and does not end the nursery;
    - cancelling the body must leave it alive: it reads the answer to our close frame. Hence the shield; `stop` ends
      it, and `open_client` always comes to that, by a deadline of its own.
    """

    def __init__(self, nursery: trio.Nursery, at_end: Callable[[], None]) -> None:
        self.ended = trio.Event()
        self.failure: Exception | None = None
        self.goodbye: trio.CancelScope | None = None
        """What waits for the server's answer to our close frame: none comes when this task has ended."""
        self._nursery = nursery
        self._at_end = at_end
        self._scope = trio.CancelScope(shield=True)

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """All that is used of a nursery."""
        self._nursery.start_soon(self._run, reader)

    def stop(self) -> None:
        """End the task."""
        self._scope.cancel()

    async def _run(self, reader: Callable[[], Awaitable[None]]) -> None:
        try:
            with self._scope:
                await reader()
        except Exception as error:  # noqa: BLE001 -- whatever a strange server makes the library raise: no connection
            self.failure = error
        finally:
            self.ended.set()
            self._at_end()
            if self.goodbye is not None:
                self.goodbye.cancel()


class ClientSocket:
    """An open connection. One task receives; any may send."""

    def __init__(self, websocket: WebSocketConnection, lane: ClientLane, reader: Reader) -> None:
        self._websocket = websocket
        self._lane = lane
        self._reader = reader
        self._abandoned = False
        self._left: tuple[int, str] | None = None
        self._goodbye = 1000, ""
        self._numbers = itertools.count()
        self._ready: deque[bytes | str] = deque()

    @property
    def last_heard(self) -> float:
        """The trio time of the last bytes that came in."""
        return self._lane.last_heard

    async def receive_many(self) -> list[bytes | str]:
        """All messages that have come, at least one, in order. Cancel-safe. For one task at a time.

        A message is bytes, unchecked, where the fast lane took it (text and binary alike), else `str` for text and
        `bytes` for binary: text that came in fragments was decoded on its way.

        Raises:
            ClientSocketClosed: there will be none; every message before the end was returned.
        """
        inbox = self._lane.inbox
        if self._ready:
            await trio.lowlevel.checkpoint()
            ready, self._ready = list(self._ready), deque()
            return ready
        await inbox.wait()
        if taken := inbox.take():
            return taken  # type: ignore[return-value]  # a list that nobody else holds
        message = await self._receive_slow()
        inbox.unmark()
        return [message]

    async def receive(self) -> str | bytes:
        """The next message; as `receive_many`."""
        if self._ready:
            await trio.lowlevel.checkpoint()
        else:
            self._ready.extend(await self.receive_many())
        return self._ready.popleft()

    async def send(self, message: str) -> None:
        """Send a text message. Not cancel-safe: a cancelled one ends the connection.

        Raises:
            ClientSocketClosed: the connection has ended.
        """
        if self._over:
            raise self._ending()
        done = False
        try:
            await self._websocket.send_message(message)
            done = True
        except ConnectionClosed:
            done = True
            raise self._ending() from None
        finally:
            if not done:
                self._lane.break_off()

    async def ping(self) -> None:
        """Send a ping and wait for its pong. Cancel-safe, but for the few bytes of the ping itself (see `send`).

        trio-websocket's own sleeps on when the connection ends, and remembers a cancelled one for ever.

        Raises:
            ClientSocketClosed: the connection has ended.
        """
        if self._over:
            raise self._ending()
        payload = struct.pack("!I", next(self._numbers) % 2**32)
        self._lane.pings[payload] = pong = trio.Event()
        try:
            await self._lane.send_all(_masked(Opcode.PING, payload))
            await pong.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._ending() from None
        finally:
            del self._lane.pings[payload]
        if self._over:
            raise self._ending()

    def abandon(self) -> None:
        """The server is as good as gone: `close` does not wait for its answer."""
        self._abandoned = True

    def reproach(self, code: int, reason: str) -> None:
        """What the server has sent makes no sense: `close` is to say so, if it is not told otherwise."""
        self._goodbye = code, reason

    async def close(self, code: int | None = None, reason: str = "") -> None:
        """Say goodbye and wait up to 2 s for the answer; what was not received is dropped. Idempotent.

        Args:
            code: by default 1000, or what a `reproach` was made with.
            reason: what is beyond 123 bytes is cut.
        """
        if code is None:
            code, reason = self._goodbye
        judgement = None if self._lane.peer_closed or self._lane.lost else self._judgement()
        if self._left is None and not self._over:
            self._left = code, reason
        self._ready.clear()
        self._lane.leave()
        with trio.move_on_after(CLOSE_SECONDS) as scope:
            self._reader.goodbye = scope
            if judgement is not None:
                await self._send_close(*judgement)
            if self._abandoned or self._reader.ended.is_set():
                await self._lane.aclose()  # no answer can come
            else:
                await self._websocket.aclose(code, reason or None)

    @property
    def _over(self) -> bool:
        """Whether nothing can be sent any more; what has come may still be there to be received."""
        ended = self._lane.inbox.ended or self._reader.ended.is_set()
        return ended or self._left is not None or self._websocket.closed is not None

    async def _receive_slow(self) -> str | bytes:
        """The message that stands next in the slow lane, or the end, of which trio-websocket may not know."""
        lane = self._lane
        if self._left is not None or ((lane.verdict is not None or lane.lost) and not lane.inbox.marked):
            raise self._ending()
        try:
            return await self._websocket.get_message()
        except ConnectionClosed:
            self._lane.finish()
            raise self._ending() from None

    def _ending(self) -> ClientSocketClosed:
        """Who ended it, and why."""
        if self._left is not None:
            return ClientSocketClosed(*self._left)
        closed = self._websocket.closed
        if self._lane.peer_closed and closed is not None and closed.code != _LOST:
            return ClientSocketClosed(closed.code, closed.reason or "")
        if (judgement := self._judgement()) is not None:
            return ClientSocketClosed(*judgement)
        if self._lane.lost or self._reader.failure is None:
            return ClientSocketClosed(_LOST, self._lane.lost)
        return ClientSocketClosed(_LOST, f"{type(self._reader.failure).__name__}: {self._reader.failure}")

    def _judgement(self) -> tuple[int, str] | None:
        """Why this end gave up, if it did: the lane's reason, or what trio-websocket thinks of a frame."""
        if self._lane.verdict is not None:
            return self._lane.verdict
        closed = self._websocket.closed
        if self._left is not None:
            return None
        if closed is not None and closed.code != _LOST:
            return closed.code, f"{_WRONG}: {closed.reason or ''}"
        # trio-websocket judges a fragment that is out of place by its first byte, which may never come.
        return (_BROKEN_PROTOCOL, f"{_WRONG}: a frame that is not allowed there") if self._lane.gave_up else None

    async def _send_close(self, code: int, reason: str) -> None:
        """The close frame that trio-websocket does not send after a frame that it refuses."""
        payload = close_frame(code, reason)[2:]
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it has ended, as was to be told
            await self._lane.send_all(_masked(Opcode.CLOSE, payload))


def _masked(opcode: Opcode, payload: bytes) -> bytes:
    """A client's short control frame."""
    key = os.urandom(4)
    hidden = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes((_FIN | opcode, 0x80 | len(payload))) + key + hidden
