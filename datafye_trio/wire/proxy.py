"""HTTP proxies: which one to use, and a tunnel through it (CONNECT), for `ws://` and `wss://` alike."""

from __future__ import annotations

import base64
import ipaddress
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
import h11
import trio

from datafye_trio.errors import ConfigurationError, ConnectError
from datafye_trio.wire.answers import answer_of, first_line, is_retryable

__all__ = ["Proxy", "find_proxy", "open_tunnel"]

_READ: Final = 4096


@attrs.frozen
class Proxy:
    """Where an HTTP proxy listens, and who we are there."""

    host: str
    port: int
    authorization: str | None = attrs.field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Host and port, without the password."""
        return f"{self.host}:{self.port}"


def find_proxy(wanted: str | None, secure: bool, host: str, port: int) -> Proxy | None:
    """The proxy on the way to `host`; None for none. This machine itself is never reached through one.

    Args:
        wanted: `environment`, None, or `http://[USER:PASSWORD@]HOST:PORT`.
        secure: whether TLS is spoken with the host: `https_proxy` holds then, else `http_proxy`; else `all_proxy`.
        host: whom to reach; `no_proxy` may name it.
        port: likewise.

    Raises:
        ConfigurationError: it is no HTTP proxy.
    """
    if wanted != "environment":
        return _parse(wanted, "proxy") if wanted is not None else None
    proxies = getproxies()
    names = "https" if secure else "http", "all"
    found = next((name for name in names if proxies.get(name)), None)
    if found is None or _is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    return _parse(proxies[found], f"{found}_proxy")


def _parse(url: str, where: str) -> Proxy:
    # Never show the URL: there may be a password in it.
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{where} is no URL of a proxy: {error}") from None
    if parts.scheme != "http":
        raise ConfigurationError(f"{where}: a {parts.scheme}:// proxy is not supported, only http://HOST:PORT")
    if not host or port == 0:
        raise ConfigurationError(f"{where} is no URL of a proxy: write http://HOST:PORT")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host, port or 80, authorization)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def open_tunnel(stream: trio.abc.Stream, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy at the other end of `stream` to connect us with `host`; the stream leads there afterwards.

    Raises:
        ConnectError: of kind proxy; with the status, where it answers with one.
    """
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", authority)]
    if proxy.authorization is not None:
        headers.append(("Proxy-Authorization", proxy.authorization))
    connection = h11.Connection(h11.CLIENT)
    request = connection.send(h11.Request(method="CONNECT", target=authority, headers=headers))
    try:
        await stream.send_all(request or b"")
        response = await _response(stream, connection)
    except h11.RemoteProtocolError as error:
        raise ConnectError(f"the proxy {proxy.name} does not speak HTTP: {error}", kind="proxy") from None
    except trio.BrokenResourceError:
        raise ConnectError(f"the proxy {proxy.name} ended the connection without an answer", kind="proxy") from None
    if not 200 <= response.status_code < 300:
        answer, reason = answer_of(response), first_line(response.reason.decode("latin-1"))
        raise ConnectError(
            f"the proxy {proxy.name} does not connect us with {authority}: HTTP {answer.status} {reason}".rstrip(),
            kind="proxy",
            status=answer.status,
            retry_after=answer.retry_after,
            retryable=is_retryable(answer.status),
        )
    if connection.trailing_data[0]:
        # A server never speaks first, neither in TLS nor in WebSocket.
        raise ConnectError(f"the proxy {proxy.name} sent data that nobody asked for", kind="proxy")


async def _response(stream: trio.abc.Stream, connection: h11.Connection) -> h11.Response:
    while not isinstance(event := connection.next_event(), h11.Response):
        if event is h11.NEED_DATA:
            if not (data := bytes(await stream.receive_some(_READ))):
                raise trio.BrokenResourceError("the end came first")
            connection.receive_data(data)
    return event
