"""The door: whatever a client begins with, it gets what the server alone would say, or what it was told to say."""

from __future__ import annotations

import json
import socket
import struct

import pytest
import trio
from support import RawClient, masked, upgrade_head
from testing.kit import Front, front, rest

from datafye_trio.testing import Faults, Log, open_proxy
from datafye_trio.testing.dialect import Dialect
from datafye_trio.testing.door import Door

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEGINNINGS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /replay/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    upgrade_head() + masked(1, b'{"action":"ping"}'),  # early data
    upgrade_head("/nowhere"),
    upgrade_head(host="bad host"),
    upgrade_head().replace(b"Version: 13", b"Version: 8"),
    b"GET /faults HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /ö HTTP/1.1\r\n\r\n".encode(),
]


async def answer(stream: trio.abc.HalfCloseableStream, data: bytes) -> bytes:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        found = await rest(stream)
        nursery.cancel_scope.cancel()
    return found


@pytest.mark.parametrize("data", BEGINNINGS, ids=range(len(BEGINNINGS)))
async def test_it_answers_as_the_server_alone(autojump_clock: trio.testing.MockClock, data: bytes) -> None:
    async with front() as kit:
        alone = await answer(kit.server.connect(), data)
        assert alone.startswith(b"HTTP/1.1 ")
        stream = kit.connect()
        assert await answer(stream, data) == alone
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert [entry.kind for entry in kit.log][-1] == "gone"
        assert kit.proxy.statistics().open == 0


async def test_in_crumbs_it_is_the_same(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = RawClient(kit.connect())
        for byte in upgrade_head():
            await client.stream.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.http_answer())[0] == 101
        assert (await client.message())["type"] == "connected"
        await client.close()


@pytest.mark.parametrize("data", [b"", upgrade_head()[:40]])
async def test_half_a_head_is_dropped_after_five_seconds(autojump_clock: trio.testing.MockClock, data: bytes) -> None:
    async with front() as kit:
        stream = kit.connect()
        await stream.send_all(data)
        assert await rest(stream) == b""
        assert trio.current_time() == 5.0
        assert [(entry.connection, entry.kind) for entry in kit.log] == [(1, "gone")]


@pytest.mark.parametrize("data", [b"", upgrade_head()[:40]])
async def test_a_client_that_leaves_is_let_go(autojump_clock: trio.testing.MockClock, data: bytes) -> None:
    async with front() as kit:
        stream = kit.connect()
        await stream.send_all(data)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert kit.proxy.statistics().open == 0
        assert [entry.kind for entry in kit.log] == ["gone"]


async def test_the_dialect_says_which_paths_there_are(autojump_clock: trio.testing.MockClock) -> None:
    async with front(dialect=Dialect) as kit:
        for data in (
            HEALTH,
            upgrade_head("/datafye-ws/v1"),
            upgrade_head("/datafye-ws/v1/stocks/live/quotes?symbols=A"),
        ):
            found = await answer(kit.connect(), data)
            assert found.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
            assert b"Datafye documents n" in found
        assert [entry.code for entry in kit.log.entries("refused")] == [404, 404, 400]


async def test_the_dialect_sees_what_passes(autojump_clock: trio.testing.MockClock) -> None:
    """A message in parts as well; what it answers itself stands in the log, too."""
    async with front(dialect=Dialect) as kit:
        client = RawClient(kit.connect())
        head = upgrade_head("/datafye-ws/v1/stocks/live/quotes", "Sec-WebSocket-Protocol: datafye.v1.msgpack")
        await client.stream.send_all(head)
        status, headers, _ = await client.http_answer()
        assert status == 101
        assert "sec-websocket-protocol" not in headers
        assert set(await client.message()) == {"type"}
        text = json.dumps({"action": "subscriptions"}).encode()
        assert (await client.ask(action="subscriptions"))["type"] == "error"
        await client.stream.send_all(masked(1, text[:5], fin=False) + masked(9, b"?") + masked(0, text[5:]))
        assert await client.frame() == (1, kit.log.entries("text", direction="out")[-1].payload)
        assert await client.frame() == (10, b"?")
        assert len(kit.log.messages("subscriptions", direction="in")) == 2
        assert len(kit.log.messages("error")) == 2
        await client.close()


async def test_what_is_below_faults_is_answered_where_that_is_wanted(autojump_clock: trio.testing.MockClock) -> None:
    asked = []

    async def control(stream: trio.abc.HalfCloseableStream, read: bytes) -> None:
        asked.append(read)
        await stream.send_all(b"done")

    async def server() -> trio.abc.Stream:
        raise AssertionError("nobody asks the server")

    log = Log()
    async with open_proxy(server, greet=Door(log, Faults(log), control=control)) as proxy:
        requests = [
            b'POST /faults/drop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n{"after": 10}',
            b"POST /faults/mute?connection=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /faults HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ]
        for request in requests:
            assert await rest_of(proxy.connect(), request) == b"done"
    assert asked == requests


async def rest_of(stream: trio.abc.HalfCloseableStream, request: bytes) -> bytes:
    await stream.send_all(request)
    return await rest(stream)


async def test_over_sockets_it_knows_the_address() -> None:
    with trio.fail_after(10):
        async with front() as kit:
            client = RawClient(await trio.open_tcp_stream("127.0.0.1", await kit.proxy.listen()))
            await client.stream.send_all(upgrade_head())
            assert (await client.http_answer())[0] == 101
            assert [tap.request.address for tap in kit.faults.taps.values()] == ["127.0.0.1"]
            assert kit.faults.drop().hits == 1
            with pytest.raises(trio.BrokenResourceError):
                while True:
                    await client.stream.receive_some()
            await client.stream.aclose()


async def test_over_sockets_a_client_that_resets_is_lost() -> None:
    with trio.fail_after(10):
        async with front() as kit:
            client = RawClient(await trio.open_tcp_stream("127.0.0.1", await kit.proxy.listen()))
            await client.stream.send_all(upgrade_head())
            assert (await client.http_answer())[0] == 101
            assert isinstance(client.stream, trio.SocketStream)
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await client.stream.aclose()
            await kit.log.wait_for(lambda log: log.entries("gone"))
            assert kit.log.entries("gone")[0].reason == "lost"
            assert kit.faults.taps == {}


def names(kit: Front) -> list[str]:
    return [tap.name for tap in kit.faults.taps.values()]


async def test_it_knows_what_the_server_calls_each(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        clients = [await kit.client(), await kit.client()]
        assert names(kit) == ["c1", "c2"]
        assert [tap.opened for tap in kit.faults.taps.values()] == [True, True]
        for client in clients:
            await client.close()
        await trio.testing.wait_all_tasks_blocked()
        assert names(kit) == []
