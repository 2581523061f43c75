"""`open_test_server(dialect="datafye")`: our own client finds out by itself, and the samples are served to the byte."""

from __future__ import annotations

import json

import pytest
import trio
from client.plain_kit import EMA, MINUTE, SMA
from connection.stored import Stored
from support import RawClient, quote, trade, upgrade_head
from testing.spoken import BASE, HISTORY, LIVE_PATHS, SAMPLES, check
from trio.testing import MockClock

from datafye_trio import Channel, Program
from datafye_trio.errors import SubscriptionError
from datafye_trio.model import Bar, Event, Gap, Halt, Trade
from datafye_trio.sources import HistoryQuery
from datafye_trio.testing.opening import open_test_server
from datafye_trio.testing.server import TestServer

MINUTE_NS = 60 * 10**9
OPENING = 1_735_828_200 * 10**9
"""2025-01-02T09:30:00 in New York."""
COIN = Trade("BTCUSD", OPENING, 42_000.5, 0.25, "Coinbase", "77")
EVENTS: dict[str, Event] = {"quote": quote(), "trade": trade(), "ohlc": MINUTE, "sma": SMA, "ema": EMA}


def bars(query: HistoryQuery) -> list[Event]:
    """Those of an hour from the opening on, as far as they are asked for."""
    starts = (OPENING + n * MINUTE_NS for n in range(60))
    return [
        Bar("AAPL", "Minute", start, 1, 2, 1, 2, 7, 0, None) for start in starts if query.start <= start < query.end
    ]


def audit(server: TestServer) -> None:
    """Fail if any frame to any client so far had a field that is not documented."""
    told = [entry.message for entry in server.log if entry.direction == "out" and entry.kind == "text"]
    assert told
    for message in told:
        assert message is not None
        check(message, "crypto" if message.get("symbol") == "BTCUSD" else "stocks")
    assert {entry.kind for entry in server.log if entry.direction == "out"}.isdisjoint({"binary", "part", "raw"})


async def sample(server: TestServer, path: str, *headers: str) -> RawClient:
    """A connection on which a sample's request was sent right after the handshake."""
    client = RawClient(server.connect())
    await client.stream.send_all(upgrade_head(path, *headers))
    assert (await client.http_answer())[0] == 101
    await client.send_text(SAMPLES[path])
    return client


@pytest.mark.parametrize("kind", LIVE_PATHS)
async def test_the_samples_work(autojump_clock: MockClock, kind: str) -> None:
    async with open_test_server(dialect="datafye") as server:
        client = await sample(server, f"{BASE}/{LIVE_PATHS[kind]}")
        assert await client.messages(2) == [{"type": "connected"}, {"type": "subscribed"}]
        await server.publish(EVENTS[kind], dataset="SIP")
        frame = await client.message()
        assert frame["type"] == kind
        check(frame)
        assert await client.message() == {"type": "heartbeat"}
        await client.close()


async def test_the_sample_of_history_works(autojump_clock: MockClock) -> None:
    async with open_test_server(
        dialect="datafye", sources=lambda: [Stored(bars, "SIP", channels=(Channel.AGGREGATES,))]
    ) as server:
        client = await sample(server, HISTORY)
        greeting, *found, end = await client.until("stream_end")
        assert (greeting, end) == ({"type": "connected"}, {"type": "stream_end"})
        assert [bar["datetime"] for bar in found] == [OPENING + n * MINUTE_NS for n in range(60)]
        for bar in found:
            check(bar)
        await client.close()


async def test_what_a_client_offers_or_asks_beyond_that_it_does_not_get(autojump_clock: MockClock) -> None:
    async with open_test_server(dialect="datafye") as server:
        client = RawClient(server.connect())
        await client.stream.send_all(upgrade_head(f"{BASE}/live/ticks", "Sec-WebSocket-Protocol: datafye.v1.msgpack"))
        status, headers, _ = await client.http_answer()
        assert (status, "sec-websocket-protocol" in headers) == (101, False)
        assert await client.message() == {"type": "connected"}
        refused = await client.ask(action="subscribe", dataset="SIP", symbols=["AAPL"], id=1)
        assert (refused["type"], 'field "id"' in refused["message"]) == ("error", True)
        assert await client.ask(**json.loads(SAMPLES[f"{BASE}/live/ticks"])) == {"type": "subscribed"}
        await client.close()
        for path, status in (("/datafye-ws/v1", 404), ("/health", 404), (f"{BASE}/live/ticks?symbols=AAPL", 400)):
            client = RawClient(server.connect())
            await client.stream.send_all(upgrade_head(path))
            found, _, body = await client.http_answer()
            assert (found, body[:18]) == (status, "Datafye documents ")


async def test_our_client_finds_out_by_itself_and_has_all_channels(autojump_clock: MockClock) -> None:
    async with open_test_server(dialect="datafye") as server, server.open_feed() as feed:
        assert await feed.wait_connected() is None
        assert feed.provable is False
        async with feed.subscribe(["quotes", "trades", "bars", "sma", "ema"], "AAPL") as sub:
            await server.publish([*EVENTS.values()], dataset="SIP")
            found = [await anext(sub) for _ in EVENTS]
            assert sorted(map(repr, found)) == sorted(map(repr, EVENTS.values()))
            await server.publish([Halt("AAPL", 5, "news"), quote(n=1)], dataset="SIP")
            halt, after = await anext(sub), await anext(sub)
            assert (type(halt), halt.symbol, halt.reason) == (Halt, "AAPL", "")
            assert after == quote(n=1)
        with pytest.raises(SubscriptionError, match="Crypto has no quotes"):
            async with feed.quotes("BTCUSD", asset_class="crypto") as coins:
                await anext(coins)
        async with feed.trades("BTCUSD", asset_class="crypto") as coins:
            await server.publish(COIN, dataset="Crypto")
            assert await anext(coins) == COIN
        audit(server)


async def test_our_client_adds_a_symbol_and_comes_back_after_a_cut(autojump_clock: MockClock) -> None:
    async with open_test_server(dialect="datafye") as server, server.open_feed() as feed, feed.trades("AAPL") as sub:
        await sub.add("MSFT")
        await server.publish([trade("AAPL", 1), trade("MSFT", 2)], dataset="SIP")
        gap, first, second = [await anext(sub) for _ in range(3)]
        assert isinstance(gap, Gap)
        assert (first, second) == (trade("AAPL", 1), trade("MSFT", 2))
        await trio.sleep(105)  # heartbeats are answered, or it would be cut
        assert len(server.log.messages("heartbeat")) == len(server.log.messages("pong")) == 10
        server.faults.drop()
        gaps = [await anext(sub) for _ in range(2)]
        assert sorted(one.topic.symbol for one in gaps) == ["AAPL", "MSFT"]
        await server.publish(trade("AAPL", 3), dataset="SIP")
        assert await anext(sub) == trade("AAPL", 3)
        audit(server)


async def test_our_client_has_stored_bars_over_hours_without_any(autojump_clock: MockClock) -> None:
    """It asks part by part, and most parts are of the night: an end without bars is no error."""
    async with (
        open_test_server(
            dialect="datafye", sources=lambda: [Program("Other"), Stored(bars, "SIP", channels=(Channel.AGGREGATES,))]
        ) as server,
        server.open_feed() as feed,
    ):
        start, end = OPENING - 1_000 * MINUTE_NS, OPENING + 1_000 * MINUTE_NS
        async with feed.history("AAPL", start=start, end=end, window=200) as stream:
            found = [bar async for bar in stream]
        audit(server)
    assert found == [Bar("AAPL", "Minute", OPENING + n * MINUTE_NS, 1, 2, 1, 2, 7, 0, None) for n in range(60)]
