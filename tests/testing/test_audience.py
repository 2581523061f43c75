"""Waiting for clients, and expecting things of them, over the real protocol; and the words where they do not come."""

from __future__ import annotations

import pytest
import trio
from support import RawClient, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import ConfigurationError, EventError
from datafye_trio.testing import ExpectationError, TestServer, open_test_server, trade


async def raw(server: TestServer, path: str = "/datafye-ws/v1", *headers: str) -> RawClient:
    """A client that sees the bytes; nothing is read but the handshake."""
    client = RawClient(server.connect())
    await client.stream.send_all(upgrade_head(path, *headers))
    assert (await client.http_answer())[0] == 101
    return client


async def test_waiting_for_subscriptions(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        client = await raw(server)
        await client.message()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_subscribed)
            nursery.start_soon(server.wait_subscribed, "ticks", ["btc/usd"])
            await wait_all_tasks_blocked()
            await client.send(action="subscribe", channels=["trades"], symbols=["BTCUSD"], dataset="Crypto")
        await server.wait_subscribed("trades", "X:BTC-USD", dataset="Crypto", timeout=0)
        await client.send(action="subscribe", channels=["bars"], symbols="*", frequency="1s")
        await server.wait_subscribed("bars", "*", frequency="Second")
        assert trio.current_time() == 0


async def test_the_words_where_no_subscription_comes(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        client = await raw(server)
        await client.send(action="subscribe", channels=["quotes", "news"], symbols=["AAPL"])
        with pytest.raises(ExpectationError) as caught:
            await server.wait_subscribed("quotes", ["AAPL", "MSFT"], timeout=1.5)
        assert trio.current_time() == 1.5
        text = str(caught.value).splitlines()
        assert text[0] == "expected a subscription to quotes of AAPL, MSFT within 1.5 s, which did not come"
        assert text[1] == "seen of that kind (subscribe):"
        assert text[2] == "  connection 1 at 0.000 s: subscribed quotes of AAPL (SIP)"
        assert text[3].startswith("  connection 1 at 0.000 s: a request was refused: UNKNOWN_CHANNEL: unknown channel")
        assert text[4:] == ["the end of the log:", *server.log.tail().splitlines()]
        with pytest.raises(ExpectationError, match=r"subscription to aggregates \(Hour\) of A in Crypto within 0 s"):
            await server.wait_subscribed("bars", "A", frequency="1h", dataset="Crypto", timeout=0)
        with pytest.raises(ExpectationError, match="to any channel of any symbol in Crypto within 0 s"):
            await server.wait_subscribed(dataset="Crypto", timeout=0)


async def test_waits_that_make_no_sense(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        with pytest.raises(ConfigurationError, match="unknown channel"):
            await server.wait_subscribed("news")
        with pytest.raises(ConfigurationError, match="unknown frequency"):
            await server.wait_subscribed("bars", frequency="2h")
        with pytest.raises(ConfigurationError, match="no symbol"):
            await server.wait_subscribed("bars", "A B")
        with pytest.raises(EventError, match="unknown dataset 'OTC'"):
            await server.wait_subscribed("bars", dataset="OTC")


async def test_waiting_for_clients_to_come_and_go(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        await server.wait_closed(timeout=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_connected, 2)
            one, two = await raw(server), await raw(server, "/datafye-ws/v1/stocks/live/quotes")
        assert [one.path for one in server.connections] == ["/datafye-ws/v1", "/datafye-ws/v1/stocks/live/quotes"]
        with pytest.raises(ExpectationError) as caught:
            await server.wait_connected(3, timeout=1)
        assert str(caught.value).splitlines()[:5] == [
            "expected 3 connections within 1 s, but there are 2",
            "nothing of that kind was seen (close)",
            "seen of that kind (connect):",
            "  connection 1 at 0.000 s: connected to /datafye-ws/v1",
            "  connection 2 at 0.000 s: connected to /datafye-ws/v1/stocks/live/quotes",
        ]
        await one.close()
        with pytest.raises(ExpectationError) as caught:
            await server.wait_closed(timeout=1)
        assert str(caught.value).splitlines()[:3] == [
            "expected no connections within 1 s, but open are #2 (/datafye-ws/v1/stocks/live/quotes from memory)",
            "seen of that kind (close):",
            "  connection 1 at 1.000 s: closed with 1000",
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_closed)
            await wait_all_tasks_blocked()
            await two.close()


async def test_a_whole_conversation_in_order(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        with server.in_order():
            server.expect_connect("stocks/live/trades")
            server.expect_subscribe("trades", ["aapl", "MSFT"], dataset="SIP").then_publish(trade(), trade("MSFT"))
            server.expect_pong()
            server.expect_unsubscribe("trades", "MSFT")
            end = server.expect_close(1000)
        client = await raw(server, "/datafye-ws/v1/stocks/live/trades")
        await client.message()
        await client.ask(action="subscribe", symbols=["AAPL", "MSFT"])
        assert [one["symbol"] for one in await client.messages(2)] == ["AAPL", "MSFT"]
        await client.message()
        await client.send(action="pong")
        await client.ask(action="unsubscribe", symbols=["MSFT"])
        assert not end.met
        await client.close()
        await server.wait_expected()


async def test_a_server_that_ends_a_connection(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        expected = server.expect_close(4009)
        await raw(server)
        await expected.wait(timeout=40)
        assert trio.current_time() == pytest.approx(40)


async def test_expectations_hold_for_messagepack(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        expected = server.expect_subscribe("quotes", "AAPL")
        await raw(server, "/datafye-ws/v1?channels=quotes&symbols=AAPL", "Sec-WebSocket-Protocol: datafye.v1.msgpack")
        await expected.wait()


async def test_a_dialect_hides_nothing_from_expectations(autojump_clock: MockClock) -> None:
    """What the client is told there is no more than `subscribed`; what the server has accepted counts all the same."""
    async with open_test_server(dialect="datafye") as server:
        expected = server.expect_subscribe("trades", ["AAPL", "MSFT"], dataset="SIP")
        other = server.expect_subscribe("trades", "IBM")
        client = await raw(server, "/datafye-ws/v1/stocks/live/ticks")
        second = await raw(server, "/datafye-ws/v1/stocks/live/ticks")
        assert await client.message() == await second.message() == {"type": "connected"}
        await second.send(action="subscribe", symbols=["IBM"], dataset="SIP")
        await client.send(action="subscribe", symbols=["AAPL", "MSFT"], dataset="SIP")
        assert await client.message() == {"type": "subscribed"}
        await expected.wait(timeout=0)
        await other.wait(timeout=0)
        await client.send(action="subscribe", symbols=["A"], dataset="SIP")  # a second one: the dialect says no
        assert (await client.message())["type"] == "error"
        with pytest.raises(ExpectationError, match="a request was refused: error: a second request"):
            await server.wait_subscribed("trades", "A", timeout=1)
