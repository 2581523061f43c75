"""The test server: what it publishes and plays, what it tells of its clients, and what it says when all is over."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

import pytest
import trio
from support import RawClient, upgrade_head
from trio.testing import MockClock

from datafye_trio import (
    ConfigurationError,
    EventError,
    FeedConfig,
    Halt,
    Reconnect,
    ServerClosedError,
)  # fmt: skip
from datafye_trio.testing import (
    START,
    ExpectationError,
    TestServer,
    halt,
    open_test_server,
    quote,
    resume,
    trade,
)  # fmt: skip


async def raw(server: TestServer, path: str = "/datafye-ws/v1") -> RawClient:
    """A client that sees the bytes; `connected` is read."""
    client = RawClient(server.connect())
    await client.stream.send_all(upgrade_head(path))
    assert (await client.http_answer())[0] == 101
    assert (await client.message())["type"] == "connected"
    return client


async def test_a_feed_gets_what_is_published(autojump_clock: MockClock) -> None:
    async with open_test_server() as server, server.open_feed() as feed:
        expected = server.expect_subscribe("trades", "AAPL").then_publish(trade())
        async with feed.trades("AAPL") as trades:
            event = await anext(aiter(trades))
            assert event == trade()
            await expected.wait()
        assert [(one.number, one.path, one.address) for one in server.connections] == [(1, "/datafye-ws/v1", "memory")]


async def test_publishing_to_a_dataset_and_without_waiting(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        client = await raw(server)
        await client.ask(action="subscribe", channels=["trades"], symbols="*")
        await client.ask(action="subscribe", channels=["trades"], symbols="*", dataset="Crypto")
        await server.publish([trade(), halt(), resume()])
        server.publish_nowait(trade("BTCUSD", 43_000.5, 0.25, exchange_id="Coinbase"), "Crypto")
        found = await client.messages(4)
        assert [(one["type"], one["dataset"]) for one in found] == [
            ("trade", "SIP"), ("halt", "SIP"), ("resume", "SIP"), ("trade", "Crypto"),
        ]  # fmt: skip
        with pytest.raises(EventError, match="unknown dataset 'OTC'"):
            await server.publish(trade(), "OTC")


async def test_what_is_done_next_comes_behind_what_was_published(autojump_clock: MockClock) -> None:
    """Else it was a matter of luck, which Trio draws anew each time: so several times."""
    async with open_test_server() as server:
        for _ in range(10):
            client = await raw(server)
            await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
            await server.publish(trade())
            server.faults.drop()
            assert (await client.message())["type"] == "trade"
            await server.wait_closed()


async def test_a_server_that_is_never_quiet_publishes_all_the_same(mock_clock: MockClock) -> None:
    mock_clock.rate = 1.0
    async with open_test_server(listen=False) as server, trio.open_nursery() as nursery:

        async def restless() -> None:
            for _ in itertools.count():
                await trio.lowlevel.checkpoint()

        nursery.start_soon(restless)
        await server.publish(trade())
        nursery.cancel_scope.cancel()


async def test_a_play_keeps_the_distances_of_its_events(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        client = await raw(server)
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        events = [trade(price=1.0 + n, at=timedelta(seconds=90 * n)) for n in range(3)]
        playing = server.play(events, at=5, speed=2)
        times = []
        while len(times) < 3:
            if (await client.message())["type"] == "trade":
                times.append(trio.current_time())
            else:
                await client.send(action="pong")
        assert times == pytest.approx([5, 50, 95])
        assert times[0] > 5, "after what the test does itself at that moment"
        assert await playing.wait() == 3
        at_once = server.play(iter(events), speed=math.inf)
        assert await at_once.wait() == 3
        assert [one["tradePrice"] for one in await client.messages(3)] == [1, 2, 3]


async def test_two_plays_at_once_and_one_that_is_cancelled(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        seconds = [trade(at=timedelta(seconds=n)) for n in range(100)]
        one, two = server.play(seconds), server.play(seconds, dataset="Crypto")
        await trio.sleep(9.5)
        one.cancel()
        assert (await one.wait(), two.done) == (10, False)
        assert await two.wait() == 100


async def test_a_play_that_fails_is_told_to_whoever_waits_or_else_at_the_end(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        playing = server.play([quote()], dataset="Crypto")
        with pytest.raises(EventError, match="no channel for a Quote"):
            await playing.wait()
        server.check()
    with pytest.raises(
        ExpectationError, match=r"the server failed: play\(\) failed: EventError: .* for a Quote"
    ) as caught:
        async with open_test_server() as server:
            server.play([quote()], dataset="Crypto")
            await trio.sleep(1)
    assert isinstance(caught.value.__cause__, EventError)


@pytest.mark.parametrize(("at", "speed"), [(-1, 1), (math.inf, 1), (0, 0), (math.nan, 1), (0, math.nan)])
async def test_a_play_that_makes_no_sense(autojump_clock: MockClock, at: float, speed: float) -> None:
    async with open_test_server() as server:
        with pytest.raises(ConfigurationError, match=f"at={at}, speed={speed}"):
            server.play([], at=at, speed=speed)
        with pytest.raises(ConfigurationError, match="no dataset 'OTC'"):
            server.play([], dataset="OTC")


async def test_its_time_follows_the_clock(autojump_clock: MockClock) -> None:
    await trio.sleep(3)
    async with open_test_server(start=START + 5) as server:
        assert server.now() == START + 5
        await trio.sleep(23_400)
        assert server.now() == START + 5 + 23_400 * 10**9


async def test_a_feeds_waits_come_from_the_seed_or_from_its_own_settings(autojump_clock: MockClock) -> None:
    drawn: list[list[float]] = []
    for seed in (1, 1, 2):
        async with open_test_server(seed=seed) as server:
            waits: list[float] = []
            for config in (None, FeedConfig(connect_seconds=1), FeedConfig(reconnect=Reconnect(jitter=lambda: 0.5))):
                server.faults.refuse(1)
                async with server.open_feed(config):
                    began = trio.current_time()
                    await server.wait_connected()
                    waits.append(round(trio.current_time() - began, 9))
                await server.wait_closed()
            drawn.append(waits)
    assert drawn[0] == drawn[1]
    assert len({*drawn[0], *drawn[2]}) == 5
    assert drawn[0][2] == 0.125


async def test_what_is_asked_of_a_server_that_has_ended(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        pass
    with pytest.raises(ServerClosedError, match="the test server has ended"):
        await server.publish(trade())
    with pytest.raises(ServerClosedError):
        server.play([])


async def test_a_silent_feed_under_a_mute(autojump_clock: MockClock) -> None:
    """Open, and nothing comes: the feed finds out, comes back, and has lost nothing."""
    async with open_test_server(seed=3) as server, server.open_feed() as feed:
        async with feed.trades("AAPL") as trades:
            await server.wait_subscribed("trades", "AAPL")
            with server.faults.mute():
                await server.publish(trade(price=1))
                await trio.sleep(25)
            assert await anext(aiter(trades)) == trade(price=1)
        assert len(server.log.entries("open")) == 2


async def test_halts_reach_a_feed(autojump_clock: MockClock) -> None:
    async with open_test_server() as server, server.open_feed() as feed, feed.quotes("AAPL") as quotes:
        await server.wait_subscribed("quotes", "AAPL")
        await server.publish([quote(), halt(reason="news")])
        events = [await anext(aiter(quotes)) for _ in range(2)]
        assert isinstance(events[1], Halt)
        assert events[1].reason == "news"


async def test_close_and_drop_follow_on_what_is_expected(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        server.expect_subscribe("trades", "AAPL").then_close(4013)
        server.expect_subscribe("trades", "MSFT").then_drop()
        first, second = await raw(server), await raw(server)
        await first.send(action="subscribe", channels=["trades"], symbols=["AAPL"])
        assert await first.closed() == (4013, "as the test wants it")
        await first.stream.aclose()
        await second.send(action="subscribe", channels=["trades"], symbols=["MSFT"])
        assert (await second.message())["type"] == "subscribed"
        assert await second.frame() == (-1, b"")
        expected = server.expect_connect().then_drop()
        server.close_connection(1000, 77)
        server.drop_connection(77)  # gone already: nothing to do
        third = RawClient(server.connect())
        await third.stream.send_all(upgrade_head())
        await expected.wait()
        await server.wait_closed()


async def test_a_seed_makes_all_the_same_to_the_byte(autojump_clock: MockClock) -> None:
    """Eight runs, their order of tasks as random as trio has it; data and heartbeats fall on the same seconds."""

    async def run(seed: int) -> bytes:
        async with (
            open_test_server(seed=seed, heartbeat_interval=2) as server,
            server.open_feed() as one,
            one.trades(["AAPL", "MSFT"]),
        ):
            await server.wait_connected()  # else it is trio's coin who comes first
            async with server.open_feed() as two, two.quotes("AAPL"), two.trades("*"):
                await server.wait_subscribed("quotes", "AAPL")
                await server.wait_subscribed("trades", "*")
                events = [trade(at=timedelta(seconds=n)) for n in range(30)]
                server.play([quote(at=event.exchange_timestamp) for event in events])
                playing = server.play(events)
                await trio.sleep(2.5)
                with server.faults.delay(0.02, jitter=0.05), server.faults.duplicate(0.2):
                    await trio.sleep(6)
                with server.faults.reorder(0.2):
                    await trio.sleep(5)
                server.faults.drop(connection=1)
                await trio.sleep(3)
                await server.faults.restart(down=1.5)
                await trio.sleep(5)
                await server.faults.restart(clean=False)
                await playing.wait()
        return server.log.dump()

    dumps = [await run(7) for _ in range(8)]
    assert len({*dumps}) == 1
    assert b'"heartbeat"' in dumps[0]
    assert await run(8) not in dumps
