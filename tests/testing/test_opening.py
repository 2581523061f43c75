"""`open_test_server`: what it is given, where it listens, what leaves it, and that two of them share nothing."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence

import pytest
import trio
from support import RawClient, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    AssetClass,
    Channel,
    ConfigurationError,
    DatasetInfo,
    HeartbeatConfig,
    Program,
    ServerConfig,
    Source,
)  # fmt: skip
from datafye_trio.sources import Publisher
from datafye_trio.testing import ExpectationError, TestServer, open_test_server, trade


class Crashing(Program):
    """A source with a bug."""

    async def run(self, publisher: Publisher) -> None:
        await trio.sleep(1)
        raise KeyError("a bug")


async def greeted(stream: trio.abc.Stream, path: str = "/datafye-ws/v1") -> tuple[RawClient, dict[str, object]]:
    """A client, and what the server says of itself."""
    client = RawClient(stream)
    await stream.send_all(upgrade_head(path))
    assert (await client.http_answer())[0] == 101
    return client, await client.message()


# What it is given.


async def test_the_datasets_of_a_test_server(autojump_clock: MockClock) -> None:
    odds = DatasetInfo("Odds", AssetClass.STOCKS, (Channel.TRADES,), symbols=frozenset({"AAPL"}))
    async with open_test_server(datasets=["SIP", "Crypto", "Synthetic", odds]) as server:
        _, hello = await greeted(server.connect())
        offers = hello["datasets"]
        assert isinstance(offers, list)
        every = ["quotes", "trades", "aggregates", "sma", "ema"]
        found = [(one["dataset"], one["assetClass"], one["channels"], len(one["frequencies"])) for one in offers]
        assert found == [
            ("SIP", "stocks", every, 4),
            ("Crypto", "crypto", every[1:], 4),
            ("Synthetic", "stocks", every, 4),
            ("Odds", "stocks", ["trades"], 0),
        ]


async def test_the_made_up_market_comes_from_the_seed(autojump_clock: MockClock) -> None:
    async def first(seed: int) -> dict[str, object]:
        async with open_test_server(datasets=["Synthetic"], seed=seed) as server:
            client, _ = await greeted(server.connect())
            await client.ask(action="subscribe", channels=["quotes"], symbols="*")
            return await client.message()

    assert await first(1) == await first(1) != await first(2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"datasets": []}, "name one or more"),
        ({"datasets": "SIP"}, "name one or more"),
        ({"datasets": ["SIP", "SIP"]}, "named twice"),
        ({"dialect": "klingon"}, "dialect='klingon': there is datafye"),
        ({"heartbeat_interval": 0}, "heartbeat_interval=0: a number of seconds above 0"),
        ({"heartbeat_interval": math.inf}, "heartbeat_interval=inf: a number"),
        ({"heartbeat_interval": "5"}, "heartbeat_interval='5': a number"),
        ({"config": ServerConfig(cert="c.pem", key="k.pem")}, "speaks no TLS"),
    ],
)
async def test_what_cannot_be(autojump_clock: MockClock, options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        async with open_test_server(**options):  # type: ignore[arg-type]
            pass


def test_where_trio_does_not_run_it_says_what_to_take() -> None:
    async def main() -> None:
        async with open_test_server():
            pytest.fail("it has opened")

    with pytest.raises(ConfigurationError, match="is for Trio, which does not run here: take the fixture datafye, or"):
        asyncio.run(main())


async def test_heartbeats_as_they_are_wanted(autojump_clock: MockClock) -> None:
    async with open_test_server(heartbeat_interval=2) as server:
        client, hello = await greeted(server.connect())
        assert (hello["heartbeatInterval"], hello["heartbeatTimeout"]) == (2, 6)
        assert await client.closed() == (4009, 'answer heartbeats with {"action":"pong"}')
        assert trio.current_time() == pytest.approx(8)
    config = ServerConfig(heartbeat=HeartbeatConfig(5, 7), timestamp_unit="ms")
    async with open_test_server(config=config) as server:
        _, hello = await greeted(server.connect())
        assert (hello["heartbeatInterval"], hello["heartbeatTimeout"], hello["timestampUnit"]) == (5, 7, "ms")


async def test_faults_by_http_where_they_are_asked_for(autojump_clock: MockClock) -> None:
    async def ask(server: TestServer) -> tuple[int, str]:
        client = RawClient(server.connect())
        await client.stream.send_all(b"POST /faults/mute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        status, _, body = await client.http_answer()
        return status, body

    async with open_test_server(control=True) as server:
        assert (await ask(server))[0] == 200
        assert [fault.name for fault in server.faults.active] == ["mute"]
    async with open_test_server() as server:
        assert (await ask(server))[0] == 405, "the server's own answer"


# Where it listens.


async def test_under_an_autojump_clock_it_does_not_listen(autojump_clock: MockClock) -> None:
    threads = threading.active_count()
    async with open_test_server() as server:
        for look in (lambda: server.url, lambda: server.port, lambda: server.url_for("stream")):
            with pytest.raises(ConfigurationError, match=r"does not listen.*Use server\.open_feed\(\)"):
                look()
        async with server.open_feed() as feed, feed.trades("AAPL"):
            await server.wait_subscribed("trades", "AAPL")
        assert threading.active_count() == threads


async def test_on_any_other_clock_it_does_and_the_port_outlives_a_restart() -> None:
    async with open_test_server() as server:
        assert server.url == f"ws://127.0.0.1:{server.port}/datafye-ws/v1"
        assert server.url_for("/stocks/live/quotes") == f"{server.url}/stocks/live/quotes"
        with trio.fail_after(5):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                client, hello = await greeted(stream)
                await server.wait_connected()
                assert server.connections[0].address == "127.0.0.1"
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.faults.restart)
                    assert (await client.closed())[0] == 1012
                    await stream.aclose()
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                _, again = await greeted(stream)
                assert again["datasets"] != hello["datasets"]
    with pytest.raises(OSError, match="refused|connect"):
        await trio.open_tcp_stream("127.0.0.1", server.port)


async def test_a_clock_that_is_moved_by_hand_may_have_sockets(mock_clock: MockClock) -> None:
    async with open_test_server() as server:
        assert server.port > 0


async def test_listening_is_for_the_test_to_say(autojump_clock: MockClock) -> None:
    async with open_test_server(listen=True) as server:
        assert server.port > 0


# What leaves it.


async def test_what_the_body_raises_leaves_bare(autojump_clock: MockClock) -> None:
    for error in (ValueError("mine"), ExceptionGroup("mine", [ValueError()]), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            async with open_test_server() as server:
                server.expect_connect()  # of which nobody is told then: the body's own error is what matters
                await greeted(server.connect())
                raise error
        assert caught.value is error


async def test_clients_get_1001_and_what_was_queued(autojump_clock: MockClock) -> None:
    seen: list[object] = []
    async with trio.open_nursery() as nursery, open_test_server() as server:
        client, _ = await greeted(server.connect(), "/datafye-ws/v1/stocks/live/trades")
        await client.ask(action="subscribe", symbols=["AAPL"])

        async def read() -> None:
            seen.append((await client.message())["type"])
            seen.append(await client.closed())
            await client.stream.aclose()

        server.faults.mute()
        await server.publish(trade())
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert not seen
    assert seen == ["trade", (1001, "the server shuts down")]
    assert trio.current_time() < 2


async def test_cancelling_the_body_ends_it_at_once(autojump_clock: MockClock) -> None:
    with trio.move_on_after(3) as scope:
        async with open_test_server() as server:
            await greeted(server.connect())  # and never reads again
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() < 5


async def test_what_was_expected_and_did_not_come_is_said_at_the_end(autojump_clock: MockClock) -> None:
    with pytest.raises(ExpectationError, match="expected the end of a connection, which did not come"):
        async with open_test_server() as server:
            await greeted(server.connect())
            server.expect_close()  # its own end is none that anybody waits for


async def test_an_error_of_the_server_is_said_at_the_end(autojump_clock: MockClock) -> None:
    with pytest.raises(ExpectationError, match="the server failed: source crashed: KeyError: 'a bug'") as caught:
        async with open_test_server(sources=lambda: [Crashing()]) as server:
            await trio.sleep(2)
            (failure,) = map(str, server.errors)
            assert failure.startswith(f"source crashed: KeyError: 'a bug' ({__file__}:")
    assert isinstance(caught.value.__cause__, ExceptionGroup)


async def test_what_cannot_follow_is_said_at_the_end(autojump_clock: MockClock) -> None:
    words = "the server failed: what was to follow on the end of a connection failed: EventError: .*nan"
    with pytest.raises(ExpectationError, match=words):
        async with open_test_server() as server:
            server.expect_close().then_publish(trade(price=math.nan))
            client, _ = await greeted(server.connect())
            await client.close()
            await wait_all_tasks_blocked()


async def test_nothing_follows_on_the_end_itself(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        expected = server.expect_close().then_drop()
        client, _ = await greeted(server.connect())
        await greeted(server.connect())
        await client.close()
        await expected.wait()
    assert expected.times == 1
    assert {entry.code for entry in server.log.entries("close", connection=2)} == {1001}


# Two of them.


async def test_two_servers_share_nothing(autojump_clock: MockClock) -> None:
    def crashing() -> Sequence[Source]:
        return [Crashing()]

    with pytest.raises(ExpectationError, match="a bug"):
        async with open_test_server() as other, open_test_server(sources=crashing) as one:
            connected = other.expect_connect()
            await greeted(one.connect())
            await trio.sleep(2)
            assert (len(one.errors), len(other.errors)) == (1, 0)
            assert (len(one.connections), len(other.connections)) == (1, 0)
            assert len(other.log) == 0
            assert not connected.met
            one.faults.mute()
            one.faults.refuse()
            await greeted(other.connect())
            other.check()
