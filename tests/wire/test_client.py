"""The client's socket: it connects, or says in one sentence why not; and it ends in good order."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from wire.peer import accepting

from datafye_trio import Program, ServerConfig, open_server
from datafye_trio.errors import ConnectError
from datafye_trio.server import AccessConfig
from datafye_trio.wire import client as module
from datafye_trio.wire.client import ClientOptions, ClientSocketClosed, open_client

WAIT = 20
CONFIG = ServerConfig(port=0)


@asynccontextmanager
async def listening(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A TCP server that is no server of ours; gives its URL."""
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, serve, [listener])
            yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


async def silent(_: trio.SocketStream) -> None:
    await trio.sleep_forever()


def answering(answer: bytes) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """A server that says this to whatever is asked, and closes."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(answer)

    return serve


async def refused(url: str, **options: Any) -> ConnectError:
    with trio.fail_after(WAIT), pytest.raises(ConnectError) as caught:
        async with open_client(url, ClientOptions(**options)):
            pytest.fail("connected")
    return caught.value


@pytest.mark.parametrize("path", ["", "/stocks/live/quotes?symbols=AAPL,é"])
async def test_messages_go_both_ways_and_the_end_is_a_close_with_1000(path: str) -> None:
    with trio.fail_after(WAIT):
        async with open_server(CONFIG, [Program()]) as server:
            async with open_client(server.url + path) as socket:
                assert json.loads(await socket.receive())["type"] == "connected"
                await socket.send('{"action":"ping","id":7}')
                while json.loads(await socket.receive()).get("id") != 7:
                    pass
            with pytest.raises(ClientSocketClosed, match="closed with 1000"):
                await socket.receive()
            with pytest.raises(ClientSocketClosed, match="closed with 1000"):
                await socket.send("{}")


async def test_a_close_by_the_server_has_its_code_and_reason() -> None:
    with trio.fail_after(WAIT):
        async with open_server(CONFIG, [Program()]) as server, open_client(server.url) as socket:
            for _ in range(20):
                await socket.send("{")
            with pytest.raises(ClientSocketClosed) as closed:
                while True:
                    await socket.receive()
    assert closed.value.code == 4501
    assert str(closed.value) == "closed with 4501: 20 request errors within 10 s"


async def test_what_the_body_raises_leaves_it_bare() -> None:
    with trio.fail_after(WAIT):
        async with open_server(CONFIG, [Program()]) as server:
            with pytest.raises(KeyError, match="mine"):
                async with open_client(server.url):
                    raise KeyError("mine")


async def test_an_interrupt_that_hits_the_reader_is_not_lost() -> None:
    async def interrupted() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    with trio.fail_after(WAIT):
        async with open_server(CONFIG, [Program()]) as server:
            client = open_client(server.url)
            with pytest.RaisesGroup(KeyboardInterrupt):
                async with client:
                    assert client._reader is not None
                    client._reader._nursery.start_soon(interrupted)
                    await trio.sleep_forever()


async def test_cancelling_the_body_still_says_goodbye() -> None:
    """The server's answer to the close frame is read, so the end does not wait for a deadline."""
    with trio.fail_after(WAIT):
        async with open_server(CONFIG, [Program()]) as server:
            with trio.CancelScope() as scope:
                async with open_client(server.url) as socket:
                    await socket.receive()
                    began = trio.current_time()
                    scope.cancel()
                    await trio.sleep_forever()
            assert scope.cancelled_caught
            assert trio.current_time() - began < 1
            with pytest.raises(ClientSocketClosed, match="1000"):
                await socket.receive()


async def test_cancelled_while_connecting() -> None:
    async with listening(silent) as url:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def connect() -> None:
                    async with open_client(url):
                        pytest.fail("connected")

                nursery.start_soon(connect)
                await trio.testing.wait_all_tasks_blocked(0.05)
                scope.cancel()
        assert scope.cancelled_caught


async def test_a_server_that_never_answers() -> None:
    async with listening(silent) as url:
        error = await refused(url, connect_seconds=0.05)
    assert str(error) == f"no answer from {url[5:]} within 0.05 s"
    assert (error.kind, error.retryable) == ("timeout", True)


async def test_a_server_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also: a peer that does not answer our close does not keep us."""
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    silent = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        await stream.send_all(accepting(bytes(request)))
        await silent.wait()

    async with listening(serve) as url:
        async with open_client(url):
            pass
        silent.set()
        async with open_client(url) as socket:
            with pytest.raises(
                ClientSocketClosed, match="^connection lost: the server ended it without a close frame$"
            ):
                await socket.receive()


@pytest.mark.parametrize("answer", [b"220 mail.example.com ESMTP\r\n", b"\x15\x03\x03\0\2", b"HTTP/1.1 20\r\n\r\n"])
async def test_a_peer_that_is_no_websocket_server(answer: bytes) -> None:
    async with listening(answering(answer)) as url:
        error = await refused(url)
    assert str(error) == f"{url[5:]} did not answer as a WebSocket server (does it want wss://?)"
    assert (error.kind, error.retryable) == ("protocol", True)


@pytest.mark.parametrize("accept", ["", "Sec-WebSocket-Accept: YWJj\r\n"])
async def test_a_101_that_is_not_sound(accept: str) -> None:
    head = f"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n"
    async with listening(answering(head.encode())) as url:
        error = await refused(url)
    assert str(error) == f"{url[5:]} answered 101, but not as WebSocket asks for (RFC 6455 section 4.1)"
    assert error.kind == "protocol"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 x\r\nUpgr"])
async def test_a_connection_that_ends_in_the_handshake(answer: bytes) -> None:
    async with listening(answering(answer)) as url:
        error = await refused(url)
    assert str(error).startswith(f"no whole answer from {url[5:]}: the server ended it in the handshake")
    assert (error.kind, error.retryable) == ("reset", True)


async def test_a_connection_that_is_reset_in_the_handshake() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))

    async with listening(serve) as url:
        error = await refused(url)
    assert str(error) == f"no whole answer from {url[5:]}: connection reset by peer (does it want wss://?)"
    assert error.kind == "reset"


async def test_an_http_status_comes_with_its_reason() -> None:
    config = ServerConfig(port=0, access=AccessConfig(deny=("127.0.0.0/8", "::1")))
    async with open_server(CONFIG, [Program()]) as server, open_server(config, [Program()]) as closed:
        error = await refused(server.url + "/x")
        assert "answered HTTP 404: nothing is served at /datafye-ws/v1/x" in str(error)
        assert (error.kind, error.status, error.retryable) == ("status", 404, False)
        error = await refused(closed.url)
        assert "answered HTTP 403: the address 127.0.0.1 is not allowed" in str(error)
        assert (error.status, error.retryable) == (403, False)


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        (b"Content-Length: 0\r\n\r\n", ""),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nlate\r\n2\r\nr!\r\n0\r\n\r\n", ": later!"),
        (b"Content-Length: 10\r\n\r\ncut", ""),
        (b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000, ""),
    ],
)
async def test_a_status_counts_even_where_its_body_does_not_come(rest: bytes, text: str) -> None:
    async with listening(answering(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n" + rest)) as url:
        error = await refused(url)
    assert str(error) == f"{url[5:]} answered HTTP 503{text}"
    assert (error.status, error.retry_after, error.retryable) == (503, 7.0, True)


async def test_a_status_counts_even_where_its_body_is_late() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 429 x\r\nRetry-After: 7\r\nContent-Length: 10\r\n\r\n")
        await trio.sleep_forever()

    async with listening(serve) as url:
        error = await refused(url, connect_seconds=0.05)
    assert (error.kind, error.status, error.retry_after) == ("status", 429, 7.0)


async def test_through_a_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_server(CONFIG, [Program()]) as server:

        async def serve(stream: trio.SocketStream) -> None:
            assert (await stream.receive_some()).startswith(b"CONNECT far.example:80 ")
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as there, trio.open_nursery() as nursery:
                nursery.start_soon(_copy, stream, there)
                await _copy(there, stream)
                nursery.cancel_scope.cancel()

        async with listening(serve) as url:
            monkeypatch.setenv("http_proxy", url.replace("ws://", "http://"))
            monkeypatch.delenv("no_proxy", raising=False)
            async with open_client("ws://far.example/datafye-ws/v1") as socket:
                assert json.loads(await socket.receive())["type"] == "connected"


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    async for data in source:
        await sink.send_all(data)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path: Path) -> ServerConfig:
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return ServerConfig(port=0, cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))


async def test_tls_with_an_authority_of_ones_own(secure: ServerConfig, tmp_path: Path) -> None:
    with trio.fail_after(WAIT):
        async with open_server(secure, [Program()]) as server:
            async with open_client(server.url, ClientOptions(ca=tmp_path / "ca.pem")) as socket:
                assert json.loads(await socket.receive())["type"] == "connected"
            why = str(await refused(server.url))
            untrusted = "unable to get local issuer certificate (name its authority with ca, or --ca)"
            assert why == f"no TLS with localhost:{server.port}: {untrusted}"
            why = str(await refused(f"wss://127.0.0.1:{server.port}", ca=tmp_path / "ca.pem"))
            assert "127.0.0.1" in why.split(": ", 1)[1]
            why = str(await refused(f"ws://localhost:{server.port}"))
            assert why.endswith("answered HTTP 400: this port speaks TLS: write wss://")


async def test_tls_where_none_is_spoken() -> None:
    async with open_server(CONFIG, [Program()]) as server:
        why = str(await refused(server.url.replace("ws://", "wss://")))
    assert why == f"no TLS with localhost:{server.port}: wrong version number (does it speak ws://?)"
