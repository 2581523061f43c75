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

from datafye_trio.errors import ConfigurationError, ConnectError, ServerClosedError
from datafye_trio.wire.proxy import Proxy, find_proxy, open_tunnel

__all__ = ["ClientOptions", "Route", "Target", "dial", "find_route", "parse_target"]

_NETLOC: Final = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_UNKNOWN_ISSUERS: Final = frozenset({2, 18, 19, 20, 21})
"""Codes of OpenSSL: another authority might vouch for it. For an old certificate, or one of another name, none can."""
_URL_SAFE: Final = "/%:@!$&'()*+,;=~"


@attrs.frozen
class ClientOptions:
    """How to connect.

    Attributes:
        ssl_context: for `wss://`, in place of the default one, which verifies.
        ca: a PEM file with the authorities to trust instead of the system's.
        proxy: `environment` reads `http_proxy` (for `ws://`), `https_proxy` (for `wss://`), `all_proxy` and `no_proxy`,
            and goes to this machine itself without; None uses no proxy; else `http://[USER:PASSWORD@]HOST:PORT`.
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
    if not url.isprintable():  # unpaired surrogates above all, which cannot be quoted below
        raise ConfigurationError(f"{url!r} is no URL: it has control characters, or what is no text")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port  # raises where it is no number
        (host or "").encode("idna")  # as the resolver will; a label too long or empty
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


@attrs.frozen
class Route:
    """How a target is reached. `tls` is None where it is spoken to in the clear, `proxy` where no proxy is used."""

    target: Target
    tls: ssl.SSLContext | None
    proxy: Proxy | None
    open_stream: Callable[[], Awaitable[trio.abc.Stream]] | None


def find_route(url: str, options: ClientOptions) -> Route:
    """Decide everything that needs no network.

    Raises:
        ConfigurationError: the URL, the authorities or the proxy cannot be used.
    """
    target = parse_target(url)
    if options.open_stream is not None:
        return Route(target, None, None, options.open_stream)
    proxy = find_proxy(options.proxy, target.secure, target.host, target.port)
    return Route(target, _tls_context(options) if target.secure else None, proxy, None)


async def dial(route: Route) -> trio.abc.Stream:
    """Open a transport to the target. Cancel-safe: nothing stays open then.

    Raises:
        ConnectError: of kind resolve, refused, proxy or tls.
    """
    if route.open_stream is not None:
        try:
            return await route.open_stream()
        except (OSError, trio.BrokenResourceError, ServerClosedError) as error:
            raise ConnectError(f"cannot connect to {route.target.netloc}: {error}", kind="refused") from None
    stream = await _reach(route.target, route.proxy)
    try:
        if route.proxy is not None:
            await open_tunnel(stream, route.proxy, route.target.host, route.target.port)
        if route.tls is None:
            return stream
        return await _secure(stream, route.tls, route.target)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


def _tls_context(options: ClientOptions) -> ssl.SSLContext:
    if options.ssl_context is not None:
        return options.ssl_context
    try:
        return ssl.create_default_context(cafile=options.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use the authorities in {options.ca}: {error.strerror or error}") from None


async def _reach(target: Target, proxy: Proxy | None) -> trio.abc.Stream:
    try:
        if proxy is not None:
            return await trio.open_tcp_stream(proxy.host, proxy.port)
        return await trio.open_tcp_stream(target.host, target.port)
    except OSError as error:
        found = _first(error)
    # Resolver errors have numbers of their own, and a text that says all.
    unknown = isinstance(found, socket.gaierror)
    text = found.strerror or str(found) if unknown or not found.errno else os.strerror(found.errno)
    if proxy is not None:
        raise ConnectError(f"cannot connect to the proxy {proxy.name}: {text}", kind="proxy")
    raise ConnectError(f"cannot connect to {target.netloc}: {text}", kind="resolve" if unknown else "refused")


async def _secure(stream: trio.abc.Stream, tls: ssl.SSLContext, target: Target) -> trio.abc.Stream:
    secured = trio.SSLStream(stream, tls, server_hostname=target.host, https_compatible=True)
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
    else:
        return secured
    why = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "the connection was lost"
    plain, untrusted = why == "WRONG_VERSION_NUMBER", isinstance(cause, ssl.SSLCertVerificationError)
    unknown = getattr(cause, "verify_code", 0) in _UNKNOWN_ISSUERS
    hint = " (does it speak ws://?)" if plain else " (name its authority with ca, or --ca)" if unknown else ""
    text = f"no TLS with {target.netloc}: {why.replace('_', ' ').lower()}{hint}"
    raise ConnectError(text, kind="tls", retryable=not (plain or untrusted))


def _first(error: OSError) -> OSError:
    """Trio says "all attempts failed"; what happened at the first address stands in the cause."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause if isinstance(cause, OSError) else error
