"""The client's end of one WebSocket, for `watch`: connect (or say in one sentence why not), receive, send, close."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from datafye_trio.errors import ConfigurationError, DatafyeError

__all__ = ["ClientSocket", "ClientSocketClosed", "ConnectError", "open_client"]

_NETLOC: Final = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_URL_SAFE: Final = "/%:@!$&'()*+,;=~"
_CONNECT_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0
_READ: Final = 64 * 1024
_MESSAGE_BYTES: Final = 16 * 2**20
_QUEUE: Final = 64
"""Messages between trio-websocket's reader and ours, so that the two tasks need not alternate at each message."""


class ConnectError(DatafyeError):
    """There is no connection; the text is one sentence that says why."""


class ClientSocketClosed(DatafyeError):
    """The server has closed, with `code` and `reason`, or the connection was lost (code 1006)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code}{f': {reason}' if reason else ''}" if code != 1006 else "connection lost")
        self.code = code
        self.reason = reason


class _Reader:
    """Where trio-websocket starts its reading task, in place of a nursery. Two things are wanted of that task:

    - what it raises (a rejection by the server above all) is kept here, and does not end the nursery;
    - cancelling the body must leave it alive: it reads the answer to our close frame. Hence the shield; `stop` ends
      it, and `open_client` always comes to that, by a deadline of its own.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.ended = trio.Event()
        self.failure: Exception | None = None
        self._nursery = nursery
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


class ClientSocket:
    """An open connection."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes:
        """The next message. Cancel-safe.

        Raises:
            ClientSocketClosed: there will be none.
        """
        try:
            return await self._websocket.get_message()
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def send(self, message: str) -> None:
        """Send a text message. Not cancel-safe: a cancelled one ends the connection.

        Raises:
            ClientSocketClosed: the connection has ended.
        """
        try:
            await self._websocket.send_message(message)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def close(self) -> None:
        """Say goodbye with 1000 and wait for the answer. Idempotent."""
        await self._websocket.aclose()


class open_client(AbstractAsyncContextManager[ClientSocket]):  # noqa: N801 -- reads as the call that it is
    """Connect: `async with open_client("ws://localhost:8080/datafye-ws/v1") as socket`. Closes within 2 s at the end.

    What the body raises leaves it bare, not in an exception group.

    Args:
        url: `ws://` or `wss://`. A name with several addresses (localhost has two) is tried on all of them.
        ca: a PEM file with the authorities to trust instead of the system's.

    Raises:
        ConfigurationError: the URL or the file cannot be used.
        ConnectError: refused, unknown name, no trust, an HTTP status instead of 101, no answer within 10 s.
    """

    def __init__(self, url: str, *, ca: Path | None = None) -> None:
        self._url = _parse(url)
        self._tls = _tls(ca) if self._url.scheme == "wss" else None
        self._manager: AbstractAsyncContextManager[trio.Nursery]
        self._reader: _Reader | None = None
        self._stream: trio.abc.Stream | None = None
        self._socket: ClientSocket | None = None

    async def __aenter__(self) -> ClientSocket:
        self._manager = trio.open_nursery()
        self._reader = _Reader(await self._manager.__aenter__())
        try:
            try:
                with trio.fail_after(_CONNECT_SECONDS):
                    self._socket = await self._connect(self._reader)
            except trio.TooSlowError:
                raise ConnectError(f"no answer from {self._url.netloc} within {_CONNECT_SECONDS:g} s") from None
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

    async def _connect(self, reader: _Reader) -> ClientSocket:
        host, port = self._url.hostname or "", self._url.port or (443 if self._tls else 80)
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise ConnectError(f"cannot connect to {self._url.netloc}: {_why(error)}") from None
        self._stream = stream
        if self._tls is not None:
            self._stream = stream = await self._shake_hands(stream, self._tls, host)
        resource = quote(self._url.path or "/", safe=_URL_SAFE)
        if self._url.query:
            resource += "?" + quote(self._url.query, safe=_URL_SAFE + "?")
        return ClientSocket(await self._upgrade(reader, stream, resource))

    async def _shake_hands(
        self, stream: trio.abc.Stream, tls: ssl.SSLContext, host: str
    ) -> trio.SSLStream[trio.abc.Stream]:
        secured = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            why = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "the connection was lost"
            plain = " (does it speak ws://?)" if why == "WRONG_VERSION_NUMBER" else ""
            raise ConnectError(f"no TLS with {self._url.netloc}: {why.replace('_', ' ').lower()}{plain}") from None
        return secured

    async def _upgrade(self, reader: _Reader, stream: trio.abc.Stream, resource: str) -> WebSocketConnection:
        opened: list[WebSocketConnection] = []

        async def upgrade(racing: trio.CancelScope) -> None:
            opened.append(
                await wrap_client_stream(
                    reader,  # type: ignore[arg-type]  # of a nursery only start_soon is used
                    stream,  # type: ignore[arg-type]  # of a stream only what trio.abc.Stream has
                    self._url.netloc,
                    resource,
                    message_queue_size=_QUEUE,
                    max_message_size=_MESSAGE_BYTES,
                    receive_buffer_size=_READ,
                )
            )
            racing.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, nursery.cancel_scope)
            # The library would wait for ever for an answer once its reader has ended.
            await reader.ended.wait()
            nursery.cancel_scope.cancel()
        if not opened:
            raise ConnectError(self._explain(reader.failure))
        return opened[0]

    def _explain(self, failure: Exception | None) -> str:
        if not isinstance(failure, ConnectionRejected):
            return f"{self._url.netloc} did not answer as a WebSocket server (does it want wss://?)"
        body = (failure.body or b"").decode("utf-8", "replace").strip()
        return f"{self._url.netloc} answered HTTP {failure.status_code}{f': {body}' if body else ''}"

    async def _leave(self, error: BaseException | None) -> None:
        """Close the transport and leave the nursery; what goes on is the body's own error, bare."""
        assert self._reader is not None  # noqa: S101 -- set by __aenter__
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


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port  # raises where it is no number
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise ConfigurationError(f"{url!r} is no WebSocket URL: write ws://HOST:PORT/PATH, or wss:// for TLS")
    if not _NETLOC.fullmatch(parts.netloc) or port == 0:
        raise ConfigurationError(f"{url!r}: only a plain ASCII host name with an optional port is understood")
    return parts


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use the authorities in {ca}: {error.strerror or error}") from None


def _why(error: OSError) -> str:
    """Trio says "all attempts failed"; what happened at the first address stands in the cause."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    found = cause if isinstance(cause, OSError) else error
    # Resolver errors have numbers of their own, and a text that says all.
    if isinstance(found, socket.gaierror) or not found.errno:
        return found.strerror or str(found)
    return os.strerror(found.errno)


def _closed(closed: ConnectionClosed) -> ClientSocketClosed:
    reason = closed.reason
    return ClientSocketClosed(1006, "") if reason is None else ClientSocketClosed(reason.code, reason.reason or "")
