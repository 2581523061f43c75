"""The client's socket: it connects, or says in one sentence why not; and it ends in good order."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from datafye_trio import Program, ServerConfig, open_server
from datafye_trio.errors import ConfigurationError, ConnectError
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


async def failure(url: str, ca: Path | None = None, *, seconds: float = 10) -> str:
    with trio.fail_after(WAIT), pytest.raises(ConnectError) as caught:
        async with open_client(url, ClientOptions(ca=ca, connect_seconds=seconds)):
            pytest.fail("connected")
    return str(caught.value)


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
        assert await failure(url, seconds=0.05) == f"no answer from {url[5:]} within 0.05 s"


async def test_a_server_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also: a peer that does not answer our close does not keep us."""
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.05)
    silent = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        await stream.send_all(_accepting(request))
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


def _accepting(request: bytes | bytearray) -> bytes:
    key = next(line for line in request.decode().split("\r\n") if line.lower().startswith("sec-websocket-key"))
    digest = hashlib.sha1(key.split(":")[1].strip().encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    head = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return f"{head}{base64.b64encode(digest).decode()}\r\n\r\n".encode()


@pytest.mark.parametrize("answer", [b"220 mail.example.com ESMTP\r\n", b"\x15\x03\x03\0\2"])
async def test_a_peer_that_is_no_websocket_server(answer: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    async with listening(serve) as url:
        assert await failure(url) == f"{url[5:]} did not answer as a WebSocket server (does it want wss://?)"


async def test_an_http_status_comes_with_its_reason() -> None:
    config = ServerConfig(port=0, access=AccessConfig(deny=("127.0.0.0/8", "::1")))
    async with open_server(CONFIG, [Program()]) as server, open_server(config, [Program()]) as closed:
        assert "answered HTTP 404: nothing is served at /datafye-ws/v1/x" in await failure(server.url + "/x")
        assert "answered HTTP 403: the address 127.0.0.1 is not allowed" in await failure(closed.url)


async def test_an_http_status_without_a_body() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    async with listening(serve) as url:
        assert await failure(url) == f"{url[5:]} answered HTTP 502"


async def test_nobody_listens() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    for host in ("127.0.0.1", "localhost"):
        assert await failure(f"ws://{host}:{port}") == f"cannot connect to {host}:{port}: Connection refused"


async def test_an_unknown_name() -> None:
    assert (await failure("ws://nowhere.invalid")).startswith("cannot connect to nowhere.invalid: ")


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
            why = await failure(server.url)
            assert why == f"no TLS with localhost:{server.port}: unable to get local issuer certificate"
            why = await failure(f"wss://127.0.0.1:{server.port}", tmp_path / "ca.pem")
            assert "127.0.0.1" in why.split(": ", 1)[1]
            why = await failure(f"ws://localhost:{server.port}")
            assert why.endswith("the server ended it in the handshake (does it want wss://?)")


async def test_tls_where_none_is_spoken() -> None:
    async with open_server(CONFIG, [Program()]) as server:
        why = await failure(server.url.replace("ws://", "wss://"))
    assert why == f"no TLS with localhost:{server.port}: wrong version number (does it speak ws://?)"


async def test_tls_that_ends_at_once() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with listening(serve) as url:
        assert (await failure(url.replace("ws://", "wss://"))).startswith(f"no TLS with {url[5:]}: ")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "http://localhost",
        "ws://",
        "ws://a:b",
        "ws://a:0",
        "ws://[::1",
        "ws://u@a",
        "ws://é",
        "ws://a b",
    ],
)
def test_what_is_no_url_of_a_websocket(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL|host name"):
        open_client(url)


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigurationError, match=rf"^cannot use the authorities in .*{name}: "):
            open_client("wss://localhost", ClientOptions(ca=tmp_path / name))
