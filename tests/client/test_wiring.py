"""Which connections a feed makes: one, or one for each channel, and how it finds out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from client.plain_kit import dialing
from client.plain_server import BASE, open_plain_server
from client.scripted import Peer, ScriptedServer
from client.test_subscription import take
from support import memory_server, quote, trade
from trio.testing import MockClock

from datafye_trio import (
    ConnectError,
    DisconnectedError,
    FeedConfig,
    FeedItem,
    FeedState,
    Layout,
    Reconnect,
    Server,
    SubscriptionError,
    WireFeed,
    open_feed,
)  # fmt: skip

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def per_channel(
    url: str = "ws://test", layout: Layout = "per-channel"
) -> AsyncIterator[tuple[Server, WireFeed[FeedItem], list[trio.abc.Stream]]]:
    """A server of ours, a feed with a connection for each channel, and the client's end of each connection."""
    streams: list[trio.abc.Stream] = []
    async with memory_server() as server:

        async def dial() -> trio.abc.Stream:
            streams.append(server.connect())
            return streams[-1]

        config = FeedConfig(Reconnect(first=0.01, ceiling=0.01), layout=layout, open_stream=dial)
        async with open_feed(url, config) as feed:
            yield server, feed, streams


async def test_a_greeting_server_keeps_its_word_on_each_channel(autojump_clock: MockClock) -> None:
    async with per_channel() as (server, feed, streams), feed.subscribe(["quotes", "trades"], ["AAPL", "MSFT"]) as sub:
        assert feed.provable is True
        assert feed.server is not None
        assert trio.current_time() == 0
        assert len(streams) == 3  # one to find out
        await server.publish(quote(n=1))
        await server.publish(trade(n=1))
        assert {repr(item) for item in await take(sub, 2)} == {repr(quote(n=1)), repr(trade(n=1))}
        await trio.aclose_forcefully(streams[1])
        await trio.aclose_forcefully(streams[2])
        await trio.testing.wait_all_tasks_blocked()
        missed = [trade(n=2), trade("MSFT", 1), quote("MSFT", 2)]
        for event in missed:
            await server.publish(event)
        await trio.sleep(1)
        assert sorted(map(repr, await take(sub, 3))) == sorted(map(repr, missed))
        assert len(streams) == 5
        assert {entry.missing + entry.restarts for entry in feed.ledger().values()} == {0}
        assert feed.lag == 0


async def test_one_channel_is_one_connection_whatever_is_asked_of_it(autojump_clock: MockClock) -> None:
    async with per_channel() as (_, feed, streams):
        async with feed.trades("AAPL") as sub, feed.trades("MSFT"):
            await sub.add("NVDA")
        async with feed.trades("*"):
            assert len(streams) == 2
        await trio.testing.wait_all_tasks_blocked()
        assert feed.state.state is FeedState.LIVE


async def test_auto_is_one_connection_where_the_server_has_the_path(autojump_clock: MockClock) -> None:
    async with per_channel(layout="auto") as (_, feed, streams), feed.subscribe(["quotes", "trades"], "AAPL"):
        assert len(streams) == 1
        assert feed.provable is True


async def test_auto_takes_a_greeting_on_the_path_of_a_channel(autojump_clock: MockClock) -> None:
    url = "ws://test/datafye-ws/v1/stocks/live/trades"
    async with per_channel(url, "auto") as (server, feed, streams), feed.trades("AAPL") as sub:
        await server.publish(trade())
        assert await take(sub, 1) == [trade()]
        assert len(streams) == 1


async def test_auto_on_the_path_of_a_channel_does_not_wait_long_for_a_greeting(autojump_clock: MockClock) -> None:
    async with open_plain_server() as server, open_feed(f"ws://test{BASE}/live/quotes", dialing(server)) as feed:
        await feed.wait_connected()
        assert feed.provable is False
        assert trio.current_time() == pytest.approx(2 + 2, abs=0.5)


async def test_a_server_that_accepts_everything_and_says_nothing_is_plain_in_the_end(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended)
        async with open_feed("ws://test", FeedConfig(open_stream=server.dial)) as feed:
            assert await feed.wait_connected() is None
            assert trio.current_time() == pytest.approx(30 + 30, abs=1)
            assert [peer.path for peer in server.peers] == ["/datafye-ws/v1", f"{BASE}/live/quotes"]


async def test_a_server_that_was_busy_is_not_taken_for_a_plain_one(autojump_clock: MockClock) -> None:
    async def late(peer: Peer) -> None:
        await trio.sleep(10)
        await peer.greet()
        await peer.ended()

    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended, late)
        async with open_feed("ws://test", FeedConfig(open_stream=server.dial)) as feed:
            assert await feed.wait_connected() is not None
            assert feed.provable is True


async def test_single_waits_for_a_greeting(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended)
        config = FeedConfig(Reconnect(attempts=1), layout="single", open_stream=server.dial)
        with pytest.raises(DisconnectedError, match="first message"):
            async with open_feed("ws://test", config) as feed:
                await feed.wait_connected()
        assert {peer.path for peer in server.peers} == {"/datafye-ws/v1"}


async def test_what_was_once_found_out_holds(autojump_clock: MockClock) -> None:
    async def greet(peer: Peer) -> None:
        await peer.greet()
        await peer.close(1012)

    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, greet, Peer.ended)
        config = FeedConfig(Reconnect(attempts=2), open_stream=server.dial)
        with pytest.raises(DisconnectedError, match="first message"):
            async with open_feed("ws://test", config) as feed:
                await feed.wait_connected()
                await trio.sleep(1_000)
        assert {peer.path for peer in server.peers} == {"/datafye-ws/v1"}


@pytest.mark.parametrize("layout", ["auto", "per-channel"])
async def test_no_path_at_all_is_an_error(autojump_clock: MockClock, layout: Layout) -> None:
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended)
        server.answer = NOT_FOUND
        with pytest.raises(ConnectError) as caught:
            async with open_feed("ws://test", FeedConfig(layout=layout, open_stream=server.dial)) as feed:
                await feed.wait_connected()
        assert caught.value.status == 404
        assert len(server.times) == 5 + (layout == "auto")


async def test_single_does_not_fall_back(autojump_clock: MockClock) -> None:
    async with open_plain_server() as server:
        with pytest.raises(ConnectError) as caught:
            async with open_feed("ws://test", dialing(server, layout="single")) as feed:
                await feed.wait_connected()
        assert caught.value.status == 404
        assert server.refused == ["/datafye-ws/v1"]


async def test_a_channel_that_a_plain_server_lacks_is_refused_and_the_others_go_on(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended)
        config = FeedConfig(layout="per-channel", open_stream=server.dial)
        async with open_feed("ws://test", config) as feed, feed.trades("AAPL") as trades:
            server.answer = NOT_FOUND
            with pytest.raises(SubscriptionError, match="no such channel") as caught:
                async with feed.sma("AAPL"):
                    pass
            assert caught.value.code == "CHANNEL_NOT_AVAILABLE"
            server.answer = None
            async with feed.sma("AAPL"):  # it may come
                assert server.peers[-1].path == f"{BASE}/live/sma"
            await server.peers[1].trade(1)
            assert (await take(trades, 1))[0].trade_id == "1"


async def test_one_connection_that_cannot_be_kept_ends_the_feed(autojump_clock: MockClock) -> None:
    async with open_plain_server() as server:
        with pytest.raises(DisconnectedError) as caught:
            async with open_feed("ws://test", dialing(server)) as feed, feed.subscribe(["quotes", "trades"], "AAPL"):
                (ticks,) = [peer for peer in server.peers if peer.path.endswith("ticks")]
                with trio.move_on_after(2):
                    await ticks.websocket.aclose(4501, "enough")
                await trio.sleep(10)
                assert feed.state.state is FeedState.CLOSED
        assert caught.value.code == 4501


async def test_cancelled_at_any_point_it_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_plain_server() as server:
        for tenth in range(0, 60, 3):
            with trio.move_on_after(tenth / 10):
                async with open_feed("ws://test", dialing(server)) as feed, feed.trades("AAPL") as sub:
                    await sub.add("MSFT")
                    await trio.sleep_forever()
            await trio.sleep(5)
            assert server.peers == []
    assert isinstance(feed, WireFeed)
