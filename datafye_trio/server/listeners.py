"""Sockets to listen on, and TLS."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from datafye_trio.errors import ConfigurationError
from datafye_trio.server.config import ServerConfig
from datafye_trio.wire import MeteredStream

__all__ = ["open_listeners", "tls_context", "tls_failure", "tls_over"]

_BOTH: Final = {"localhost": ("127.0.0.1", "::1"), "::": ("0.0.0.0", "::")}  # noqa: S104 -- whoever asks for it
"""Hosts that mean IPv4 and IPv6. Trio's `::` is IPv6 alone, which nobody else means by it."""
_TRIES: Final = 20


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on every address of a host; `localhost` and `::` are of IPv4 and of IPv6, on one port for both.

    Raises:
        ConfigurationError: the port is in use, or the host is none of this machine's.
    """
    try:
        if host in _BOTH:
            return await _open_both(*_BOTH[host], port)
        return list(await trio.open_tcp_listeners(port, host=host))
    except UnicodeError:
        raise ConfigurationError(f"cannot listen on {host[:100]}: that is no host name") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"port {port} of {host} is in use: choose another, or 0 for any") from None
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


async def _open_both(four: str, six: str, port: int) -> list[trio.SocketListener]:
    for _ in range(_TRIES):
        listeners = list(await trio.open_tcp_listeners(port, host=four))
        chosen = listeners[0].socket.getsockname()[1]
        try:
            return listeners + list(await trio.open_tcp_listeners(chosen, host=six))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return listeners  # no IPv6 on this machine
            for listener in listeners:
                await listener.aclose()
            if port:
                raise
    raise OSError(errno.EADDRINUSE, f"no port is free on both {four} and {six}")


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """The TLS settings of a server with a certificate: 1.2 or newer, no renegotiation. None without one.

    Raises:
        ConfigurationError: the files cannot be used.
    """
    if config.cert is None or config.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(config.cert, config.key, password=_no_password)
    except (OSError, ValueError) as error:  # OpenSSL's errors are of the first kind; a path with a NUL is of the second
        raise ConfigurationError(f"cannot use cert {config.cert} with key {config.key}: {error}") from None
    return context


def _no_password() -> str:
    # Without this, OpenSSL asks for it on the terminal, and everything waits for the answer.
    raise ConfigurationError("the key is encrypted: give one that is not (openssl pkey -in KEY -out PLAIN)")


@contextmanager
def tls_over(stream: trio.abc.Stream, context: ssl.SSLContext | None) -> Iterator[trio.abc.Stream]:
    """What is to be spoken on: TLS over a transport, or without a context the transport; not to be used afterwards.

    Its end frees it. Trio's stream refers to itself, and what OpenSSL holds for it (17 KiB before a handshake) would
    wait for the garbage collector, which counts objects and not bytes: 8,000 strangers who came and left took 130 MiB.
    """
    if context is None:
        yield stream
        return
    secured = trio.SSLStream(MeteredStream(stream), context, server_side=True, https_compatible=True)
    try:
        yield secured
    finally:
        vars(secured).clear()


def tls_failure(error: BaseException) -> str | None:
    """Why a handshake of TLS failed, in OpenSSL's words; None where the peer just left.

    Not where it is caught: there, a name for the cause would be part of a cycle with what OpenSSL holds for the peer.
    """
    why = error.__cause__
    if not isinstance(why, ssl.SSLError) or isinstance(why, ssl.SSLEOFError):
        return None
    return (why.reason or "unknown").replace("_", " ").lower()
