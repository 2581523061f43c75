"""The client's way in: connect, or say in one sentence why not; leave in good order, and within a deadline."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream

from datafye_trio.errors import ConnectError
from datafye_trio.wire.answers import parse_answer, refusal
from datafye_trio.wire.client_socket import CLOSE_SECONDS, ClientSocket, ClientSocketClosed, Reader
from datafye_trio.wire.dialing import ClientOptions, dial, find_route
from datafye_trio.wire.lane import ClientLane

__all__ = ["ClientOptions", "ClientSocket", "ClientSocketClosed", "open_client"]

_QUEUE: Final = 64
"""Messages of the slow lane that wait for their turn in trio-websocket's own queue."""


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
        self._route = find_route(url, self._options)
        self._manager: AbstractAsyncContextManager[trio.Nursery]
        self._nursery: trio.Nursery
        self._reader: Reader | None = None
        self._stream: trio.abc.Stream | None = None
        self._lane: ClientLane | None = None
        self._socket: ClientSocket | None = None

    async def __aenter__(self) -> ClientSocket:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        seconds = self._options.connect_seconds
        try:
            try:
                with trio.fail_after(seconds):
                    self._stream = await dial(self._route)
                    self._socket = await self._upgrade(self._stream)
            except trio.TooSlowError:
                late = ConnectError(f"no answer from {self._route.target.netloc} within {seconds:g} s", kind="timeout")
                raise self._refusal() or late from None
        except BaseException as error:
            await self._leave(error)  # noqa: ASYNC102 -- leaves the nursery: ends when its tasks do
            raise
        return self._socket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._socket is not None  # noqa: S101 -- set by __aenter__
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
            await self._socket.close()
        await self._leave(error)  # noqa: ASYNC102 -- likewise

    async def _upgrade(self, stream: trio.abc.Stream) -> ClientSocket:
        opened: list[WebSocketConnection] = []
        self._lane = lane = ClientLane(stream, self._options.message_bytes)
        self._reader = reader = Reader(self._nursery, lane.finish)

        async def upgrade(racing: trio.CancelScope) -> None:
            opened.append(
                await wrap_client_stream(
                    reader,  # type: ignore[arg-type]  # of a nursery only start_soon is used
                    lane,  # type: ignore[arg-type]  # of a stream only what trio.abc.Stream has
                    self._route.target.netloc,
                    self._route.target.resource,
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
            raise self._refusal() or self._misunderstanding(lane)
        lane.attach(opened[0])
        return ClientSocket(opened[0], lane, reader)

    def _refusal(self) -> ConnectError | None:
        """The error of an HTTP status other than 101, if one has come, even where its body has not."""
        answer = parse_answer(self._lane.head) if self._lane is not None else None
        if answer is None or answer.status == 101:
            return None
        failure = self._reader.failure if self._reader is not None else None
        body = failure.body or b"" if isinstance(failure, ConnectionRejected) else b""
        return refusal(self._route.target.netloc, answer, body)

    def _misunderstanding(self, lane: ClientLane) -> ConnectError:
        """The error where there is no answer, none in HTTP, or a 101 that is not sound."""
        who = self._route.target.netloc
        hint = "" if self._route.target.secure else " (does it want wss://?)"
        if lane.lost and lane.answer_cut:
            return ConnectError(f"no whole answer from {who}: {lane.lost}{hint}", kind="reset")
        if parse_answer(lane.head) is not None:
            text = f"{who} answered 101, but not as WebSocket asks for (RFC 6455 section 4.1)"
            return ConnectError(text, kind="protocol")
        return ConnectError(f"{who} did not answer as a WebSocket server{hint}", kind="protocol")

    async def _leave(self, error: BaseException | None) -> None:
        """Close the transport and leave the nursery; what goes on is the body's own error, bare."""
        if self._reader is not None:
            self._reader.stop()
        if self._stream is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
                await trio.aclose_forcefully(self._stream)
        try:
            await self._manager.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseExceptionGroup as group:
            # What the body raised goes on by itself. The reader raises nothing, but it can be hit by an interrupt.
            _, rest = group.split(lambda one: one is error or isinstance(one, trio.Cancelled))
            if rest is not None:
                raise rest from None
