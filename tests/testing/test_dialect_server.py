"""The dialect in front of a real server: a broad conversation, in which nothing is said that is not documented."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from connection.stored import Stored, failing
from support import START_NS, memory_server, quote, trade
from testing.spoken import BAR, BASE, EMA, HISTORY, LIVE_PATHS, SAMPLES, SMA, Speaker
from trio.testing import MockClock

from datafye_trio import AssetClass, Channel, Program, Server, ServerConfig, Source
from datafye_trio.broker import OutboxLimits
from datafye_trio.model import Bar, Event, Frequency, Halt, Resume, Trade
from datafye_trio.sources import HistoryQuery

S = 10**9
COIN = Trade("BTCUSD", START_NS, 42_000.5, 0.25, "Coinbase", "77")
EVENTS: dict[str, Event] = {"quote": quote(), "trade": trade(), "ohlc": BAR, "sma": SMA, "ema": EMA}
STORED = {
    "action": "start", "dataset": "Stored", "symbol": "AAPL", "frequency": "Minute", "from": "2023-11-14T17:13:00",
    "to": "2023-11-14T17:20:00",
}  # fmt: skip


def minutes(query: HistoryQuery) -> Iterator[Event]:
    """A bar a minute from the beginning of the span, corrected once; none of MSFT."""
    for n in range(0 if query.symbols == ("MSFT",) else 5):
        bar = Bar("AAPL", "Minute", query.start + n * 60 * S, 1, 2, 1, 2, n, 3, None)
        yield bar
        if n == 1:
            yield attrs.evolve(bar, volume=99, revision=1)


def sources() -> list[Source]:
    return [
        Program("SIP", channels=tuple(Channel)),
        Program("Crypto", AssetClass.CRYPTO, (Channel.TRADES, Channel.AGGREGATES)),
        Program("Hourly", channels=(Channel.AGGREGATES, Channel.EMA), frequencies=(Frequency.HOUR,)),
        Stored(minutes, channels=(Channel.AGGREGATES,)),
        Stored(failing(OSError("no disk")), "Broken", channels=(Channel.AGGREGATES,)),
    ]


@asynccontextmanager
async def speaking(path: str, config: ServerConfig | None = None) -> AsyncIterator[tuple[Server, Speaker]]:
    """A server, and a client of one of its paths that speaks the dialect; the greeting is read."""
    async with memory_server(config, sources()) as server:
        yield server, await Speaker.speak(server, path)


async def silence(client: Speaker, seconds: float = 5) -> None:
    """Fail if anything comes within so many seconds."""
    with trio.move_on_after(seconds):
        raise AssertionError(f"{await client.message()} came")


@pytest.mark.parametrize("kind", LIVE_PATHS)
async def test_each_channel_is_served_as_the_samples_ask_for_it(autojump_clock: MockClock, kind: str) -> None:
    path = f"{BASE}/{LIVE_PATHS[kind]}"
    async with speaking(path) as (server, client):
        await server.publish([*EVENTS.values()])
        await client.send_text(SAMPLES[path])
        assert await client.message() == {"type": "subscribed"}
        await silence(client)  # no snapshot
        await server.publish([*EVENTS.values(), attrs.evolve(BAR, revision=1), trade("MSFT")])
        frame = await client.message()
        assert (frame["type"], frame["symbol"]) == (kind, "AAPL")
        await silence(client, 4)
        await client.send_text(SAMPLES[path].replace('"subscribe"', '"unsubscribe"'))
        assert await client.message() == {"type": "unsubscribed"}
        await server.publish([*EVENTS.values()])
        await silence(client, 0.5)


async def test_crypto_is_served_on_the_stocks_path(autojump_clock: MockClock) -> None:
    async with speaking(f"{BASE}/live/ticks") as (server, client):
        client.asset_class = "crypto"
        await client.send(action="subscribe", dataset="Crypto", symbols=["X:BTC-USD"])
        assert await client.message() == {"type": "subscribed"}
        await server.publish(COIN, dataset="Crypto")
        assert await client.message() == {
            "type": "trade", "symbol": "BTCUSD", "exchangeID": "Coinbase", "exchangeTimestamp": START_NS,
            "tradeID": "77", "tradePrice": 42_000.5, "tradeSize": 0.25,
        }  # fmt: skip


async def test_crypto_quotes_get_a_clear_error(autojump_clock: MockClock) -> None:
    async with speaking(f"{BASE}/live/quotes") as (_, client):
        answer = await client.ask(action="subscribe", dataset="Crypto", symbols=["BTCUSD"])
        assert answer["type"] == "error"
        assert "Crypto has no quotes" in answer["message"]
        assert await client.ask(action="subscribe", dataset="SIP", symbols=["AAPL"]) == {"type": "subscribed"}


@pytest.mark.parametrize(("kind", "dataset", "frequency"), [("sma", "Crypto", "Day"), ("ema", "Hourly", "Minute")])
async def test_indicators_that_are_not_computed_are_silent(
    autojump_clock: MockClock, kind: str, dataset: str, frequency: str
) -> None:
    async with speaking(f"{BASE}/live/{kind}") as (_, client):
        request = {"dataset": dataset, "symbols": ["AAPL"], "frequency": frequency}
        for action in ("unsubscribe", "subscribe", "unsubscribe"):
            assert await client.ask(action=action, **request) == {"type": f"{action}d"}
        await silence(client)
        assert "second request" in (await client.ask(action="subscribe", **request))["message"]
    async with speaking(f"{BASE}/live/{kind}") as (_, client):
        unknown = await client.ask(action="subscribe", **request | {"dataset": "None"})
        assert (unknown["type"], "unknown dataset" in unknown["message"]) == ("error", True)


async def test_bars_that_are_not_there_are_an_error(autojump_clock: MockClock) -> None:
    async with speaking(f"{BASE}/live/aggs") as (_, client):
        answer = await client.ask(action="subscribe", dataset="Hourly", symbols=["AAPL"], frequency="Minute")
        assert (answer["type"], "Hourly has aggregates by Hour" in answer["message"]) == ("error", True)


async def test_halts_come_on_quotes_alone(autojump_clock: MockClock) -> None:
    async with speaking(f"{BASE}/live/quotes") as (server, client):
        ticks = await Speaker.speak(server, f"{BASE}/live/ticks")
        for one in (client, ticks):
            assert (await one.ask(action="subscribe", dataset="SIP", symbols=["AAPL"]))["type"] == "subscribed"
        await server.publish([Halt("AAPL", START_NS, "news"), Resume("AAPL", START_NS + S, "over"), trade()])
        assert await client.messages(2) == [{"type": kind, "symbol": "AAPL"} for kind in ("halt", "resume")]
        assert (await ticks.message())["type"] == "trade"


async def test_heartbeats_are_answered_without_a_stamp_and_a_silent_client_is_cut(autojump_clock: MockClock) -> None:
    async with speaking(f"{BASE}/live/quotes") as (server, client):
        silent = await Speaker.speak(server, f"{BASE}/live/quotes")
        for _ in range(10):
            assert await client.message() == {"type": "heartbeat"}
            await client.send(type="pong")
        assert trio.current_time() == pytest.approx(100)
        assert (await silent.closed())[0] == 4009


async def test_a_gap_is_not_told(autojump_clock: MockClock) -> None:
    config = ServerConfig(outbox=OutboxLimits(messages=2_048, policy="drop_oldest"))
    async with speaking(f"{BASE}/live/ticks", config) as (server, client):
        assert (await client.ask(action="subscribe", dataset="SIP", symbols=["AAPL"]))["type"] == "subscribed"
        for n in range(8):
            await server.publish([trade(n=1_000 * n + m) for m in range(1_000)])
        numbers = []
        while not numbers or numbers[-1] < 7_999:
            frame = await client.message()
            assert frame["type"] == "trade"
            numbers.append(frame["exchangeTimestamp"] - START_NS)
        assert len(numbers) < 8_000
        assert numbers == sorted(numbers)


async def test_history_is_bars_and_an_end(autojump_clock: MockClock) -> None:
    async with speaking(HISTORY) as (_, client):
        await client.send(**STORED)
        *bars, end = await client.until("stream_end")
        assert [bar["volume"] for bar in bars] == [0, 1, 2, 3, 4]
        assert {bar["type"] for bar in bars} == {"ohlc"}
        assert bars[0]["datetime"] == START_NS - 20 * S  # 17:13 in New York
        assert end == {"type": "stream_end"}
        assert "second request" in (await client.ask(**STORED))["message"]


async def test_where_nothing_is_stored_there_is_an_end_alone(autojump_clock: MockClock) -> None:
    async with speaking(HISTORY) as (_, client):
        assert await client.ask(**{**STORED, "symbol": "MSFT"}) == {"type": "stream_end"}


async def test_history_that_cannot_be_read_or_asked_for_is_an_error(autojump_clock: MockClock) -> None:
    async with speaking(HISTORY) as (_, client):
        for changes, why in (
            ({"symbol": "NONE"}, "NONE"),
            ({"dataset": "SIP"}, "no stored data"),
            ({"to": STORED["from"]}, "from must be before to"),
        ):
            answer = await client.ask(**STORED | changes)
            assert answer["type"] == "error"
            assert why in answer["message"]
        answer = await client.ask(**{**STORED, "dataset": "Broken"})
        assert answer.keys() == {"type", "message"}
        assert answer["type"] == "error"


async def test_what_is_refused_has_no_effect(autojump_clock: MockClock) -> None:
    async with speaking(f"{BASE}/live/ticks") as (server, client):
        whole = {"action": "subscribe", "dataset": "SIP", "symbols": ["AAPL"]}
        for changes in ({"id": 1}, {"symbols": ["*"]}, {"snapshot": True}, {"action": "subscriptions"}, {"op": "ping"}):
            assert (await client.ask(**whole | changes))["type"] == "error"
        await server.publish(trade())
        await silence(client)
        for text in ("no JSON", "[]"):  # the server's own errors are as bare
            await client.send_text(text)
            assert (await client.message()).keys() == {"type", "message"}
        assert await client.ask(**whole) == {"type": "subscribed"}
