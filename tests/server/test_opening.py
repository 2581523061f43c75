"""`open_server`: what leaves it, two in one process, publishing, listeners, TLS, and the end."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from support import START_NS, RawClient, memory_server, quote, trade, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    AccessConfig,
    ConfigurationError,
    ConnectionLimits,
    EventError,
    HeartbeatConfig,
    OutboxLimits,
    Program,
    Quote,
    RingLimits,
    ServerClosedError,
    ServerConfig,
    Synthetic,
    open_server,
)  # fmt: skip
from datafye_trio.server.access import fold

WS = "/datafye-ws/v1/stocks/live/quotes"


@asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[RawClient]:
    """A client over a real socket."""
    async with await trio.open_tcp_stream(host, port) as stream:
        client = RawClient(stream)
        await stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101
        assert (await client.message())["type"] == "connected"
        yield client


async def test_what_the_body_raises_leaves_bare(autojump_clock: MockClock) -> None:
    for error in (ValueError("mine"), ExceptionGroup("mine", [ValueError()]), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            async with memory_server() as server:
                await RawClient.connect(server)
                raise error
        assert caught.value is error


async def test_cancelling_the_body_cancels_it_and_clients_still_get_1001(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(3) as scope:
            async with memory_server() as server:
                client = await RawClient.connect(server)
                closed: list[int] = []

                async def read() -> None:
                    closed.append((await client.closed())[0])

                nursery.start_soon(read)
                await trio.sleep_forever()
        assert scope.cancelled_caught
    assert closed == [1001]
    assert trio.current_time() <= 3.6


async def test_a_bug_in_a_task_of_ours_is_raised_bare(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object, batch: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("datafye_trio.broker.broker.Broker._fan_out", broken)
    with pytest.raises(ZeroDivisionError):
        async with memory_server() as server:
            await server.publish(quote())
            await trio.sleep_forever()


async def test_two_servers_in_one_process_share_nothing() -> None:
    async with open_server(ServerConfig(port=0)) as one, open_server(ServerConfig(port=0)) as two:
        assert one.port != two.port
        async with connected(one.port) as first, connected(two.port) as second:
            for client in (first, second):
                await client.ask(action="subscribe", symbols=["AAPL"])
            await two.publish(quote(n=2))
            await one.publish(quote(n=1))
            assert (await first.message())["exchangeTimestamp"] == START_NS + 1
            assert (await second.message())["exchangeTimestamp"] == START_NS + 2


async def test_localhost_listens_on_both_loopback_addresses() -> None:
    async with open_server(ServerConfig(port=0)) as server:
        assert server.url == f"ws://localhost:{server.port}/datafye-ws/v1"
        async with connected(server.port):
            pass
        try:
            async with connected(server.port, "::1"):
                pass
        except OSError as error:
            pytest.skip(f"this machine has no IPv6 loopback: {error}")


async def test_a_port_in_use_is_one_clear_error() -> None:
    async with open_server(ServerConfig(port=0)) as server:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(ConfigurationError, match=f"port {server.port} of {host} is in use"):
                async with open_server(ServerConfig(host=host, port=server.port)):
                    pass
    with pytest.raises(ConfigurationError, match="cannot listen on 203.0.113.7"):
        async with open_server(ServerConfig(host="203.0.113.7", port=0, access=AccessConfig(allow=("::/0",)))):
            pass


async def test_wss(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    config = ServerConfig(port=0, cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with open_server(config) as server:
        assert server.url.startswith("wss://localhost:")
        # The certificate says localhost; 127.0.0.1 is where the server is sure to listen.
        tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
        stream = trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True)
        client = RawClient(stream)
        await stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101
        await client.message()
        await client.ask(action="subscribe", symbols=["AAPL"])
        await server.publish([quote(n=n) for n in range(2_000)])
        assert [m["seq"] for m in await client.messages(2_000)] == list(range(1, 2_001))
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as plain:  # plain HTTP at the TLS port
            await plain.send_all(b"GET /health HTTP/1.1\r\n\r\n")
            with trio.fail_after(5):
                while await plain.receive_some():
                    pass
        await client.close()


async def test_over_tls_too_many_are_told_and_refused_addresses_are_dropped(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = {"port": 0, "cert": str(tmp_path / "both.pem"), "key": str(tmp_path / "both.pem")}

    async def secured(port: int) -> RawClient:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        return RawClient(trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True))

    async with open_server(ServerConfig(connections=ConnectionLimits(total=1), **files)) as server:
        first, second = await secured(server.port), await secured(server.port)
        await first.stream.send_all(upgrade_head(WS))
        assert (await first.http_answer())[0] == 101
        await second.stream.send_all(upgrade_head(WS))
        status, headers, _ = await second.http_answer()
        assert (status, headers["retry-after"]) == (503, "5")
        await first.message()
        await first.close()
        await trio.aclose_forcefully(second.stream)
    async with open_server(ServerConfig(access=AccessConfig(deny=("127.0.0.1",)), **files)) as server:
        denied = await secured(server.port)
        with pytest.raises(trio.BrokenResourceError):
            await denied.stream.send_all(upgrade_head(WS))
        await trio.aclose_forcefully(denied.stream)


@pytest.mark.parametrize("cert", ["nowhere.pem", "nowhere.pem\0"])
def test_unreadable_certificates_are_named(cert: str) -> None:
    async def start() -> None:
        async with open_server(ServerConfig(port=0, cert=cert, key="nokey.pem")):
            pass

    with pytest.raises(ConfigurationError, match=r"nowhere\.pem"):
        trio.run(start)


async def test_publishing_refuses_nan_at_the_call_and_unknown_datasets(autojump_clock: MockClock) -> None:
    async with memory_server(None, [Program("A"), Program("B")]) as server:
        bad = Quote("AAPL", START_NS, float("nan"), 1, 2.0, 1)
        with pytest.raises(EventError, match="nan"):
            await server.publish([quote(), bad])
        with pytest.raises(EventError, match="nan"):
            server.publish_nowait(bad)
        with pytest.raises(EventError, match="A, B"):
            await server.publish(quote(), dataset="C")
        client = await RawClient.connect(server, WS)
        await client.message()
        await client.ask(action="subscribe", symbols=["AAPL"])
        await server.publish(quote(), dataset="B")
        server.publish_nowait(quote(n=1))
        assert (await client.message())["exchangeTimestamp"] == START_NS + 1
    with pytest.raises(ServerClosedError):
        await server.publish(quote())
    with pytest.raises(ServerClosedError):
        server.connect()


async def test_publish_nowait_says_would_block(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        with pytest.raises(trio.WouldBlock):
            for n in range(1_000):
                server.publish_nowait(trade(n=n))


async def test_two_sources_of_one_name_are_refused(autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        async with memory_server(None, [Program(), Program()]):
            pass


async def test_cancelling_a_source_leaves_the_rest_whole(autojump_clock: MockClock) -> None:
    async with memory_server(None, [Synthetic(), Program("Mine")]) as server:
        client = await RawClient.connect(server, WS)
        await client.message()
        await client.ask(action="subscribe", symbols=["*"], dataset="Synthetic")
        await client.message()
        server.cancel_source("Synthetic")
        await wait_all_tasks_blocked()
        await client.send(action="subscribe", symbols=["X"], dataset="Mine")
        await client.until("subscribed")
        await server.publish(quote("X"), dataset="Mine")
        while (message := await client.message())["symbol"] != "X":
            assert message["dataset"] == "Synthetic"  # what it had published before


def test_bad_settings_are_named() -> None:
    for make, words in (
        (lambda: ServerConfig(port=70_000), "port 70000"),
        (lambda: ServerConfig(cert="a.pem"), "cert and key"),
        (lambda: ServerConfig(timestamp_unit="s"), "timestamp_unit"),  # type: ignore[arg-type]
        (lambda: ServerConfig(heartbeat=HeartbeatConfig(accept="none")), "heartbeat.accept"),  # type: ignore[arg-type]
        (lambda: ServerConfig(heartbeat=HeartbeatConfig(interval=0)), r"heartbeat\.interval must be above 0"),
        (lambda: ServerConfig(handshake_seconds=float("nan")), "handshake_seconds must be above 0"),
        (lambda: ServerConfig(connections=ConnectionLimits(total=-1)), r"connections\.total must be above 0"),
        (lambda: ServerConfig(outbox=OutboxLimits(policy="drop")), "outbox.policy"),  # type: ignore[arg-type]
        (lambda: ServerConfig(outbox=OutboxLimits(messages=10)), "outbox.messages"),
        (lambda: ServerConfig(memory=1, ring=RingLimits(bytes=2)), "memory"),
        (lambda: AccessConfig(allow=("10.0.0.0/40",)), "10.0.0.0/40"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            make()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "fe80::1", "example.com", "LOCALHOST", ""])
def test_nobody_listens_to_a_network_without_a_list(host: str) -> None:
    with pytest.raises(ConfigurationError, match="can be reached from outside this machine: say who may connect with"):
        ServerConfig(host=host)
    with pytest.raises(ConfigurationError, match="can be reached"):
        ServerConfig(host=host, access=AccessConfig(deny=("10.0.0.0/8",)))
    assert ServerConfig(host=host, access=AccessConfig(allow=("10.0.0.0/8",))).host == host


async def test_everybody_is_an_explicit_list(autojump_clock: MockClock) -> None:
    config = ServerConfig(host="::", access=AccessConfig(allow=("0.0.0.0/0",)))
    async with memory_server(config) as server:
        for address, status in (("198.51.100.1", 101), ("::ffff:198.51.100.1", 101), ("2001:db8::1", 403)):
            client = RawClient(server.connect(fold(address)))
            await client.stream.send_all(upgrade_head(WS))
            assert (await client.http_answer())[0] == status


async def test_the_unit_of_time(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(timestamp_unit="ms")) as server:
        client = await RawClient.connect(server, WS)
        assert (await client.message())["timestampUnit"] == "ms"
        await client.ask(action="subscribe", symbols=["AAPL"])
        await server.publish(quote(n=5_000_000))
        assert (await client.message())["exchangeTimestamp"] == START_NS // 1_000_000 + 5
