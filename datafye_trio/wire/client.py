"""The client's end of one WebSocket: connect (or say in one sentence why not), receive in batches, send, close.

trio-websocket does the handshake, control frames, fragments and closes, in one task; `lane` peels plain data frames off
below it. What ends a connection, and the order of the messages before that, is put together here.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from datafye_trio.errors import ConnectError, DatafyeError
from datafye_trio.wire.dialing import ClientOptions, Target, dial, parse_target, tls_context
from datafye_trio.wire.lane import ClientLane

__all__ = ["ClientOptions", "ClientSocket", "ClientSocketClosed", "open_client"]

_CLOSE_SECONDS: Final = 2.0
_QUEUE: Final = 64
"""Messages of the slow lane that wait for their turn in trio-websocket's own queue."""


class ClientSocketClosed(DatafyeError):
    """The connection has ended: closed with `code` and `reason`, by either end, or lost (code 1006)."""

    def __init__(self, code: int, reason: str) -> None:
        what = "connection lost" if code == 1006 else f"closed with {code}"
        super().__init__(f"{what}{f': {reason}' if reason else ''}")
        self.code = code
        self.reason = reason


class _Reader:
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
        self._nursery.start_soon(self._run, reader)

    def stop(self) -> None:
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

    def __init__(self, websocket: WebSocketConnection, lane: ClientLane, reader: _Reader) -> None:
        self._websocket = websocket
        self._lane = lane
        self._reader = reader
        self._left: tuple[int, str] | None = None
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
            await self._lane.send_all(_masked(0x89, payload))
            await pong.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._ending() from None
        finally:
            del self._lane.pings[payload]
        if self._over:
            raise self._ending()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye and wait up to 2 s for the answer; what was not received is dropped. Idempotent."""
        if self._left is None and not self._over:
            self._left = code, reason
        self._lane.leave()
        with trio.move_on_after(_CLOSE_SECONDS) as scope:
            self._reader.goodbye = scope
            await self._websocket.aclose(code, reason or None)

    @property
    def _over(self) -> bool:
        return self._left is not None or self._lane.inbox.ended or self._reader.ended.is_set()

    async def _receive_slow(self) -> str | bytes:
        inbox = self._lane.inbox
        if self._left is not None or (self._lane.verdict is not None and not inbox.marked):
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
        if (verdict := self._lane.verdict) is not None:
            return ClientSocketClosed(verdict.code, verdict.reason)
        closed = self._websocket.closed
        if closed is None or closed.code == 1006:
            failure = self._reader.failure
            return ClientSocketClosed(
                1006, self._lane.lost or (f"{type(failure).__name__}: {failure}" if failure else "")
            )
        reason = closed.reason or ""
        return ClientSocketClosed(closed.code, reason if self._lane.peer_closed else f"the server sent: {reason}")


class open_client(AbstractAsyncContextManager[ClientSocket]):  # noqa: N801 -- reads as the call that it is
    """Connect: `async with open_client("ws://localhost:8080/datafye-ws/v1") as socket`. Closes within 2 s at the end.

    What the body raises leaves it bare, not in an exception group.

    Args:
        url: `ws://` or `wss://`. A name with several addresses (localhost has two) is tried on all of them.
        options: trust, proxy, limits.

    Raises:
        ConfigurationError: the URL or an option cannot be used.
        ConnectError: refused, unknown name, no trust, an HTTP status instead of 101, no answer in time.
    """

    def __init__(self, url: str, options: ClientOptions | None = None) -> None:
        self._options = options or ClientOptions()
        self._target = parse_target(url)
        self._tls = tls_context(self._options) if self._target.secure else None
        self._manager: AbstractAsyncContextManager[trio.Nursery]
        self._nursery: trio.Nursery
        self._reader: _Reader | None = None
        self._stream: trio.abc.Stream | None = None
        self._socket: ClientSocket | None = None

    async def __aenter__(self) -> ClientSocket:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        seconds = self._options.connect_seconds
        try:
            try:
                with trio.fail_after(seconds):
                    self._stream = await dial(self._target, self._options, self._tls)
                    self._socket = await self._upgrade(self._stream)
            except trio.TooSlowError:
                text = f"no answer from {self._target.netloc} within {seconds:g} s"
                raise ConnectError(text, kind="timeout") from None
        except BaseException as error:
            await self._leave(error)  # noqa: ASYNC102 -- leaves the nursery: ends when its tasks do
            raise
        return self._socket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._socket is not None  # noqa: S101 -- set by __aenter__
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            await self._socket.close()
        await self._leave(error)  # noqa: ASYNC102 -- likewise

    async def _upgrade(self, stream: trio.abc.Stream) -> ClientSocket:
        opened: list[WebSocketConnection] = []
        lane = ClientLane(stream, self._options.message_bytes)
        self._reader = reader = _Reader(self._nursery, lane.finish)

        async def upgrade(racing: trio.CancelScope) -> None:
            opened.append(
                await wrap_client_stream(
                    reader,  # type: ignore[arg-type]  # of a nursery only start_soon is used
                    lane,  # type: ignore[arg-type]  # of a stream only what trio.abc.Stream has
                    self._target.netloc,
                    self._target.resource,
                    message_queue_size=_QUEUE,
                    max_message_size=self._options.message_bytes,
                )
            )
            racing.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, nursery.cancel_scope)
            # The library would wait for ever for an answer once its reader has ended.
            await reader.ended.wait()
            nursery.cancel_scope.cancel()
        if not opened:
            raise _refusal(self._target, reader.failure)
        lane.attach(opened[0])
        return ClientSocket(opened[0], lane, reader)

    async def _leave(self, error: BaseException | None) -> None:
        """Close the transport and leave the nursery; what goes on is the body's own error, bare."""
        if self._reader is not None:
            self._reader.stop()
        if self._stream is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
                await trio.aclose_forcefully(self._stream)
        try:
            await self._manager.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseExceptionGroup as group:
            # What the body raised goes on by itself. The reader raises nothing, but it can be hit by an interrupt.
            _, rest = group.split(lambda one: one is error or isinstance(one, trio.Cancelled))
            if rest is not None:
                raise rest from None


def _refusal(target: Target, failure: Exception | None) -> ConnectError:
    if not isinstance(failure, ConnectionRejected):
        text = f"{target.netloc} did not answer as a WebSocket server (does it want wss://?)"
        return ConnectError(text, kind="protocol")
    body = (failure.body or b"").decode("utf-8", "replace").strip()
    status = failure.status_code
    text = f"{target.netloc} answered HTTP {status}{f': {body}' if body else ''}"
    retryable = status >= 500 or status in (408, 425, 429)
    return ConnectError(text, kind="status", status=status, retryable=retryable)


def _masked(first: int, payload: bytes) -> bytes:
    """A client's short control frame."""
    key = os.urandom(4)
    return bytes((first, 0x80 | len(payload))) + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
