"""From a URL to a stream: what is no URL, names and ports, proxies on the way, TLS, and the sentence why not."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from datafye_trio.errors import ConfigurationError, ConnectError, ServerClosedError
from datafye_trio.wire import ClientOptions, memory_transport
from datafye_trio.wire.dialing import dial, find_route, parse_target

WAIT = 20


@asynccontextmanager
async def listening(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A TCP server; gives its port."""
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, serve, [listener])
            yield listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


async def failure(url: str, **options: Any) -> ConnectError:
    with trio.fail_after(WAIT), pytest.raises(ConnectError) as caught:
        await dial(find_route(url, ClientOptions(**{"proxy": None} | options)))
    return caught.value


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ws://a", (False, "a", "a", 80, "/")),
        ("wss://A.b:1/x/y?z=1&q=ä b", (True, "A.b:1", "a.b", 1, "/x/y?z=1&q=%C3%A4%20b")),
        ("wss://[::1]", (True, "[::1]", "::1", 443, "/")),
        ("ws://a/%20/ü", (False, "a", "a", 80, "/%20/%C3%BC")),
    ],
)
def test_a_url(url: str, found: tuple[bool, str, str, int, str]) -> None:
    target = parse_target(url)
    assert (target.secure, target.netloc, target.host, target.port, target.resource) == found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a:80",
        "http://a",
        "ws://",
        "ws://a:b",
        "ws://a:0",
        "ws://[::1",
        "ws://u@a",
        "ws://u:p@a",
        "ws://é",
        "ws://a..b",
        "ws://a b",
        "ws://a/\udcfe",  # no text, and cannot be quoted: was a UnicodeEncodeError
        "ws://a/x?\udcca",
    ],
)
def test_what_is_no_url_of_a_websocket(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL|host name"):
        find_route(url, ClientOptions())


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigurationError, match=rf"^cannot use the authorities in .*{name}: "):
            find_route("wss://localhost", ClientOptions(ca=tmp_path / name))


def test_tls_verifies_unless_told_otherwise() -> None:
    tls = find_route("wss://localhost", ClientOptions()).tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    mine = ssl.create_default_context()
    assert find_route("wss://localhost", ClientOptions(ssl_context=mine)).tls is mine
    assert find_route("ws://localhost", ClientOptions(ssl_context=mine)).tls is None


async def test_a_transport_of_ones_own_knows_no_tls_and_no_proxy() -> None:
    ours, _ = memory_transport()

    async def transport() -> trio.abc.Stream:
        return ours

    route = find_route("wss://far.example", ClientOptions(open_stream=transport, proxy="http://p:1"))
    assert (route.tls, route.proxy) == (None, None)
    assert await dial(route) is ours


@pytest.mark.parametrize("error", [OSError("no"), trio.BrokenResourceError("no"), ServerClosedError("no")])
async def test_a_transport_of_ones_own_that_fails(error: Exception) -> None:
    async def transport() -> trio.abc.Stream:
        raise error

    refused = await failure("ws://x", open_stream=transport)
    assert (str(refused), refused.kind, refused.retryable) == ("cannot connect to x: no", "refused", True)


async def closed_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    await listener.aclose()
    return port


async def test_nobody_listens() -> None:
    port = await closed_port()
    for host in ("127.0.0.1", "localhost"):
        error = await failure(f"ws://{host}:{port}")
        assert str(error) == f"cannot connect to {host}:{port}: Connection refused"
        assert (error.kind, error.retryable) == ("refused", True)


async def test_an_unknown_name() -> None:
    error = await failure("ws://nowhere.invalid")
    assert str(error).startswith("cannot connect to nowhere.invalid: ")
    assert (error.kind, error.retryable) == ("resolve", True)


async def test_nobody_listens_where_the_proxy_should_be() -> None:
    port = await closed_port()
    error = await failure("ws://far.example", proxy=f"http://user:secret@127.0.0.1:{port}")
    assert str(error) == f"cannot connect to the proxy 127.0.0.1:{port}: Connection refused"
    assert (error.kind, error.retryable) == ("proxy", True)


async def test_a_proxy_that_refuses_and_is_left() -> None:
    ended = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        assert await stream.receive_some() == b""
        ended.set()

    async with listening(serve) as port:
        error = await failure("ws://far.example", proxy=f"http://127.0.0.1:{port}")
        assert (error.kind, error.status, error.retryable) == ("proxy", 407, False)
        await ended.wait()


def tls_server(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls_through_a_proxy() -> None:
    """The certificate is the host's, whom only the proxy can find."""
    authority = trustme.CA()
    asked: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        asked.append(bytes(await stream.receive_some()))
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        secured = trio.SSLStream(stream, tls_server(authority, "far.example"), server_side=True)
        await secured.send_all(b"hello")
        await stream.receive_some()

    async with listening(serve) as port:
        options = ClientOptions(ssl_context=trusting(authority), proxy=f"http://127.0.0.1:{port}")
        stream = await dial(find_route("wss://far.example", options))
        assert await stream.receive_some() == b"hello"
        await stream.aclose()
    assert asked[0].startswith(b"CONNECT far.example:443 HTTP/1.1\r\n")


@pytest.mark.parametrize(("trusted", "name"), [(False, "localhost"), (True, "elsewhere.example")])
async def test_no_trust(trusted: bool, name: str) -> None:
    authority = trustme.CA()

    async def serve(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, tls_server(authority, name), server_side=True)
        with pytest.raises(trio.BrokenResourceError):
            await secured.do_handshake()
            await secured.receive_some()

    async with listening(serve) as port:
        context = trusting(authority) if trusted else None
        error = await failure(f"wss://localhost:{port}", ssl_context=context)
    wanted = (
        "hostname mismatch, certificate is not valid for 'localhost'."  # no authority could help
        if trusted
        else "unable to get local issuer certificate (name its authority with ca, or --ca)"
    )
    assert str(error) == f"no TLS with localhost:{port}: {wanted}"
    assert (error.kind, error.retryable) == ("tls", False)


async def test_tls_where_none_is_spoken() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(serve) as port:
        error = await failure(f"wss://localhost:{port}")
    assert str(error) == f"no TLS with localhost:{port}: wrong version number (does it speak ws://?)"
    assert (error.kind, error.retryable) == ("tls", False)


async def test_tls_that_is_lost() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with listening(serve) as port:
        error = await failure(f"wss://localhost:{port}")
    assert str(error).startswith(f"no TLS with localhost:{port}: ")
    assert (error.kind, error.retryable) == ("tls", True)


async def test_cancelled_in_the_tls_handshake_nothing_stays_open() -> None:
    ended = trio.Event()
    scope = trio.CancelScope()

    async def serve(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            scope.cancel()
        ended.set()

    async with listening(serve) as port:
        with scope:
            await dial(find_route(f"wss://localhost:{port}", ClientOptions(proxy=None)))
        assert scope.cancelled_caught
        await ended.wait()
