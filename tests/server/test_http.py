"""What `curl` sees: every HTTP answer of protocol.md section 1, over sockets and in memory."""

from __future__ import annotations

import json
import shutil
import subprocess
from ipaddress import ip_address

import pytest
import trio
from support import RawClient, memory_server, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import AccessConfig, ConnectionLimits, Program, ServerConfig, SourceError, open_server

WS = "/datafye-ws/v1/stocks/live/quotes"
GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"

ANSWERS = {
    "health": (GET.format("/health", ""), 200, {"content-type": "application/json; charset=utf-8"}),
    "unknown path": (GET.format("/nothing", ""), 404, {}),
    "metrics come later": (GET.format("/metrics", ""), 404, {}),
    "websocket for an unknown path": (upgrade_head("/datafye-ws/v1/bonds/live").decode(), 404, {}),
    "websocket for /health": (upgrade_head("/health").decode(), 404, {}),
    "dots": (upgrade_head("/datafye-ws/v1/../v1").decode(), 404, {}),
    "percent": (upgrade_head("/datafye-ws/v1/%73tream").decode(), 404, {}),
    "double slash": (upgrade_head("/datafye-ws/v1//stream").decode(), 404, {}),
    "plain GET on a WebSocket path": (GET.format(WS, ""), 426, {"upgrade": "websocket"}),
    "version 8": (
        upgrade_head(WS).decode().replace("Version: 13", "Version: 8"), 426, {"sec-websocket-version": "13"},
    ),
    "no key": (upgrade_head(WS).decode().replace("Sec-WebSocket-Key", "X-Key"), 400, {}),
    "short key": (upgrade_head(WS).decode().replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400, {}),
    "no Connection": (upgrade_head(WS).decode().replace("Connection: Upgrade", "Connection: close"), 400, {}),
    "bad query": (upgrade_head(WS + "?symbols").decode(), 400, {}),
    "a parameter twice": (upgrade_head(WS + "?symbols=A&symbols=B").decode(), 400, {}),
    "early data": (upgrade_head(WS).decode() + "\x01early", 400, {}),
    "a body": (GET.format("/health", "Content-Length: 3\r\n") + "abc", 400, {}),
    "chunked": (GET.format("/health", "Transfer-Encoding: chunked\r\n"), 400, {}),
    "HTTP/1.0": ("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", 400, {}),
    "no Host": ("GET /health HTTP/1.1\r\n\r\n", 400, {}),
    "not HTTP": ("\x16\x03\x01 hello\r\n\r\n", 400, {}),
    "absolute form": (GET.format("http://localhost/health", ""), 400, {}),
    "POST": ("POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405, {"allow": "GET"}),
    "head of 9 KiB": (GET.format("/health", "X: " + "x" * 9_000 + "\r\n"), 431, {}),
    "head without an end": ("GET /health HTTP/1.1\r\nX: " + "x" * 9_000, 431, {}),
    "65 headers": (GET.format("/health", "X: y\r\n" * 64), 431, {}),
    "a foreign page": (upgrade_head(WS, "Origin: https://evil.example").decode(), 403, {}),
    "an Origin of null": (upgrade_head(WS, "Origin: null").decode(), 403, {}),
}  # fmt: skip


@pytest.mark.parametrize(("request_head", "status", "headers"), ANSWERS.values(), ids=ANSWERS)
async def test_each_answer_comes_at_once_with_a_reason(
    autojump_clock: MockClock, request_head: str, status: int, headers: dict[str, str]
) -> None:
    async with memory_server() as server:
        client = RawClient(server.connect())
        await client.stream.send_all(request_head.encode("latin-1"))
        found, found_headers, body = await client.http_answer()
        assert found == status
        assert trio.current_time() == 0
        assert found_headers["connection"] == "close"
        assert headers.items() <= found_headers.items()
        assert status == 200 or (body.count("\n") == 1 and len(body.split()) >= 4)
        assert await client.frame() == (-1, b"")


async def test_a_non_ascii_byte_in_any_header_is_400(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        for name in ("Host", "Connection", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin"):
            client = RawClient(server.connect())
            await client.stream.send_all(upgrade_head(WS)[:-2] + name.encode() + b": \xff\xfe\r\n\r\n")
            assert (await client.http_answer())[0] == 400


async def test_a_handshake_that_is_not_finished_in_5_s_is_dropped(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        silent, slow = RawClient(server.connect()), RawClient(server.connect())
        await slow.stream.send_all(b"GET / HT")
        assert await silent.frame() == (-1, b"")
        assert trio.current_time() == pytest.approx(5)
        assert await slow.frame() == (-1, b"")
        assert trio.current_time() == pytest.approx(5)


async def test_a_half_open_handshake_is_gone_at_once(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = RawClient(server.connect())
        await client.stream.send_all(b"GET / HT")
        await client.stream.send_eof()
        assert await client.frame() == (-1, b"")
        assert trio.current_time() == 0


async def test_the_address_lists(autojump_clock: MockClock) -> None:
    for access, status in (
        (AccessConfig(deny=("127.0.0.0/8",)), 403),
        (AccessConfig(allow=("10.0.0.0/8",)), 403),
        (AccessConfig(allow=("127.0.0.1",)), 200),
    ):
        async with memory_server(ServerConfig(access=access)) as server:
            client = RawClient(server.connect())
            await client.stream.send_all(GET.format("/health", "").encode())
            assert (await client.http_answer())[0] == status


async def test_a_forwarded_address(autojump_clock: MockClock) -> None:
    proxied = AccessConfig(allow=("10.0.0.0/8",), trusted_proxies=("127.0.0.1", "192.168.0.0/16"))
    for access, forwarded, status in (
        (proxied, "10.1.2.3", 200),
        (proxied, "10.1.2.3, 192.168.0.9", 200),
        (proxied, "10.1.2.3, 8.8.8.8, 192.168.0.9", 403),
        (proxied, "8.8.8.8", 403),
        (proxied, "nonsense", 400),
        (AccessConfig(allow=("127.0.0.1",)), "10.1.2.3", 403),  # from a proxy that nobody configured
        (AccessConfig(), "10.1.2.3", 200),
    ):
        async with memory_server(ServerConfig(access=access)) as server:
            client = RawClient(server.connect())
            await client.stream.send_all(GET.format("/health", f"X-Forwarded-For: {forwarded}\r\n").encode())
            assert (await client.http_answer())[0] == status, (access, forwarded)


async def test_origins(autojump_clock: MockClock) -> None:
    config = ServerConfig(access=AccessConfig(origins=("https://desk.example/",)))
    async with memory_server(config) as server:
        for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:80", "https://DESK.example"):
            await RawClient.connect(server, WS, f"Origin: {origin}")


async def test_too_many_connections_get_503_with_retry_after(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(connections=ConnectionLimits(total=2))) as server:
        first, second = await RawClient.connect(server, WS), await RawClient.connect(server, WS)
        client = RawClient(server.connect())
        status, headers, body = await client.http_answer()
        assert (status, headers["retry-after"]) == (503, "5")
        assert "connections.total" in body
        await first.message()
        await first.close()
        await wait_all_tasks_blocked()
        await RawClient.connect(server, WS)
        assert (await second.message())["type"] == "connected"


async def test_a_crowd_at_a_full_server_is_not_told_one_by_one(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(connections=ConnectionLimits(total=1))) as server:
        inside = await RawClient.connect(server, WS)
        crowd = [RawClient(server.connect()) for _ in range(40)]
        await wait_all_tasks_blocked()
        # Each of the first sixteen is waited for, a second long, that it may read its answer; the others are gone.
        gone = [await client.stream.receive_some() == b"" for client in crowd]
        assert (gone.count(True), gone.count(False)) == (24, 16)
        await trio.sleep(1)
        assert (await RawClient(server.connect()).http_answer())[0] == 503
        assert (await inside.message())["type"] == "connected"


@pytest.mark.parametrize(("limits", "setting"), [
    (ConnectionLimits(per_address=2, count_loopback=True), "connections.per_address"),
    (ConnectionLimits(rate=2, count_loopback=True), "connections.rate"),
])  # fmt: skip
async def test_one_address_has_a_share(autojump_clock: MockClock, limits: ConnectionLimits, setting: str) -> None:
    async with memory_server(ServerConfig(connections=limits)) as server:
        first = await RawClient.connect(server, WS)
        await RawClient.connect(server, WS)
        client = RawClient(server.connect())
        await client.stream.send_all(upgrade_head(WS))
        status, _, body = await client.http_answer()
        assert (status, setting in body) == (503, True)
        await first.message()
        await first.close()
        await trio.sleep(1)
        await RawClient.connect(server, WS)


async def test_an_address_that_only_connects_has_no_more_than_its_share(autojump_clock: MockClock) -> None:
    def come(address: str) -> RawClient:
        return RawClient(server.connect(ip_address(address)))

    limits = ConnectionLimits(total=5, per_address=2)
    rules = AccessConfig(trusted_proxies=("10.0.0.0/8",))
    async with memory_server(ServerConfig(connections=limits, access=rules)) as server:
        silent = [come("192.0.2.7") for _ in range(2)]
        await wait_all_tasks_blocked()
        assert "connections.per_address" in (await come("192.0.2.7").http_answer())[2]  # before it says a word
        # A proxy is many, and those for whom it speaks have a share each.
        for address, status in (("192.0.2.7", 503), ("192.0.2.8", 101)):
            client = come("10.0.0.1")
            await client.stream.send_all(upgrade_head(WS, f"X-Forwarded-For: {address}"))
            assert (await client.http_answer())[0] == status
        await trio.sleep(5)
        assert [await one.stream.receive_some() for one in silent] == [b"", b""]
        client = come("192.0.2.7")
        await client.stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101


async def test_health_tells_of_sources_and_memory(autojump_clock: MockClock) -> None:
    class Crashing(Program):
        async def run(self, publisher: object) -> None:
            await trio.sleep(1)
            raise SourceError("trades.csv line 7: no number")

    async with memory_server(None, [Program("Good"), Crashing("Bad")]) as server:

        async def health() -> tuple[int, dict[str, object]]:
            client = RawClient(server.connect())
            await client.stream.send_all(GET.format("/health", "").encode())
            status, _, body = await client.http_answer()
            return status, json.loads(body)

        subscriber = await RawClient.connect(server, WS)
        status, content = await health()
        assert (status, content["status"], content["connections"]) == (200, "ok", 1)
        await trio.sleep(2)
        assert server.source_crashed.is_set()
        status, content = await health()
        assert (status, content["status"]) == (503, "degraded")
        assert content["why"] == "Bad crashed: trades.csv line 7: no number"
        assert [d["source"] for d in content["datasets"]] == ["running", "crashed"]  # type: ignore[attr-defined]
        assert content["memory"]["budgetBytes"] == 2 * 2**30  # type: ignore[index]
        assert (await subscriber.message())["type"] == "connected"  # nobody lost the connection
        assert (await subscriber.ask(action="ping"))["type"] == "pong"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed on this machine")
async def test_curl_itself_over_a_socket() -> None:
    async with open_server(ServerConfig(port=0)) as server:
        base = f"http://127.0.0.1:{server.port}"
        for path, status in (("/health", 200), ("/x", 404), (WS, 426)):
            done = await trio.run_process(
                ["curl", "-s", "-S", "-m", "10", "-o", "-", "-w", "\n%{http_code}", base + path],
                capture_stdout=True,
                stdin=subprocess.DEVNULL,
            )
            body, code = done.stdout.decode().rsplit("\n", 1)
            assert (int(code), bool(body)) == (status, True)
