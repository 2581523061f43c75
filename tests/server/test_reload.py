"""`Server.reload`: other rules and another certificate for a server that runs."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
import trustme
from support import RawClient, memory_server, quote, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    AccessConfig,
    ConfigurationError,
    ControlConfig,
    Server,
    ServerClosedError,
    ServerConfig,
    open_server,
)  # fmt: skip

WS = "/datafye-ws/v1/stocks/live/quotes"


async def come(server: Server, address: str, *headers: str) -> tuple[int, RawClient]:
    """A client of an address, with the status that it gets."""
    client = RawClient(server.connect(ip_address(address)))
    await client.stream.send_all(upgrade_head(WS, *headers))
    status, _, _ = await client.http_answer()
    if status == 101:
        await client.ask(action="subscribe", symbols=["AAPL"])
        await client.message()
    return status, client


def rules(**lists: tuple[str, ...]) -> ServerConfig:
    return ServerConfig(access=AccessConfig(**lists))


async def gets_on(server: Server, client: RawClient) -> bool:
    await server.publish(quote())
    return (await client.message())["type"] == "quote"


async def test_who_is_not_allowed_any_more_is_told_and_the_others_go_on(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        _, friend = await come(server, "10.1.1.1")
        _, stranger = await come(server, "192.0.2.7")
        assert server.reload(rules(allow=("10.0.0.0/8",))) == 1
        code, reason = await stranger.closed()
        assert (code, reason) == (1008, "the address 192.0.2.7 is not allowed here: ask the operator to allow it")
        assert await gets_on(server, friend)
        assert (await come(server, "192.0.2.7"))[0] == 403
        assert (await come(server, "10.1.1.2"))[0] == 101
        assert server.config.access.allow == ("10.0.0.0/8",)
        assert server.reload(rules(deny=("10.1.1.1", "127.0.0.1"))) == 1
        assert (await friend.closed())[0] == 1008
        assert (await come(server, "192.0.2.7"))[0] == 101


async def test_behind_a_proxy_the_clients_are_judged_and_a_proxy_no_longer_trusted_speaks_for_nobody(
    autojump_clock: MockClock,
) -> None:
    async with memory_server(rules(trusted_proxies=("10.0.0.1",), allow=("192.0.2.0/24",))) as server:
        _, one = await come(server, "10.0.0.1", "X-Forwarded-For: 192.0.2.1")
        _, two = await come(server, "10.0.0.1", "X-Forwarded-For: 192.0.2.2")
        assert server.reload(rules(trusted_proxies=("10.0.0.1",), allow=("192.0.2.1",))) == 1
        assert (await two.closed())[0] == 1008
        assert await gets_on(server, one)
        assert server.reload(rules(allow=("10.0.0.0/8", "192.0.2.1"))) == 1
        code, reason = await one.closed()
        assert (code, reason) == (1008, "X-Forwarded-For from 10.0.0.1, which is not among the trusted proxies")


async def test_pages_whose_origin_is_no_longer_allowed_are_ended(autojump_clock: MockClock) -> None:
    async with memory_server(rules(origins=("https://a.example", "https://b.example"))) as server:
        _, one = await come(server, "127.0.0.1", "Origin: https://a.example")
        _, two = await come(server, "127.0.0.1", "Origin: https://b.example")
        assert server.reload(rules(origins=("https://b.example",))) == 1
        assert (await one.closed())[1].startswith("the origin 'https://a.example' is not allowed here")
        assert await gets_on(server, two)


async def test_a_connection_in_its_handshake_does_not_slip_through(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        client = RawClient(server.connect(ip_address("192.0.2.7")))
        head = upgrade_head(WS)
        await client.stream.send_all(head[:20])
        await wait_all_tasks_blocked()
        assert server.reload(rules(deny=("192.0.2.7",))) == 0
        await client.stream.send_all(head[20:])
        await client.http_answer()
        assert (await client.closed())[0] == 1008


async def test_lists_in_files_are_read_again_and_what_is_wrong_changes_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "deny.txt"
    path.write_text("192.0.2.1\n")
    async with memory_server(rules(deny=(f"@{path}",))) as server:
        assert (await come(server, "192.0.2.1"))[0] == 403
        _, client = await come(server, "192.0.2.7")
        path.write_text("192.0.2.7\nno network\n")
        with pytest.raises(ConfigurationError, match=r"deny.txt line 2: 'no network' is no network"):
            server.reload()
        assert await gets_on(server, client)
        assert (await come(server, "192.0.2.1"))[0] == 403
        path.write_text("192.0.2.7\n")
        assert server.reload() == 1
        assert (await client.closed())[0] == 1008
        assert (await come(server, "192.0.2.1"))[0] == 101


async def test_it_stays_closed_to_the_network_and_keeps_its_scheme(autojump_clock: MockClock) -> None:
    async with memory_server(ServerConfig(host="0.0.0.0", access=AccessConfig(allow=("10.0.0.0/8",)))) as server:
        with pytest.raises(ConfigurationError, match=r"host 0\.0\.0\.0 can be reached from outside"):
            server.reload(ServerConfig())
        with pytest.raises(ConfigurationError, match="cannot begin or end TLS"):
            server.reload(ServerConfig(access=server.config.access, cert="a.pem", key="a.pem"))
        assert (await come(server, "192.0.2.1"))[0] == 403
    with pytest.raises(ServerClosedError):
        server.reload()


async def test_the_list_for_control_is_taken_too(autojump_clock: MockClock, tmp_path: Path) -> None:
    async def status(server: Server) -> int:
        client = RawClient(server.connect(ip_address("10.0.0.1")))
        await client.stream.send_all(b"POST /replay/pause HTTP/1.1\r\nHost: a.example\r\n\r\n")
        return (await client.http_answer())[0]

    async with memory_server() as server:
        assert await status(server) == 403
        server.reload(ServerConfig(control=ControlConfig(("10.0.0.0/8",))))
        assert await status(server) == 404  # no replay here


async def test_new_connections_see_the_new_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    authorities = [trustme.CA(), trustme.CA()]

    async def secured(authority: trustme.CA, port: int) -> RawClient:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        client = RawClient(trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True))
        await client.stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101
        await client.ask(action="subscribe", symbols=["AAPL"])
        await client.message()
        return client

    authorities[0].issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
    with trio.fail_after(30):
        async with open_server(ServerConfig(port=0, cert=str(both), key=str(both))) as server:
            old = await secured(authorities[0], server.port)
            sound = both.read_bytes()
            both.write_bytes(sound[: len(sound) // 2])
            with pytest.raises(ConfigurationError, match=r"cannot use cert .*both\.pem"):
                server.reload()
            await (await secured(authorities[0], server.port)).close()
            authorities[1].issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
            assert server.reload() == 0
            new = await secured(authorities[1], server.port)
            await server.publish([quote(n=n) for n in range(1_000)])
            for client in (old, new):
                assert [message["seq"] for message in await client.messages(1_000)] == list(range(1, 1_001))
                await client.close()


def test_a_key_with_a_password_is_refused_without_a_question(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path = tmp_path / "key.pem"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    cert = tmp_path / "cert.pem"
    trustme.CA().issue_cert("localhost").cert_chain_pems[0].write_to_path(cert)

    async def start() -> None:
        async with open_server(ServerConfig(port=0, cert=str(cert), key=str(path))):
            pass

    with pytest.raises(ConfigurationError, match="the key is encrypted"):
        trio.run(start)
