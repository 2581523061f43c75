"""A feed of a server that offers only what Datafye documents: what it asks, what it yields, and what it admits."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from client.plain_kit import EMA, MINUTE, SECOND, SMA, asked, dialing, enter_and_leave, served
from client.plain_server import BASE, PlainConfig, open_plain_server
from client.scripted import Peer, ScriptedServer
from client.test_subscription import take
from support import START_NS, quote, trade
from trio.testing import MockClock

from datafye_trio import (
    Bar,
    BufferOverflowError,
    FeedConfig,
    FeedState,
    Gap,
    Quote,
    SubscriptionError,
    Trade,
    open_feed,
    open_raw_feed,
)  # fmt: skip


async def test_each_channel_has_a_connection_with_the_samples_request(autojump_clock: MockClock) -> None:
    events = [quote(), trade(), MINUTE, SMA, EMA]
    async with served() as (server, feed):
        async with feed.subscribe(["quotes", "trades", "bars", "sma", "ema"], "aapl") as sub:
            await server.publish(*events)
            assert sorted(map(repr, await take(sub, 5))) == sorted(map(repr, events))
        assert server.refused == ["/datafye-ws/v1"]
        request = {"action": "subscribe", "dataset": "SIP", "symbols": ["AAPL"]}
        framed = request | {"frequency": "Minute"}
        assert sorted(server.requests, key=repr) == sorted(
            [(f"{BASE}/live/{path}", request) for path in ("quotes", "ticks")]
            + [(f"{BASE}/live/{path}", framed) for path in ("aggs", "sma", "ema")],
            key=repr,
        )


async def test_it_says_that_a_loss_cannot_be_proved(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        assert feed.provable is None
        assert await feed.wait_connected() is None
        assert feed.provable is False
        assert feed.server is None
        async with feed.trades("AAPL") as sub:
            await server.publish(trade(n=1), trade(n=2))
            await take(sub, 2)
            (entry,) = feed.ledger().values()
            assert (entry.epoch, entry.last, entry.received, entry.missing, entry.restarts) == ("", None, 2, 0, 0)


@pytest.mark.parametrize("config", [PlainConfig(connected=True, subscribed=True), PlainConfig(connected=True)])
async def test_a_bare_greeting_is_none_and_is_not_waited_for(autojump_clock: MockClock, config: PlainConfig) -> None:
    async with served(config) as (server, feed), feed.trades("AAPL") as sub:
        assert trio.current_time() <= 1
        await server.publish(trade(n=1))
        assert await take(sub, 1) == [trade(n=1)]


async def test_frequencies_and_datasets_have_connections_of_their_own(autojump_clock: MockClock) -> None:
    async with (
        served() as (server, feed),
        feed.bars("AAPL", frequency="Second") as seconds,
        feed.bars("AAPL") as minutes,
        feed.bars("X:BTC-USD", asset_class="crypto") as crypto,
    ):
        coin = Bar("BTCUSD", "Minute", START_NS, 1, 2, 1, 2, 0.5, 0, None)
        await server.publish(SECOND, MINUTE)
        await server.publish(coin, dataset="Crypto")
        assert [await take(sub, 1) for sub in (seconds, minutes, crypto)] == [[SECOND], [MINUTE], [coin]]
        assert [request for _, request in server.requests] == [
            {"action": "subscribe", "dataset": "SIP", "symbols": ["AAPL"], "frequency": "Second"},
            {"action": "subscribe", "dataset": "SIP", "symbols": ["AAPL"], "frequency": "Minute"},
            {"action": "subscribe", "dataset": "Crypto", "symbols": ["BTCUSD"], "frequency": "Minute"},
        ]


async def test_a_symbol_more_is_a_new_connection_with_all_and_a_gap_for_those_before(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("AAPL") as sub:
        await sub.add("MSFT")
        (gap,) = await take(sub, 1)
        assert isinstance(gap, Gap)
        assert (gap.topic.symbol, gap.first, gap.reason) == ("AAPL", None, "unnumbered")
        await server.publish(trade("AAPL", 1), trade("MSFT", 2))
        assert await take(sub, 2) == [trade("AAPL", 1), trade("MSFT", 2)]
        assert asked(server, "ticks") == [["AAPL"], ["AAPL", "MSFT"]]
        assert len(server.peers) == 1


async def test_changes_at_one_time_make_one_connection(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        async with feed.trades("AAPL"), trio.open_nursery() as nursery:
            for symbol in ("MSFT", "NVDA", "TSLA"):
                nursery.start_soon(enter_and_leave, feed, symbol)
        assert len(asked(server, "ticks")) == 2


async def test_what_is_left_is_dropped_and_leaves_the_wire_with_the_last(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        async with feed.trades(["AAPL", "MSFT"]) as sub:
            await sub.remove("AAPL")
            await server.publish(trade("AAPL", 1), trade("MSFT", 2))
            assert await take(sub, 1) == [trade("MSFT", 2)]
            await trio.sleep(10)
            assert asked(server, "ticks") == [["AAPL", "MSFT"]]  # the others have no hole for its sake
        await trio.sleep(10)
        assert server.peers == []
        assert feed.state.state is FeedState.LIVE
        assert feed.ledger() == {}
        async with feed.trades("AAPL") as sub:
            await server.publish(trade("AAPL", 3))
            assert await take(sub, 1) == [trade("AAPL", 3)]


async def test_what_is_given_up_while_it_connects_is_not_connected_to(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended)
        config = FeedConfig(layout="per-channel", open_stream=server.dial)
        async with open_feed("ws://test", config) as feed:
            await feed.wait_connected()
            server.answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
            with trio.move_on_after(10):
                await enter_and_leave(feed, "AAPL")
            tried = len(server.times)
            assert tried > 2
            await trio.sleep(1_000)
            assert len(server.times) <= tried + 1
            assert feed.state.state is FeedState.LIVE


async def test_after_a_cut_each_topic_has_one_gap_in_its_place(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades(["AAPL", "MSFT"]) as sub:
        await server.publish(trade("AAPL", 1), trade("MSFT", 2))
        await server.close_all(1012)
        before, gaps = await take(sub, 2), await take(sub, 2)
        assert before == [trade("AAPL", 1), trade("MSFT", 2)]
        assert [(gap.topic.symbol, gap.epoch, gap.last, gap.reason) for gap in gaps] == [
            (symbol, "", None, "unnumbered") for symbol in ("AAPL", "MSFT")
        ]
        await server.publish(trade("MSFT", 3))
        assert await take(sub, 1) == [trade("MSFT", 3)]
        assert {(entry.received, entry.restarts) for entry in feed.ledger().values()} == {(1, 1), (2, 1)}
        assert sub.statistics().gaps == 2


async def test_a_consumer_that_stalls_has_a_gap_where_it_was_too_slow(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("AAPL", buffer=4) as slow, feed.trades("AAPL") as quick:
        await server.publish(*(trade(n=n) for n in range(10)))
        assert await take(quick, 10) == [trade(n=n) for n in range(10)]
        assert slow.statistics().paused
        *items, gap = await take(slow, 5)
        assert items == [trade(n=n) for n in range(4)]
        assert gap.reason == "unnumbered"
        await server.publish(trade(n=10))
        assert await take(slow, 1) == await take(quick, 1) == [trade(n=10)]
        assert asked(server, "ticks") == [["AAPL"]]  # nobody else has paid for it


async def test_full_again_before_the_gap_is_told(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades(["AAPL", "MSFT"], buffer=1) as sub:
        await server.publish(trade("AAPL", 1), trade("MSFT", 2), trade("AAPL", 3))
        await trio.testing.wait_all_tasks_blocked()
        first, *gaps = await take(sub, 3)
        assert first == trade("AAPL", 1)
        assert {gap.topic.symbol for gap in gaps} == {"AAPL", "MSFT"}
        await server.publish(trade("MSFT", 4))
        assert await take(sub, 1) == [trade("MSFT", 4)]


async def test_a_cut_while_a_consumer_is_stalled_is_told_once(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("AAPL", buffer=2) as sub:
        await server.publish(*(trade(n=n) for n in range(4)))
        await server.close_all(1012)
        await trio.sleep(5)
        items = await take(sub, 3)
        assert items[:2] == [trade(n=0), trade(n=1)]
        assert items[2].reason == "unnumbered"
        await server.publish(trade(n=9))
        assert await take(sub, 1) == [trade(n=9)]


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [7, 8, 9]), ("latest", [9])])
async def test_the_other_policies(autojump_clock: MockClock, policy: Any, kept: list[int]) -> None:
    async with served() as (server, feed), feed.trades("AAPL", policy=policy, buffer=3) as sub:
        await server.publish(*(trade(n=n) for n in range(10)))
        await trio.testing.wait_all_tasks_blocked()
        items = await take(sub, len(kept) + (policy == "drop_oldest"))
        assert [item for item in items if isinstance(item, Trade)] == [trade(n=n) for n in kept]
        assert [item.reason for item in items if isinstance(item, Gap)] == ["buffer_full"] * (policy != "latest")
        assert sub.statistics().dropped + sub.statistics().conflated == 10 - len(kept)


async def test_policy_error(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("AAPL", policy="error", buffer=3) as sub:
        await server.publish(*(trade(n=n) for n in range(10)))
        await take(sub, 3)
        with pytest.raises(BufferOverflowError):
            await anext(sub)


async def test_a_mute_connection_is_found_by_pings(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.trades("AAPL") as sub:
        quiet = trio.current_time()
        await trio.sleep(300)
        assert feed.state.time <= quiet  # quiet is not mute
        server.muted = True
        with trio.fail_after(41):
            async for change in feed.states():
                if change.state is FeedState.DISCONNECTED:
                    break
        assert "ping" in (change.why or "")
        server.muted = False
        assert (await take(sub, 1))[0].reason == "unnumbered"


async def test_the_feed_is_as_well_as_its_worst_connection(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.subscribe(["quotes", "trades"], "AAPL"):
        seen = feed.states()
        (ticks,) = [peer for peer in server.peers if peer.path.endswith("ticks")]
        with trio.move_on_after(2):
            await ticks.websocket.aclose(1012)
        found = [await anext(seen) for _ in range(6)]
        assert [change.state for change in found] == [
            "live", "disconnected", "connecting", "connected", "recovering", "live",
        ]  # fmt: skip
        assert all(change.url.endswith("ticks") for change in found[1:-1])


async def test_raw_items_are_as_the_server_wrote_them(autojump_clock: MockClock) -> None:
    async with (
        open_plain_server() as server,
        open_raw_feed("ws://test", dialing(server)) as feed,
        feed.trades("AAPL") as sub,
    ):
        await server.publish(trade(n=1))
        assert await take(sub, 1) == [server.frame(trade(n=1))]


async def test_over_sockets() -> None:
    with trio.fail_after(20):
        async with open_plain_server(PlainConfig(connected=True, subscribed=True)) as server:
            url = f"ws://127.0.0.1:{await server.listen()}"
            async with open_feed(url) as feed:
                async with feed.subscribe(["quotes", "bars"], ["AAPL"]) as sub:
                    await server.publish(quote(), MINUTE)
                    found = await take(sub, 2)
                    assert {type(item) for item in found} == {Quote, Bar}
                assert feed.provable is False
                server.history = [MINUTE]
                async with feed.history("AAPL", start=START_NS, end=START_NS + 60 * 10**9) as stored:
                    assert [bar async for bar in stored] == [MINUTE]
            assert server.faults == []


async def test_stored_and_live_data_are_not_joined(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        with pytest.raises(SubscriptionError, match="cannot be joined") as caught:
            async with feed.bars("AAPL", since=START_NS):
                pass
        assert caught.value.code == "CHANNEL_NOT_AVAILABLE"
        assert server.requests == server.faults == []
