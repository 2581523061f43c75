"""TLS: what is refused and told, and that nothing of it is left behind. Sockets are not needed for it."""

from __future__ import annotations

import contextlib
import gc
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from support import RawClient, masked, memory_server, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Server, ServerConfig

WS = "/datafye-ws/v1/stocks/live/quotes"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def config(authority: trustme.CA, tmp_path: Path) -> ServerConfig:
    both = tmp_path / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
    return ServerConfig(cert=str(both), key=str(both))


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made


def over(server: Server, context: ssl.SSLContext, **options: Any) -> RawClient:
    return RawClient(trio.SSLStream(server.connect(), context, server_hostname="localhost", **options))


async def test_an_answer_over_tls_ends_when_it_ends(
    autojump_clock: MockClock, config: ServerConfig, context: ssl.SSLContext
) -> None:
    # A peer that reads to the end had to wait for a second, and then the end looked as if something were cut off.
    async with memory_server(config) as server:
        before = trio.current_time()
        client = over(server, context, https_compatible=False)
        await client.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.http_answer())[0] == 200
        assert await client.stream.receive_some(1) == b""
        assert trio.current_time() == before


@pytest.mark.parametrize(("sent", "said"), [
    (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "no TLS: http request"),
    (b"\xff" * 50, "no TLS: "),
    (b"\x16\x03\x01", "no request within 5 s"),
    (b"", "no request within 5 s"),
], ids=["HTTP", "garbage", "half a hello", "nothing"])  # fmt: skip
async def test_a_handshake_that_fails_is_told_to_the_log(
    autojump_clock: MockClock, config: ServerConfig, caplog: pytest.LogCaptureFixture, sent: bytes, said: str
) -> None:
    caplog.set_level("INFO", "datafye_trio.server")
    async with memory_server(config) as server:
        stream = server.connect()
        await stream.send_all(sent)
        with trio.fail_after(5.1):
            while await stream.receive_some():
                pass
        await stream.aclose()
        await wait_all_tasks_blocked()
    (line,) = caplog.records
    assert line.getMessage() == "refused"
    assert line.reason.startswith(said)  # type: ignore[attr-defined]


async def test_a_crowd_that_says_nothing_is_told_by_its_number(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "datafye_trio.server")
    async with memory_server() as server:
        crowd = [server.connect() for _ in range(30)]
        for stream in crowd:
            assert await stream.receive_some() == b""
    assert [line.count for line in caplog.records] == [1, 10]  # type: ignore[attr-defined]


async def test_whoever_forgets_the_s_of_wss_is_told(autojump_clock: MockClock, config: ServerConfig) -> None:
    async with memory_server(config) as server:
        client = RawClient(server.connect())
        await client.stream.send_all(upgrade_head(WS))
        status, _, body = await client.http_answer()
        assert (status, body) == (400, "this port speaks TLS: write wss://\n")


async def test_one_who_just_leaves_is_no_line_in_the_log(
    autojump_clock: MockClock, config: ServerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "datafye_trio.server")
    async with memory_server(config) as server:
        stream = server.connect()
        await stream.send_all(b"\x16\x03")
        await stream.aclose()
        await wait_all_tasks_blocked()
    assert not caplog.records


async def in_records_of_one_byte(client: RawClient, data: bytes) -> int:
    """Send it so; returns how many bytes were taken before the connection ended."""
    for count, byte in enumerate(data):
        try:
            await client.stream.send_all(bytes([byte]))
        except trio.BrokenResourceError:
            return count
    return len(data)


async def test_records_of_tls_that_carry_next_to_nothing_end_the_connection(
    autojump_clock: MockClock, config: ServerConfig, context: ssl.SSLContext
) -> None:
    # Frames can be counted only once they have come; a record may change the keys and carry nothing at all.
    async with memory_server(config) as server:
        client, other = over(server, context), over(server, context)
        for one in (client, other):
            await one.stream.send_all(upgrade_head(WS))
            assert (await one.http_answer())[0] == 101
            assert (await one.message())["type"] == "connected"
        await in_records_of_one_byte(client, masked(1, b'{"action":"ping"}'))
        assert (await client.message())["type"] == "pong"
        await in_records_of_one_byte(client, masked(1, b" " * 6_500))
        assert await client.closed() == (1008, "too many records of TLS for what they carry")
        assert (await other.ask(action="ping"))["type"] == "pong"


async def test_what_is_data_may_come_as_fast_as_the_other_budgets_allow(
    autojump_clock: MockClock, config: ServerConfig, context: ssl.SSLContext
) -> None:
    async with memory_server(config) as server:
        client = over(server, context)
        await client.stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101
        assert (await client.message())["type"] == "connected"
        for number in range(8):  # a megabyte, eight times what TLS may have beside it
            await client.send_text(f'{{"action":"ping","id":{number}}}' + " " * 130_000)
            assert (await client.message())["id"] == number
            await trio.sleep(1)


async def test_a_request_head_in_tiny_records_is_no_way_round_it(
    autojump_clock: MockClock, config: ServerConfig, context: ssl.SSLContext
) -> None:
    async with memory_server(config) as server:
        client = over(server, context)
        head = upgrade_head(WS, "X: " + "x" * 7_000)
        assert await in_records_of_one_byte(client, head) < len(head)


@pytest.mark.parametrize("stage", ["nothing", "half a hello", "no TLS", "TLS", "WebSocket"])
async def test_what_openssl_holds_for_a_peer_does_not_wait_for_the_collector(
    autojump_clock: MockClock, config: ServerConfig, context: ssl.SSLContext, stage: str
) -> None:
    def streams() -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, trio.SSLStream) and one.server_side]

    async with memory_server(config) as server:
        gc.collect()
        gc.disable()
        try:
            if stage in ("TLS", "WebSocket"):
                client = over(server, context)
                await client.stream.send_all(upgrade_head(WS if stage == "WebSocket" else "/nothing"))
                assert (await client.http_answer())[0] == (101 if stage == "WebSocket" else 404)
                stream: trio.abc.Stream = client.stream
            else:
                stream = server.connect()
                await stream.send_all(
                    {"half a hello": b"\x16\x03\x01", "no TLS": b"GET / HTTP/1.1\r\n"}.get(stage, b"")
                )
            await wait_all_tasks_blocked()
            with contextlib.suppress(trio.BrokenResourceError):
                await trio.aclose_forcefully(stream)
            await trio.sleep(2)
            assert not streams()
        finally:
            gc.enable()
