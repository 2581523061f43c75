"""From a URL to a stream on which WebSocket can be spoken: TCP or a proxy's tunnel, and TLS; else why not."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import attrs
import trio

from datafye_trio.errors import ConfigurationError, ConnectError

__all__ = ["ClientOptions", "Target", "dial", "parse_target"]

_NETLOC: Final = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_URL_SAFE: Final = "/%:@!$&'()*+,;=~"


@attrs.frozen
class ClientOptions:
    """How to connect.

    Attributes:
        ssl_context: for `wss://`, in place of the default one, which verifies.
        ca: a PEM file with the authorities to trust instead of the system's.
        proxy: `environment` reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`; None uses no proxy;
            else `http://HOST:PORT`.
        connect_seconds: for everything up to the server's 101.
        message_bytes: the largest message taken.
        open_stream: opens a transport in place of TCP (tests, memory); no TLS and no proxy then.
    """

    ssl_context: ssl.SSLContext | None = None
    ca: Path | None = None
    proxy: str | None = "environment"
    connect_seconds: float = 10.0
    message_bytes: int = 16 * 2**20
    open_stream: Callable[[], Awaitable[trio.abc.Stream]] | None = None


@attrs.frozen
class Target:
    """A URL, taken apart. `netloc` is as written, for the Host header and for people."""

    secure: bool
    netloc: str
    host: str
    port: int
    resource: str


def parse_target(url: str) -> Target:
    """Take a `ws://` or `wss://` URL apart.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port  # raises where it is no number
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise ConfigurationError(f"{url!r} is no WebSocket URL: write ws://HOST:PORT/PATH, or wss:// for TLS")
    if not _NETLOC.fullmatch(parts.netloc) or port == 0:
        raise ConfigurationError(f"{url!r}: only a plain ASCII host name with an optional port is understood")
    resource = quote(parts.path or "/", safe=_URL_SAFE)
    if parts.query:
        resource += "?" + quote(parts.query, safe=_URL_SAFE + "?")
    secure = parts.scheme == "wss"
    return Target(secure, parts.netloc, host, port or (443 if secure else 80), resource)


def tls_context(options: ClientOptions) -> ssl.SSLContext:
    """What to speak TLS with.

    Raises:
        ConfigurationError: the authorities cannot be read.
    """
    if options.ssl_context is not None:
        return options.ssl_context
    try:
        return ssl.create_default_context(cafile=options.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use the authorities in {options.ca}: {error.strerror or error}") from None


async def dial(target: Target, options: ClientOptions, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """Open a transport to the target; `tls` where the URL wants it. Cancel-safe: nothing stays open.

    Raises:
        ConnectError: of kind resolve, refused, proxy, reset or tls.
    """
    if options.open_stream is not None:
        return await options.open_stream()
    stream: trio.abc.Stream = await _open_tcp(target.host, target.port, target.netloc)
    if tls is None:
        return stream
    return await _secure(stream, tls, target)


async def _open_tcp(host: str, port: int, name: str) -> trio.SocketStream:
    try:
        return await trio.open_tcp_stream(host, port)
    except OSError as error:
        found = _first(error)
        # Resolver errors have numbers of their own, and a text that says all.
        unknown = isinstance(found, socket.gaierror)
        text = found.strerror or str(found) if unknown or not found.errno else os.strerror(found.errno)
        raise ConnectError(f"cannot connect to {name}: {text}", kind="resolve" if unknown else "refused") from None


async def _secure(stream: trio.abc.Stream, tls: ssl.SSLContext, target: Target) -> trio.SSLStream[trio.abc.Stream]:
    secured = trio.SSLStream(stream, tls, server_hostname=target.host, https_compatible=True)
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise _tls_error(error.__cause__, target) from None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


def _tls_error(cause: BaseException | None, target: Target) -> ConnectError:
    why = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "the connection was lost"
    plain = " (does it speak ws://?)" if why == "WRONG_VERSION_NUMBER" else ""
    return ConnectError(
        f"no TLS with {target.netloc}: {why.replace('_', ' ').lower()}{plain}",
        kind="tls",
        retryable=not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError),
    )


def _first(error: OSError) -> OSError:
    """Trio says "all attempts failed"; what happened at the first address stands in the cause."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause if isinstance(cause, OSError) else error
