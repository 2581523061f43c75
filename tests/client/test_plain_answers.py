"""What a server of few words says, and what a feed makes of it: refusals, halts, frames that make no sense."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from client.plain_kit import SMA, asked, enter_and_leave, served
from client.plain_server import PlainConfig
from client.scripted import Peer, ScriptedServer
from client.test_subscription import take
from support import START_NS, quote, trade
from trio.testing import MockClock

from datafye_trio import ConnectError, DisconnectedError, FeedConfig, Halt, SubscriptionError, open_feed
from datafye_trio.wire import Opcode, frame


async def test_a_refusal_is_raised_with_the_servers_words(autojump_clock: MockClock) -> None:
    async with served(PlainConfig(refusals={"NOPE": "no such symbol"})) as (_server, feed):
        with pytest.raises(SubscriptionError, match="no such symbol") as caught:
            async with feed.trades(["NOPE", "AAPL"]):
                pass
        assert (caught.value.code, caught.value.symbols) == ("REFUSED", ("NOPE", "AAPL"))
        assert feed.ledger() == {}


async def test_a_refusal_of_what_is_new_leaves_what_was_there(autojump_clock: MockClock) -> None:
    config = PlainConfig(refusals={"NOPE": "no such symbol"})
    async with served(config) as (server, feed), feed.trades("AAPL") as sub:
        with pytest.raises(SubscriptionError) as caught:
            await sub.add("NOPE")
        assert caught.value.symbols == ("NOPE",)
        assert sub.symbols == ("AAPL",)
        assert (await take(sub, 1))[0].reason == "unnumbered"
        await server.publish(trade(n=1))
        assert await take(sub, 1) == [trade(n=1)]
        assert asked(server, "ticks") == [["AAPL"], ["AAPL", "NOPE"], ["AAPL"]]


@pytest.mark.parametrize("frame", [{"status": "no more"}, {"type": "error", "message": "no more"}])
async def test_refused_later_the_iterator_raises(autojump_clock: MockClock, frame: dict[str, str]) -> None:
    async with served() as (server, feed), feed.trades("AAPL") as sub:
        await server.publish(trade(n=1))
        await server.tell(**frame)
        await take(sub, 1)
        with trio.fail_after(5), pytest.raises(SubscriptionError, match="no more"):
            await anext(sub)


async def test_an_answer_that_says_nothing_wrong_is_an_acceptance(autojump_clock: MockClock) -> None:
    async with served() as (server, feed):
        await feed.wait_connected()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter_and_leave, feed, "AAPL")
            await trio.testing.wait_all_tasks_blocked()
            begun = trio.current_time()
            await server.tell(status=None)
        assert trio.current_time() == begun


@pytest.mark.parametrize("symbols", ["*", ["AAPL", "*"]])
async def test_every_symbol_and_running_bars_are_refused(autojump_clock: MockClock, symbols: Any) -> None:
    async with served() as (_server, feed):
        with pytest.raises(SubscriptionError, match="name the symbols"):
            async with feed.quotes(symbols):
                pass
        with pytest.raises(SubscriptionError, match="finished bars"):
            async with feed.bars("AAPL", running=True):
                pass
        async with feed.quotes("AAPL") as sub:
            with pytest.raises(SubscriptionError, match="name the symbols"):
                await sub.add("*")
            assert sub.symbols == ("AAPL",)


async def test_halts_are_events(autojump_clock: MockClock) -> None:
    async with served() as (server, feed), feed.quotes(["AAPL", "MSFT"]) as sub:
        await server.tell(type="halt", symbol="AAPL", timestamp=START_NS // 10**6, reason="T1")
        assert await take(sub, 1) == [Halt("AAPL", START_NS // 10**6 * 10**6, "T1")]
        await server.tell(type="halt")  # of whom, nobody can know
        await server.tell(type="heartbeat")
        await server.publish(quote("MSFT", 1))
        assert await take(sub, 1) == [quote("MSFT", 1)]
        await trio.testing.wait_all_tasks_blocked()
        assert server.faults == ["a second request on /datafye-ws/v1/stocks/live/quotes: {'action': 'pong'}"]
        server.faults.clear()


async def test_frames_of_indicators_without_a_symbol(autojump_clock: MockClock) -> None:
    async with served(PlainConfig(indicator_symbols=False)) as (server, feed):
        async with feed.sma("AAPL") as sub:
            await server.publish(SMA)
            assert await take(sub, 1) == [SMA]
        await trio.sleep(5)
        async with feed.sma(["AAPL", "MSFT"]) as sub:
            await server.publish(SMA)
            with trio.fail_after(5), pytest.raises(SubscriptionError, match="name no symbol"):
                await anext(sub)


async def test_what_cannot_be_understood_is_counted_and_told_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as (server, feed):
        async with feed.trades("AAPL") as sub:
            await server.tell(type="trade", symbol="AAPL", exchangeTimestamp="noon", tradePrice=1, tradeSize=1)
            await server.tell(type="trade", symbol="??", exchangeTimestamp=1, tradePrice=1, tradeSize=1)
            await server.tell(type="connected", protocol=1)
            await server.tell(type="news", headline="?")
            await server.publish(trade("MSFT", 1), trade(n=1))
            assert await take(sub, 1) == [trade(n=1)]
        assert len([record for record in caplog.records if "left out" in record.getMessage()]) == 1


async def test_what_is_no_json_ends_the_feed(autojump_clock: MockClock) -> None:
    async def garbage(peer: Peer) -> None:
        await peer.request()
        await peer.send_bytes(frame(Opcode.TEXT, b"{nonsense"))
        await peer.ended()

    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended, garbage)
        with pytest.raises(DisconnectedError, match="no sound JSON"):
            async with open_feed("ws://test", FeedConfig(layout="per-channel", open_stream=server.dial)) as feed:
                await enter_and_leave(feed, "AAPL")


async def test_a_first_message_that_is_no_greeting(autojump_clock: MockClock) -> None:
    async def speak(peer: Peer) -> None:
        await peer.heartbeat()
        await peer.ended()

    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, speak)
        async with open_feed("ws://test", FeedConfig(layout="per-channel", open_stream=server.dial)) as feed:
            assert await feed.wait_connected() is None
            assert trio.current_time() == 0


async def test_a_server_that_cannot_be_reached_is_asked_again_and_for_a_reason(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, Peer.ended)
        server.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(ConnectError) as caught:
            async with open_feed("ws://test", FeedConfig(layout="per-channel", open_stream=server.dial)) as feed:
                await feed.wait_connected()
        assert caught.value.status == 403


async def test_with_partial_what_is_refused_is_told_and_the_rest_goes_on(autojump_clock: MockClock) -> None:
    config = PlainConfig(refusals={"NOPE": "no such symbol"})
    async with served(config) as (server, feed), feed.trades("AAPL", partial=True) as sub:
        await sub.add("NOPE")
        assert [(error.code, error.symbols) for error in sub.rejected] == [("REFUSED", ("NOPE",))]
        await take(sub, 1)
        await server.publish(trade(n=1))
        assert await take(sub, 1) == [trade(n=1)]


@pytest.mark.parametrize("kind", [["trade"], {"of": "trade"}])
async def test_a_type_that_is_no_text_is_no_word(autojump_clock: MockClock, kind: Any) -> None:
    """It ended the feed with a TypeError. On the path of a channel, what is no word is data."""
    async with served() as (server, feed), feed.trades("AAPL") as sub:
        await server.tell(type=kind, symbol="AAPL", exchangeTimestamp=START_NS, tradePrice=1.5, tradeSize=1)
        with trio.fail_after(5):
            (event,) = await take(sub, 1)
        assert event.price == 1.5
